"""Data that come as tables, without images: pairs that another tool scored, and embeddings that another program made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fairlab.data.attributes import with_columns, with_groups
from fairlab.data.listing import READERS, Listing, Progress, Stop
from fairlab.data.readers.embedding_files import detect_embeddings, read_embeddings
from fairlab.data.readers.pair_files import pairs_from_list
from fairlab.data.readers.scores.tables import detect_score_table, read_score_table
from fairlab.errors import FairLabError
from fairlab.settings.study import Source


class _Tables:
    """What both have in common: nothing to open."""

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """There are no images."""
        raise FairLabError(f"{path} is a table: it holds no images")


@READERS.register("scores", title="tables of scored pairs (BFW, bob, CSV)", order=5, pixels=False)
class Scores(_Tables):
    """The people and pairs of a score table; its scores are models (jobs.models.importing)."""

    def detect(self, path: Path) -> str:
        """By the names of its columns."""
        kind = detect_score_table(path)
        writers = {"bfw": " as BFW writes them", "bob": " as bob writes them", "pairs": ", by the names of its columns"}
        return f"pairs with scores{writers[kind]}" if kind else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Images by name only, and all pairs in the order of the file."""
        found = read_score_table(path, source.attribute)
        return Listing(found.images, found.attribute, found.pairs, None, found.problems, found.notes)


@READERS.register("embeddings", title="embeddings (.npy, .npz, parquet)", order=6, pixels=False)
class EmbeddingRows(_Tables):
    """The images that a file of embeddings names; who they show where it, or a table, says so."""

    def detect(self, path: Path) -> str:
        """By its header."""
        return detect_embeddings(path)

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """In the order of the vectors; pairs only from a list that the user names."""
        found = read_embeddings(path)
        images, notes = found.table, list(found.notes)
        if "identity" not in images:
            images = images.assign(identity=images["location"])
            notes.append("the file names no identities: every row counts as a separate person")
        if source.groups_table or ("group" in images and source.attribute in ("", "group")):
            images, attribute, problems = with_groups(images, source, "group" if "group" in images else "")
        else:
            images, attribute, problems = with_columns(images, source)
        pairs, more = pairs_from_list(path.parent, images, source) if source.pair_list else (None, [])
        return Listing(images, attribute, pairs, None, [*found.problems, *problems, *more], notes)
