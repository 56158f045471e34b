"""What a run gets from its parents: the lengths of their embeddings, a classifier to inherit, targets to imitate.

A student of one space has one parent; one of several teachers has their targets side by side, each read like the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairlab.data.dataset import Dataset
from fairlab.errors import Damaged, FairLabError
from fairlab.jobs.embed import spaces
from fairlab.jobs.job import Job
from fairlab.settings.distillation import ClipEmbedKDSettings, Distillation, HeirSettings
from fairlab.store.embeddings import Embeddings, open_embeddings
from fairlab.store.runs import RunRecord
from fairlab.workspace import Workspace

INSTEAD = 'set distillation.classifier = "centroids" to inherit the mean embedding of each identity instead'


class Lessons:
    """dims: lengths of the parents' embeddings; inherited: the only parent's classifier, or None; centroids: its mean
    embedding of each identity (C, D), of all parents (n, C, D) where the method has several, or None.

    rows (N,): images to train on; labels (N,), names: their identities. Raises FairLabError when a parent cannot give
    what the method needs: no embeddings of these very images, no classifier, or one of other people.
    """

    def __init__(self, job: Job, rows: np.ndarray, labels: np.ndarray, names: list[str]) -> None:
        from fairlab.methods.base import METHODS

        self.workspace, self.record, self.dataset = job.workspace, job.record, job.dataset
        self.rows, self.labels, self.names = rows, labels, names
        self.about = self.record.config.distillation or Distillation()
        self.parents = spaces.model_parents(self.workspace, self.record)
        kind = METHODS[self.record.method]
        self.several = bool(getattr(kind, "needs_targets", False)) and _of_teachers(self.record.method)
        self.inherited = self.centroids = None
        if getattr(kind, "needs_head", False):
            self.inherited = self._classifier()
        if getattr(kind, "needs_centroids", False):
            self.centroids = self._directions() if self.several else self._means()
        self.at_work = self._at_work() if self.about.online else None
        self.dims = self._dims()

    def _only(self) -> RunRecord:
        if len(self.parents) != 1:
            raise FairLabError(
                f"method {self.record.method} learns from exactly one space; {self.record.run_id} has "
                f"{len(self.parents)} parents that are models"
            )
        return self.parents[0]

    def _teachers(self) -> list[RunRecord]:
        """The parents of a student of several. Raises FairLabError for none, and for embeddings of different lengths."""
        if not self.parents:
            raise FairLabError(f"method {self.record.method} needs at least one teacher as parent, and has none")
        lengths = [fresh(parent, self.dataset).vectors.shape[1] for parent in self.parents]
        if len(set(lengths)) > 1:
            of = ", ".join(f"{parent.title} {length}" for parent, length in zip(self.parents, lengths, strict=True))
            raise FairLabError(
                f"method {self.record.method} reads the targets of all teachers as one table, so their embeddings must be "
                f"equally long; their lengths are: {of}"
            )
        return self.parents

    def _dims(self) -> tuple[int, ...]:
        if self.centroids is not None and self.several:
            return (int(self.centroids.shape[2]),) * len(self.parents)
        if self.inherited is not None:  # an inherited classifier needs no embeddings
            return (int(self.inherited.centres.shape[1]),)
        if self.at_work is not None:
            return (self.at_work.dim,)
        return tuple(fresh(parent, self.dataset).vectors.shape[1] for parent in self.parents)

    def _classifier(self) -> Any:
        from fairlab.methods.base import Inherited
        from fairlab.training.targets import acquainted, centroids

        parent = self._only()
        loss = parent.config.loss or self.record.config.loss
        scale = loss.scale if loss else 1.0
        if isinstance(self.about, HeirSettings) and self.about.classifier == "centroids":
            store = fresh(parent, self.dataset)
            return Inherited(centroids(store, self.rows, self.labels, len(self.names)), scale)
        centres = own_centres(parent, self.names)
        if spaces.embedded(parent, self.dataset) and not _learnt_from(parent, self.dataset):
            own, others = acquainted(centres, fresh(parent, self.dataset), self.rows, self.labels)
            if own <= others:
                raise FairLabError(
                    f"the classifier of {parent.run_id} does not know these people: their embeddings lie no nearer to their "
                    f"own class centres (mean cosine {own:.3f}) than to any ({others:.3f}), so its identities are "
                    f"different or in another order; {INSTEAD}"
                )
        return Inherited(centres, scale)

    def _directions(self) -> Any:
        """All parents' class centroids (n, C, D): of every identity, also of those that a parent did not learn from."""
        import torch

        from fairlab.training.targets import centroids

        stores = [fresh(parent, self.dataset) for parent in self._teachers()]
        return torch.stack([centroids(store, self.rows, self.labels, len(self.names)) for store in stores])

    def _means(self) -> Any:
        """The only parent's mean embedding of each identity, as the method's settings have it: (C, D)."""
        from fairlab.methods.base import method_settings
        from fairlab.training.targets import identity_means, some_of_each

        about = method_settings(self.record.config, ClipEmbedKDSettings)
        chosen = np.arange(len(self.rows))
        if about.centroid_images is not None:
            chosen = some_of_each(self.labels, about.centroid_images, self.record.seed)
        raw, store = about.centroid_mean == "raw", fresh(self._only(), self.dataset)
        return identity_means(store, self.rows[chosen], self.labels[chosen], len(self.names), raw).float()

    def _at_work(self) -> Any:
        from fairlab.settings.study import Training
        from fairlab.training.loop import pick_device
        from fairlab.training.targets import OnlineTargets, SeveralTargets

        device, px = pick_device(self.record.config.training or Training()), self.dataset.image_px
        parents = self._teachers() if self.several else [self._only()]
        targets = [
            OnlineTargets(at_work(self.workspace, parent, self.dataset, device), px, device) for parent in parents
        ]
        return SeveralTargets(targets) if self.several else targets[0]

    def targets(self) -> Any:
        """Where each step gets its targets from: the store, by the view rule, or the parents themselves."""
        from fairlab.training.targets import SeveralTargets

        if self.at_work is not None:
            return self.at_work
        if self.several:
            return SeveralTargets([self._stored(parent) for parent in self._teachers()])
        return self._stored(self._only())

    def _stored(self, parent: RunRecord) -> Any:
        from fairlab.training.targets import StoredTargets

        rule = self.about.view
        flipped = fresh(parent, self.dataset, "flip") if rule != "plain" else None
        return StoredTargets(fresh(parent, self.dataset), flipped, self.rows, rule)


