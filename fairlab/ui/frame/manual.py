"""The chapters of the manual, in their order: what each answers, and the pages whose Help link leads to it."""

from __future__ import annotations

from dataclasses import dataclass

from fairlab.files import asset


@dataclass(frozen=True)
class Chapter:
    """A file of assets/docs."""

    name: str
    """The file's name without its ending; a link holds it as `?chapter=`."""
    answers: str
    """What a reader finds in it, as one sentence."""
    pages: tuple[str, ...] = ()
    """Pages whose Help link leads here."""

    @property
    def text(self) -> str:
        """The file as Markdown. Raises FairLabError when the installation lacks it."""
        return asset(f"docs/{self.name}.md").read_text(encoding="utf-8")


CHAPTERS = {
    chapter.name: chapter
    for chapter in (
        Chapter("data", "Use your own images, identities, groups and pairs.", ("data",)),
        Chapter("models", "Evaluate your own networks, scores or embeddings.", ("models",)),
        Chapter("methods", "Choose a preset or a method of distillation, and change its settings.", ("launch",)),
        Chapter("evaluation", "Know what an interval, a fair band, a p value or n/a means.", ("fairness",)),
        Chapter(
            "spaces", "Select, search and colour faces on maps of a space, and take the columns along.", ("spaces",)
        ),
        Chapter("repair", "Repair a model's scores without training, and know what that can change."),
        Chapter("causes", "Find out what goes with errors, and what leaving out poor images does."),
        Chapter("results", "See the numbers of the demo, model by model.", ("verification", "compare")),
        Chapter("operations", "Watch runs, free the disk, archive and delete.", ("runs", "storage", "settings")),
        Chapter("clusters", "Train on several GPUs, on Slurm or on shared storage."),
        Chapter("scale", "Estimate the time and memory of large data sets."),
        Chapter("troubleshooting", "Find out why something does not work."),
    )
}


def chapter_of(page: str) -> str:
    """The chapter that a page's Help link opens; "" for a page without one."""
    return next((name for name, chapter in CHAPTERS.items() if page in chapter.pages), "")
