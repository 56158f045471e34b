"""The faces of a study: those its teachers learn from, and the real, synthetic or mixed ones its students learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.recipes import drawn_size, most
from fairlab.data.selections import read_selection
from fairlab.data.shares import needed_shares
from fairlab.errors import FairLabError
from fairlab.files import MANIFEST, digest
from fairlab.formatting import some
from fairlab.plan.plan import Builder, dataset_id, slug
from fairlab.settings.loss import AngleLoss
from fairlab.settings.study import Data, DemoData, Recipe, Run
from fairlab.workspace import Workspace


@dataclass(frozen=True)
class Portion:
    """What a student learns from."""

    name: str
    data: Data
    images: int
    needed: tuple[str, ...]
    """Runs that make the data."""
    real: bool = False
    """Are its people those of the teachers?"""


@dataclass(frozen=True)
class Faces:
    """The data set of a study, its training images per group, the runs that make it, and the students' portions."""

    dataset: str
    sizes: Mapping[str, int]
    needed: tuple[str, ...]
    portions: tuple[Portion, ...]


def faces(builder: Builder) -> Faces:
    """The data of a study; a data set that does not exist yet is planned too. Raises FairLabError where it cannot work."""
    study = builder.study
    needed: tuple[str, ...] = ()
    if study.demo is not None:
        dataset = dataset_id(study.demo)
        config = Run(role="dataset", method="render", seed=study.demo.seed, data=Data(dataset=dataset), demo=study.demo)
        needed = (builder.add("Demo faces", config, ()),)
        sizes = dict.fromkeys(study.demo.groups, study.demo.train_identities * study.demo.train_images)
    else:
        dataset, sizes = study.dataset, _sizes(_named(builder.workspace, study.dataset))
    _check_shares(builder, dataset)
    portions = tuple(_portion(builder, name, dataset, sizes, needed) for name in study.grid.learn_from)
    return Faces(dataset, sizes, needed, portions)


def _check_shares(builder: Builder, dataset: str) -> None:
    """Raise FairLabError where a loss follows soft group shares and the data set has none."""
    parts = {name: getattr(builder.study, name).loss for name in ("teacher", "adaptor", "student")}
    following = [name for name, loss in parts.items() if isinstance(loss, AngleLoss) and loss.margin_factor != "none"]
    if not following:
        return
    setting = f"{following[0]}.loss.margin_factor"
    if not (builder.workspace.dataset(dataset) / MANIFEST).exists():
        raise FairLabError(
            f"{setting} needs soft group shares, and generated faces come without: add your own data and import a table of "
            "shares with `fairlab data shares`"
        )
    needed_shares(open_dataset(builder.workspace.dataset(dataset)), setting)


def _named(workspace: Workspace, name: str) -> Dataset:
    """The data set of that name. Raises FairLabError naming those that there are."""
    if (workspace.dataset(name) / MANIFEST).exists():
        return open_dataset(workspace.dataset(name))
    known = sorted(path.parent.name for path in workspace.datasets_folder.glob(f"*/{MANIFEST}"))
    has = (
        f"this workspace has {some(known)}"
        if known
        else "this workspace has none yet: `fairlab data add PATH` adds one"
    )
    raise FairLabError(f"there is no data set {name!r}; {has}. `--set dataset=NAME` names the one to train on")


def _sizes(found: Dataset) -> dict[str, int]:
    name = found.dataset_id
    if not found.has_images:
        raise FairLabError(f"data set {name} came as a table of names and pairs: it has no images to train on")
    train = found.images[found.images["split"] == "train"]
    counts = {group: int((train["group"] == group).sum()) for group in found.groups}
    empty = [group for group, count in counts.items() if count == 0]
    if empty:
        raise FairLabError(f"data set {name}: group {empty[0]!r} has no training image; remove the group or add images")
    return counts


def _portion(builder: Builder, name: str, dataset: str, sizes: Mapping[str, int], needed: tuple[str, ...]) -> Portion:
    study, grid, workspace = builder.study, builder.study.grid, builder.workspace
    if name == "real":
        return Portion(name, Data(dataset=dataset), sum(sizes.values()), needed, real=True)
    if name in grid.recipes:
        return _by_recipe(builder, name, dataset, sizes, needed)
    elsewhere, split = grid.synthetic, "train" if grid.synthetic else "synthetic"
    images = _synthetic(study.demo if not elsewhere else None, workspace, elsewhere or dataset, split)
    if name == "synthetic":
        judge = dataset if elsewhere else None
        return Portion(name, Data(dataset=elsewhere or dataset, splits=(split,), judge=judge), images, needed)
    recipe = Recipe(
        dataset=dataset,
        mix=elsewhere or dataset,
        mix_splits=(split,),
        unit=grid.mix_unit,
        equal=len(sizes) > 1,
        share=grid.mix_share,
    )
    mixed = f"mixed-{digest(recipe.model_dump(mode='json', exclude_defaults=True), 8)}"
    config = Run(role="dataset", method="recipe", data=Data(dataset=mixed), recipe=recipe)
    made = builder.add("Mixed faces", config, needed)
    size = _mixture(builder, recipe, mixed)
    return Portion(name, Data(dataset=mixed, judge=dataset), size, (made,))


def _synthetic(demo: DemoData | None, workspace: Workspace, dataset: str, split: str) -> int:
    """How many synthetic faces there are. Raises FairLabError where there are none."""
    if demo is not None:
        if demo.synthetic_identities < 2:
            raise FairLabError(
                "demo.synthetic_identities must be 2 or more for students that learn from synthetic faces"
            )
        return demo.synthetic_identities * demo.train_images * len(demo.groups)
    images = open_dataset(workspace.dataset(dataset)).images
    part = images[images["split"] == split]
    if part.empty:
        raise FairLabError(
            f"data set {dataset} has no part {split!r} to train on; name a data set of synthetic faces in "
            f"grid.synthetic"
        )
    return len(part)