def _of_teachers(method: str) -> bool:
    from fairlab.methods.base import METHODS

    return METHODS.facts(method)["parents"] == "teachers"


def fresh(parent: RunRecord, dataset: Dataset, view: str = "plain") -> Embeddings:
    """A parent's embeddings of these very images. Raises FairLabError for none, or of an earlier data set of the name."""
    found = open_embeddings(parent.folder, dataset.dataset_id, view)
    if found.facts.get("fingerprint") != dataset.fingerprint:
        raise FairLabError(
            f"the embeddings that {parent.run_id} has of {dataset.dataset_id} ({view}) are of an earlier state of that data "
            "set (its fingerprint differs); embed the data set with it again"
        )
    return found


def own_centres(parent: RunRecord, names: list[str]) -> Any:
    """A parent's class centres in the order of these identities, matched by name: (C, D).

    An imported classifier has no names: it must have been trained on the identities 0, 1, ... C-1 of the data's own
    names. Raises FairLabError for anything else, Damaged for a classifier that does not fit its list of names.
    """
    from fairlab.models.files.checkpoints import HEAD, load_head, read_facts

    folder = parent.folder / "weights"
    if not (folder / HEAD).exists():
        raise FairLabError(f"{parent.run_id} has no classifier to inherit; {INSTEAD}")
    centres, facts = load_head(folder).get("weight"), read_facts(folder)
    if centres is None or centres.ndim != 2:
        raise Damaged(f"{folder / HEAD} holds no class centres")
    return centres[_rows_of(parent, facts, names, len(centres))]


def _learnt_from(parent: RunRecord, dataset: Dataset) -> bool:
    """Were these class centres learnt from this very data, in its own order? They are these people's, however poorly learnt."""
    from fairlab.models.files.checkpoints import read_facts

    facts = read_facts(parent.folder / "weights")
    names = facts.get("identities")
    return facts.get("data") == dataset.fingerprint and isinstance(names, list) and names == sorted(map(str, names))


def _rows_of(parent: RunRecord, facts: Mapping[str, Any], names: list[str], count: int) -> list[int]:
    """Which of the classifier's `count` rows belong to these identities."""
    known = facts.get("identities")
    if known is None:
        numbers = [int(name) if name.isascii() and name.isdecimal() else -1 for name in names]
        if sorted(numbers) != list(range(count)):
            raise FairLabError(
                f"the classifier of {parent.run_id} does not say whose its {count} class centres are, and the data's "
                f"{len(names)} identities are not the numbers 0 to {count - 1} (but e.g. {names[0]!r}); {INSTEAD}"
            )
        return numbers
    if len(known) != count or len(set(known)) != count:
        raise Damaged(f"the classifier of {parent.run_id} has {count} class centres for {len(known)} identities")
    row = {name: number for number, name in enumerate(known)}
    if missing := [name for name in names if name not in row]:
        raise FairLabError(
            f"the classifier of {parent.run_id} does not know {len(missing)} of the {len(names)} identities to train on, "
            f"e.g. {missing[0]!r}; train on its identities, or {INSTEAD}"
        )
    return [row[name] for name in names]


def at_work(workspace: Workspace, space: RunRecord, dataset: Dataset, device: Any) -> Any:
    """A frozen space that takes the student's batches: a network of images, or an adaptor over its parents' spaces."""
    from fairlab.training.targets import FusedSpace, ImageSpace

    if spaces.needs_group(space):
        raise FairLabError(
            f"{space.run_id} must know the group of each image, which a space computed online does not: turn distillation.online off"
        )
    parents = spaces.model_parents(workspace, space)
    network, facts = spaces.network(space, dataset, parents)
    if facts["kind"] in ("backbone", "onnx"):
        return ImageSpace(network, spaces.preprocessing_of_model(facts), device)
    parts = [at_work(workspace, parent, dataset, device) for parent in parents]
    return FusedSpace(network, parts, device, raw=facts.get("blocks") == spaces.RAW)
