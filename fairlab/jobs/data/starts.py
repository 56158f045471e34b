"""What a person starts with data: a look, adding, making some of others, a check for overlap, and where they are now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.inspect.moving import look_there, put
from fairlab.data.inspect.verdicts import verdict
from fairlab.data.recipes import chosen_of
from fairlab.data.selections import read_selection
from fairlab.errors import FairLabError, Refused
from fairlab.jobs.data.adding import changed_since
from fairlab.jobs.data.drawing import METHOD, miner_of, other_pairs
from fairlab.jobs.data.measuring import METHOD as MEASURING
from fairlab.jobs.data.measuring import check_measurable
from fairlab.jobs.data.missing import missing
from fairlab.jobs.data.overlap import parts_of
from fairlab.plan.plan import single, slug
from fairlab.queue.launch import delete, start_one
from fairlab.settings.protocols import Drawing, DrawnPairs
from fairlab.settings.study import Data, Measuring, Overlap, Recipe, Run, Source
from fairlab.store.database import list_runs
from fairlab.store.embeddings import has_embeddings
from fairlab.store.locks import CUT_SHORT, cut_short, no_starts
from fairlab.store.runs import read_run, state
from fairlab.workspace import Workspace


def inspect_data(workspace: Workspace, source: Source) -> str:
    """Start the job that looks at somebody's data without adding them; returns its run id (report.json in its folder).

    For the report at once, in this process: fairlab.jobs.data.adding.dry_run.
    """
    record = single(workspace, f"Inspect {Path(source.path).name}", _source_run("inspect", source, ""), ())
    return start_one(workspace, record, anew=True)


def add_data(workspace: Workspace, source: Source, name: str = "") -> str:
    """Start the job that registers somebody's data as data set `name` (default: from the path); returns its run id.

    Raises Refused when other data have that name already, or when these files have changed since they were added.
    """
    name = slug(name or Path(source.path).expanduser().absolute().stem)
    record = single(workspace, f"Data {name}", _source_run("add", source, name), ())
    folder = workspace.dataset(name)
    if (folder / "dataset.json").exists() and not (record.folder / "run.json").exists():
        raise Refused(f"there is already a data set {name!r}; choose another name")
    if (folder / "dataset.json").exists() and state(record.folder).status == "done" and (how := changed_since(record)):
        raise Refused(
            f"the files in {source.path} have changed since they were added as data set {name!r}: {how}; "
            f"add them under another name, or delete data set {name!r} first (`fairlab runs delete {record.run_id}`)"
        )
    return start_one(workspace, record)


def make_data(workspace: Workspace, recipe: Recipe, name: str) -> str:
    """Start the job that makes data set `name` by a recipe over others, without copying; returns its run id.

    Raises FairLabError when a data set of the recipe is not there, Refused when other data have that name already.
    """
    if not name.strip():
        raise FairLabError("name the data set to make")
    name = slug(name)
    for parent in filter(None, (recipe.dataset, recipe.mix)):
        open_dataset(workspace.dataset(parent))
    chosen_of(recipe, open_dataset(workspace.dataset(recipe.dataset)))
    config = Run(role="dataset", method="recipe", seed=recipe.seed, data=Data(dataset=name), recipe=recipe)
    record = single(workspace, f"Data {name}", config, ())
    known = (record.folder / "run.json").exists()
    if (workspace.dataset(name) / "dataset.json").exists():
        if not known:
            raise Refused(f"there is already a data set {name!r}; choose another name")
        _same_selection(workspace, recipe, open_dataset(workspace.dataset(name)))
        try:
            open_dataset(workspace.dataset(name)).parents()
        except FairLabError:  # its parents have changed since
            delete(workspace, record.run_id)
    return start_one(workspace, record)


def _same_selection(workspace: Workspace, recipe: Recipe, made: Dataset) -> None:
    """Raise Refused where a data set was made of a selection that has been saved anew since, with other images."""
    if not recipe.selection:
        return
    now, then = read_selection(workspace, recipe.dataset, recipe.selection), made.info.get("selection", {})
    if then.get("hash") != now.hash:
        raise Refused(
            f"data set {made.dataset_id} was made of an earlier selection {recipe.selection!r} with other images; choose "
            "another name, or delete that data set"
        )


def move_data(
    workspace: Workspace,
    name: str,
    to: str,
    changed: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Dataset:
    """Say where the images of data set `name` are now; returns it as it is then. Every image is read there once.

    changed: take images that are others as they are now; it is other data then. Raises what data.moving.look_there does, and
    Refused when the data set changed meanwhile: people who were deleted must not come back with what was read before.
    """
    data = open_dataset(workspace.dataset(name))
    seen = look_there(data, Path(to), changed, progress)
    with no_starts(workspace):
        if cut_short(workspace):
            raise Refused(f"{CUT_SHORT}, then give the location of the images again")
        if open_dataset(workspace.dataset(name)).info != data.info:
            raise Refused(f"data set {name} changed while its images were read; give their location again")
        put(data, seen)
    return open_dataset(workspace.dataset(name))


def find_data(workspace: Workspace, name: str, path: str = "") -> str:
    """Start the job that brings back data set `name`, which runs know and which is not here; returns its run id.

    path: where its images are now; "" for data that were generated or made of others. Data with another fingerprint are
    refused by the job, and nothing is registered. Raises FairLabError where no run says how the data were added, and
    Refused when the data set is here.
    """
    if (workspace.dataset(name) / "manifest.json").exists():
        raise Refused(f"data set {name} exists; `fairlab data move {name} PATH` sets a new location for its images")
    lost = missing(workspace, name)
    if lost.maker is None:
        raise FairLabError(
            f"no run in this workspace recorded how data set {name} was added: add it with `{lost.command()}`"
        )
    source = lost.maker.config.source
    if source is None:
        if path:
            raise Refused(f"data set {name} was not read from a folder: `{lost.command()}` creates it again")
        recipe = lost.maker.config.recipe
        for parent in filter(None, (recipe.dataset, recipe.mix)) if recipe is not None else ():
            open_dataset(workspace.dataset(parent))
        return start_one(workspace, lost.maker)
    if not path:
        raise FairLabError(f"give the location of the images of data set {name}: `{lost.command()}`")
    to = Path(path).expanduser().absolute()
    if not to.exists():
        raise FairLabError(f"{to} does not exist; give the location of the images of data set {name}")
    tables = {
        field: _beside(Path(str(getattr(source, field))), Path(source.path), to, name)
        for field in ("groups_table", "pair_list")
        if getattr(source, field)
    }
    again = source.model_copy(update={"path": str(to), "fingerprint": lost.fingerprint, **tables})
    return add_data(workspace, again, name)


def _beside(table: Path, root: Path, to: Path, name: str) -> str:
    """A table that was added with the images of `root`, now that they are at `to`. Raises FairLabError where it is not."""
    inside = [to / table.relative_to(root)] if table.is_relative_to(root) else []
    for place in (*inside, to.parent / table.name, table):
        if place.is_file():
            return str(place)
    raise FairLabError(f"data set {name} was added with the file {table.name}: put it into {to.parent}, then try again")


def check_overlap(workspace: Workspace, settings: Overlap) -> str:
    """Start the job that looks for people and images of a test set in a training set; returns its run id.

    Nothing is done anew while the last check had the same settings and the same data; the outcome: verdict(workspace,
    train, test). Raises FairLabError when a data set, a part or the model's embeddings are not there.
    """
    train, test = (open_dataset(workspace.dataset(name)) for name in (settings.train, settings.test))
    parts_of(settings, train, test)
    for name in dict.fromkeys((settings.train, settings.test)) if settings.model else ():
        if not has_embeddings(read_run(workspace, settings.model).folder, name, "plain"):
            raise FairLabError(
                f"{settings.model} has no embeddings of {name}: run `fairlab models embed {settings.model} {name}` first"
            )
    config = Run(role="dataset", method="overlap", data=Data(), overlap=settings)
    record = single(workspace, f"Overlap of {settings.train} and {settings.test}", config, ())
    if (record.folder / "run.json").exists() and state(record.folder).status == "done":
        found = verdict(workspace, settings.train, settings.test)
        if found is None or found.stale or found.facts["run_id"] != record.run_id:
            delete(workspace, record.run_id)
    return start_one(workspace, record)


def draw_pairs(workspace: Workspace, name: str, settings: DrawnPairs | None = None) -> str:
    """Start the job that draws pairs for data set `name`, which came without; returns its run id.

    What would be drawn, in this process and without writing: runs.drawing.drawn_pairs. Raises FairLabError when the data set
    or the model's embeddings are not there, and when the data set has a list already.
    """
    settings = settings or DrawnPairs()
    other_pairs(open_dataset(workspace.dataset(name)))
    miner_of(workspace, name, settings)
    config = Run(role="dataset", method=METHOD, data=Data(), drawing=Drawing(dataset=name, pairs=settings))
    # It may be done already, for a data set that has been made again since.
    return start_one(workspace, single(workspace, f"Pairs of {name}", config, ()), anew=True)


def measure_traits(workspace: Workspace, name: str) -> str:
    """Start the job that measures traits of data set `name` from its pixels; returns its run id.

    A job that was stopped, or ended badly, goes on where it was. Raises FairLabError for a data set without images, or by
    recipe, and Refused where traits of another source have the names.
    """
    check_measurable(open_dataset(workspace.dataset(name)))
    config = Run(role="dataset", method=MEASURING, data=Data(), measuring=Measuring(dataset=name))
    record = single(workspace, f"Traits of {name}", config, ())
    done = (record.folder / "run.json").exists() and state(record.folder).status == "done"
    return start_one(workspace, record, anew=done)


def latest_job(workspace: Workspace, method: str, matches: Callable[[Run], bool]) -> str:
    """The newest job of a kind that works, waits, or ended badly, on what its settings say; "" for none."""
    runs = list_runs(workspace)
    for name in runs.loc[(runs["method"] == method) & (runs["status"] != "done"), "run_id"][::-1]:
        if matches(read_run(workspace, name).config):
            return str(name)
    return ""


def _source_run(method: str, source: Source, name: str) -> Run:
    absolute = source.model_copy(update={"path": str(Path(source.path).expanduser().absolute())})
    return Run(role="dataset", method=method, data=Data(dataset=name), source=absolute)