def _by_recipe(builder: Builder, name: str, dataset: str, sizes: Mapping[str, int], needed: tuple[str, ...]) -> Portion:
    """The faces of a named recipe of the study; one that takes a whole set is that set, and nothing is made."""
    asked, grid = builder.study.grid.recipes[name], builder.study.grid
    if asked == Recipe(dataset=asked.dataset) and asked.dataset in ("real", "synthetic"):
        return replace(_portion(builder, asked.dataset, dataset, sizes, needed), name=name)
    named = {
        "real": (dataset, "train"),
        "synthetic": (grid.synthetic or dataset, "train" if grid.synthetic else "synthetic"),
    }
    found: dict[str, Any] = {}
    for field, splits in (("dataset", "splits"), ("mix", "mix_splits")):
        value = getattr(asked, field)
        if value in named:
            found |= {field: named[value][0], splits: (named[value][1],)}
        elif value:
            _named(builder.workspace, value)
    recipe = asked.model_copy(update=found)
    made = f"{slug(name)}-{digest(_content(builder.workspace, recipe), 8)}"
    try:
        images = _mixture(builder, recipe, made)
    except FairLabError as error:
        raise FairLabError(f"grid.recipes.{name}: {error}") from error
    config = Run(role="dataset", method="recipe", seed=recipe.seed, data=Data(dataset=made), recipe=recipe)
    return Portion(name, Data(dataset=made, judge=dataset), images, (builder.add(f"Faces {name}", config, needed),))


def _content(workspace: Workspace, recipe: Recipe) -> dict[str, Any]:
    """What decides the images of a recipe: its settings, and the images of its selection, which may be saved anew."""
    content: dict[str, Any] = recipe.model_dump(mode="json", exclude_defaults=True)
    if recipe.selection:
        content["chosen"] = read_selection(workspace, recipe.dataset, recipe.selection).hash
    return content


def _mixture(builder: Builder, recipe: Recipe, mixed: str) -> int:
    """Images in a mixture: counted where it exists, and from the recipe's own rule where its faces are still to be made."""
    folder = builder.workspace.dataset(mixed)
    if (folder / "dataset.json").exists():
        images = open_dataset(folder).images
        return int((images["split"] == "train").sum())
    demo = builder.study.demo
    here = (builder.workspace.dataset(recipe.dataset) / MANIFEST).exists()
    if recipe.selection and not here:
        raise FairLabError(f"selection {recipe.selection!r} needs its data set {recipe.dataset}, which is not here yet")
    if recipe.selection or demo is None or {recipe.dataset, recipe.mix or recipe.dataset} != {dataset_id(demo)}:
        return drawn_size(recipe, folder)
    return _drawn_of_demo(demo, recipe)


def _drawn_of_demo(demo: DemoData, recipe: Recipe) -> int:
    """Images that a recipe draws from generated faces that do not exist yet: all people have equally many images."""
    people = {"train": demo.train_identities, "synthetic": demo.synthetic_identities}
    for name in (*recipe.groups, *recipe.splits, *(recipe.mix_splits if recipe.mix else ())):
        if name not in (*demo.groups, *people):
            raise FairLabError(
                f"generated faces have no {name!r}: groups {', '.join(demo.groups)}, parts {', '.join(people)}"
            )
    groups = len(recipe.groups or demo.groups)
    cells, together = (groups, 1) if recipe.equal else (1, groups)
    each = demo.train_images if recipe.unit == "images" else 1
    pools = [recipe.splits, *([recipe.mix_splits] if recipe.mix else [])]
    counts = [sum(people[split] for split in pool) * together * each for pool in pools]
    largest = most(counts, recipe)
    total = recipe.count or largest
    if not 0 < total <= largest:
        raise FairLabError(
            f"{total:,} {recipe.unit} requested{' in each group' if recipe.equal else ''}, and there are {largest:,}"
        )
    return cells * total * (1 if recipe.unit == "images" else demo.train_images)


def check_pairs(builder: Builder, people: Faces) -> None:
    """Raise FairLabError for batches with pairs of more identities than the study's real faces have with two images.

    Parts of the data, people held out, and other faces are not looked at: a run refuses what they leave too few of.
    """
    asking = [
        run.record
        for run in builder.runs.values()
        if run.record.config.training is not None
        and run.record.config.training.pair_identities
        and run.record.config.data.dataset == people.dataset
        and run.record.config.data.splits == Data().splits
    ]
    paired = _paired(builder, people) if asking else {}
    for record in asking:
        wanted = record.config.training.pair_identities if record.config.training else 0
        count = sum(paired[group] for group in record.config.data.groups or paired)
        if wanted > count:
            raise FairLabError(
                f"{record.title}: training.pair_identities is {wanted}, and {count} of its identities have two images or "
                "more; take fewer, or data with more images of each identity"
            )


def _paired(builder: Builder, people: Faces) -> dict[str, int]:
    """Identities of each group with two training images or more."""
    demo = builder.study.demo
    if demo is not None:
        return dict.fromkeys(demo.groups, demo.train_identities if demo.train_images >= 2 else 0)
    images = _named(builder.workspace, people.dataset).images
    counts = images[images["split"] == "train"].groupby(["group", "identity"], observed=True).size()
    return {group: int((counts.loc[[group]] >= 2).sum()) for group in people.sizes}
