"""One seed of a study while its runs are entered: what teachers, common spaces and students share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fairlab.plan import choices
from fairlab.plan.plan import Builder
from fairlab.plan.portions import Faces
from fairlab.plan.records import length_of
from fairlab.settings.distillation import Distillation
from fairlab.settings.study import Data, Role, Run, StudentSettings, Study, TeacherSettings
from fairlab.store.runs import SPACES, RunRecord, read_run


@dataclass(frozen=True)
class Space:
    """A space that students learn from."""

    record: RunRecord
    words: str
    """How the titles of its students name it."""
    head: bool
    """Has it a classifier of everybody?"""
    dim: int | None
    """Length of its embeddings, where that is known."""
    embedded: tuple[str, ...] = ()
    """The job that embeds the study's faces with it, where it learnt from others."""

    @property
    def run_id(self) -> str:
        return self.record.run_id


@dataclass(frozen=True)
class Repetition:
    """A seed of a study, the faces of the study, and the models entered so far, which the maps show."""

    builder: Builder
    people: Faces
    seed: int
    models: list[str] = field(default_factory=list)

    @property
    def study(self) -> Study:
        return self.builder.study

    @property
    def faces(self) -> Data:
        """The study's faces, all groups of them."""
        return Data(dataset=self.people.dataset)

    @property
    def images(self) -> int:
        """Training images of all groups."""
        return sum(self.people.sizes.values())

    def add_model(self, title: str, config: Run, parents: Sequence[str], images: int = 0) -> str:
        """Enter a run whose result is a model; returns its id."""
        run_id = self.builder.add(title, config, tuple(parents), images)
        self.models.append(run_id)
        return run_id

    def add_embedded(self, words: str, models: Sequence[str], dataset: str, needed: tuple[str, ...]) -> str:
        """Enter the job that embeds a data set with models that did not learn from it; returns its id."""
        config = Run(role="embedding", method="embed", data=Data(dataset=dataset))
        return self.builder.add(f"Embeddings ({words})", config, (*models, *needed))

    def add_given_embedded(self) -> str:
        """Enter the job that embeds the study's faces with the models that are there already; returns its id."""
        return self.add_embedded("given", self.study.grid.given, self.people.dataset, self.people.needed)

    def record(self, name: str) -> RunRecord:
        """A run of this plan, or one that is there already."""
        planned = self.builder.runs.get(name)
        return planned.record if planned else read_run(self.builder.workspace, name)

    def length(self, teachers: Sequence[str]) -> int | None:
        """Length of the embeddings of these models; None where they differ or are not known yet."""
        lengths = set()
        for name in teachers:
            record = self.record(name)
            if record.role in SPACES:
                settings = record.config.backbone or record.config.adaptor
                lengths.add(settings.embedding_dim if settings else length_of(record))
        return lengths.pop() if len(lengths) == 1 else None

    def network(
        self,
        role: Role,
        method: str,
        data: Data,
        settings: TeacherSettings | StudentSettings,
        distillation: Distillation | None = None,
    ) -> Run:
        """The settings of a run that trains a network on images."""
        identities = method == "classifier" or choices.all_student_methods()[method].get("identities", True)
        return Run(
            role=role,
            method=method,
            seed=self.seed,
            data=data,
            backbone=settings.backbone,
            loss=settings.loss if identities else None,
            distillation=distillation,
            training=settings.training,
            evaluation=self.study.evaluation,
        )


def titled(title: str, inside: Sequence[str], varied: Sequence[str]) -> str:
    """A title with what tells it from its like in brackets."""
    words = "; ".join(filter(None, (", ".join(filter(None, inside)), ", ".join(varied))))
    return f"{title} ({words})" if words else title
