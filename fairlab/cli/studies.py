"""`fairlab demo`, `launch`, `compare` and `studies`: studies planned, started, shown as a table, and ended."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from fairlab.api import Lab
from fairlab.api.studies import Study
from fairlab.cli import arguments, show, show_compare, show_studies
from fairlab.cli.arguments import dials, where
from fairlab.cli.grammar import Noun, Parser, data_argument, json_option, placement_options, set_option, study_argument
from fairlab.cli.labels import find_options, label_commands
from fairlab.errors import FairLabError
from fairlab.jobs.models.study_folders import check_test_set
from fairlab.presets import preset_names
from fairlab.settings.study import StudyFolder, parse
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

EXAMPLE = "change a setting, e.g. student.training.epochs=5 (`fairlab settings show launch`)"


def demo_options(parser: Parser) -> None:
    parser.add_argument("--quick", action="store_true", help="the short version (preset demo_quick)")
    _study_options(parser)
    parser.set_defaults(do=demo, silent=True, dry_run=False)


def launch_options(parser: Parser) -> None:
    parser.add_argument("preset", nargs="?", help=f"one of: {', '.join(preset_names())}")
    parser.add_argument("--clone", metavar="STUDY", help="start from the settings of an earlier study instead")
    parser.add_argument("--dry-run", action="store_true", help="show the plan, its time and disk, and start nothing")
    _study_options(parser)
    parser.set_defaults(do=launch)


def _study_options(parser: Parser) -> None:
    parser.add_argument("--seeds", type=arguments.seed, nargs="+", help="repeat the study with these seeds")
    parser.add_argument(
        "--vary",
        metavar="SETTING=V1,V2",
        action="append",
        default=[],
        help="make a setting an axis of the study, e.g. student.loss.margin_rad=0.3,0.5; several give every combination, in "
        "place of the axes that a preset has",
    )
    parser.add_argument("--no-wait", action="store_true", help="return at once; the runs continue in the background")
    placement_options(parser)
    set_option(parser, EXAMPLE)


def compare_options(parser: Parser) -> None:
    study_argument(parser, help_="study id (default: the newest)", nargs="?")
    parser.add_argument("--data", default="", help="data set to compare on (default: the study's)")
    parser.add_argument(
        "--added", action="store_true", help="only the models added from files, on the data set of --data"
    )
    parser.add_argument("--pairs", default="test", help="pair list or protocol to compare by (default: test)")
    parser.add_argument("--baseline", help="title or run id to compare with (default: the student without KD)")
    parser.add_argument("--seed", type=arguments.seed, help="only the runs of this seed (default: the mean of all)")
    parser.add_argument("--along", metavar="SETTING", help="the numbers along a setting that the study varies")
    parser.add_argument(
        "--front", metavar="MEASURE", help="the front of accuracy against unfairness: std, ser or worst (Pareto)"
    )
    parser.add_argument(
        "--sets",
        metavar="DATASET",
        nargs="*",
        help="a column for each data set (default: all that models are evaluated on)",
    )
    parser.add_argument(
        "--format", choices=["table", "csv", "latex", "markdown"], default="table", help="how to print it"
    )
    json_option(parser)
    parser.set_defaults(do=compare)


def studies_commands(parser: Parser) -> None:
    noun = Noun(parser)
    listed = noun.add("list", "all studies, newest first", list_studies)
    find_options(listed)
    json_option(listed)
    label_commands(noun, "studies")
    folder = noun.add("import", "import MST-KD's official checkpoints as a study, and evaluate them", import_study)
    folder.add_argument("path", help="folder with <Ethnicity>, teacher_baseline, EArcAdapter and KD in it")
    data_argument(folder, "--data", "data set with pairs to evaluate on, e.g. RFW", default="")
    folder.add_argument("--name", default="", help="what to call the study (default: the folder's name)")
    folder.add_argument("--dry-run", action="store_true", help="report what was recognised, and import nothing")
    folder.add_argument("--no-wait", action="store_true", help="return at once; the runs continue in the background")
    json_option(folder)
    placement_options(folder)
    set_option(folder, "change a setting, e.g. step=last (`fairlab settings show studies.import`)")
    stop = noun.add("stop", "stop all runs of a study that wait or work", stop_study)
    study_argument(stop)
    stop.add_argument("--force", action="store_true", help="end their processes now; their last checkpoints stay")
    resume = noun.add("resume", "continue all runs of a study that stopped, failed or crashed", resume_study)
    study_argument(resume)
    placement_options(resume)
    told = noun.add("tell", "send how a study stands to your notify.url and notify.command, to try them", tell_study)
    study_argument(told)
    delete = noun.add("delete", "delete a study with its runs; runs that other studies have too stay", delete_study)
    study_argument(delete)
    delete.add_argument("--dry-run", action="store_true", help="only say what would go and what needs it")
    delete.add_argument("--force", action="store_true", help="even if others build on its runs")
    json_option(delete)


COMMANDS = {"demo": demo_options, "launch": launch_options, "compare": compare_options, "studies": studies_commands}


def demo(workspace: Workspace, options: argparse.Namespace) -> int:
    return _launch(Lab(workspace), "demo_quick" if options.quick else "demo_mst_kd", options)


def launch(workspace: Workspace, options: argparse.Namespace) -> int:
    if bool(options.preset) == bool(options.clone):
        raise FairLabError(f"name a preset ({', '.join(preset_names())}) or give --clone STUDY")
    lab = Lab(workspace)
    return _launch(lab, lab.studies[options.clone] if options.clone else options.preset, options)


def _launch(lab: Lab, preset: str | Study, options: argparse.Namespace) -> int:
    plan = lab.studies.plan(preset, dials(options))
    if options.dry_run:
        lab.studies.estimate(plan, show.say)
        show.show_plan(lab.workspace, plan)
        return 0
    queued = sum(run.status not in ("done", "running", "queued") for run in plan.runs)
    study = lab.studies.start(plan, where=where(options))
    done = len(plan.runs) - len(plan.new)
    print(f"study {plan.study_id}: {len(plan.runs)} runs, {queued} queued, {done} done before")
    if options.no_wait:
        return 0
    if not show.watch(lab.workspace, [run.record.run_id for run in plan.runs]):
        return 1
    show_compare.show_comparison(lab.workspace, study.compare(), plan.study_id)
    return 0


def compare(workspace: Workspace, options: argparse.Namespace) -> int:
    lab = Lab(workspace)
    if options.added and options.study:
        raise FairLabError("--added compares the models added from files alone; name either a study or --added")
    if options.added and not options.data:
        raise FairLabError("--added needs --data: the data set to compare the added models on")
    known = lab.studies.table()["study_id"].tolist()
    if not (options.added or options.study or known):
        raise FairLabError("there is no study yet; start one with `fairlab demo`")
    study = "" if options.added else options.study or known[0]
    return _compare(lab, study, options)


def _compare(lab: Lab, study: str, options: argparse.Namespace) -> int:
    from fairlab.compare.compare import default_dataset
    from fairlab.compare.exports import caption, exported
    from fairlab.compare.next_steps import without_numbers
    from fairlab.tables import rows_as_json

    if options.sets is not None:
        return _compare_sets(lab, study, options)
    asked = {"pairs": options.pairs, "baseline": options.baseline, "seed": options.seed}
    table = lab.studies[study].compare(options.data, **asked) if study else lab.models.compare(options.data, **asked)
    if (options.along or options.front) and len(table):
        return _compare_part(lab, table, options)
    if options.format == "table" and not options.json:
        show_compare.show_comparison(lab.workspace, table, study, options.data, options.pairs)
        return 0
    data = options.data or default_dataset(lab.workspace, study)
    if len(table):
        show.say_caveats(lab.workspace, table["run_id"].tolist(), data)
    if options.json:
        print(rows_as_json(table))
    elif table.empty:
        raise FairLabError(without_numbers(lab.workspace, study, options.data, options.pairs))
    else:
        print(exported(table, options.format, caption(table, data, options.pairs)), end="")
    return 0


def import_study(workspace: Workspace, options: argparse.Namespace) -> int:
    lab = Lab(workspace)
    folder = parse(StudyFolder, {**dials(options), "path": options.path}, "--set")
    if not options.dry_run:
        check_test_set(workspace, options.data)
    report = lab.studies.preview(folder, show.progress_line("files"))
    if options.dry_run:
        show_studies.show_folder(report, options.json)
        return 0
    study = lab.studies.import_(report, options.data, options.name, where=where(options) or None)
    if options.json:
        print(json.dumps({"study_id": study.study_id, **report}, indent=1))
    else:
        show_studies.show_folder(report, False)
        print(f"study {study.study_id}: {len(report['models'])} models, evaluated on {options.data}")
    if options.no_wait:
        return 0
    with show.results_only(options.json):
        if not show.watch(workspace, study.info.run_ids):
            return 1
    if not options.json:
        show_compare.show_comparison(workspace, study.compare(), study.study_id)
    return 0


def _compare_sets(lab: Lab, study: str, options: argparse.Namespace) -> int:
    """What --sets asks for, in the format asked for."""
    from fairlab.compare.exports import as_csv
    from fairlab.tables import rows_as_json

    if not study:
        raise FairLabError("--sets compares the models of a study: name one")
    if options.along or options.front or options.data:
        raise FairLabError("--sets is a table of its own: leave out --along, --front and --data")
    if options.format in ("latex", "markdown"):
        raise FairLabError("--sets is printed as table or csv, or with --json")
    table = lab.studies[study].over_sets(*options.sets, pairs=options.pairs, seed=options.seed)
    if options.json:
        print(rows_as_json(table))
    elif options.format == "csv":
        print(as_csv(table), end="")
    else:
        show_compare.show_sets(table, study)
    return 0


def _compare_part(lab: Lab, table: pd.DataFrame, options: argparse.Namespace) -> int:
    """What --along or --front asks for, in the format asked for."""
    from fairlab.compare.exports import as_csv
    from fairlab.compare.front import front_of
    from fairlab.compare.varied import along
    from fairlab.tables import rows_as_json

    if options.along and options.front:
        raise FairLabError("--along and --front are two tables: give one of them")
    if options.format in ("latex", "markdown"):
        raise FairLabError("--along and --front are printed as table or csv, or with --json")
    front = front_of(table, options.front) if options.front else None
    part = along(table, options.along) if front is None else front.points
    if options.json:
        print(rows_as_json(part))
    elif options.format == "csv":
        print(as_csv(part), end="")
    elif front is not None:
        show_compare.show_front(front)
    else:
        show_compare.show_along(part, options.along)
    return 0


def list_studies(workspace: Workspace, options: argparse.Namespace) -> None:
    table = Lab(workspace).studies.find(options.search, tags=options.tag, starred=options.starred)
    looked_for = options.search or options.tag or options.starred
    none = "no study matches" if looked_for else "no study yet; start one with `fairlab demo`"
    show.show_table(table if options.json else _labelled(table), options.json, none)


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Studies for people: tags and stars only where there are some, and no notes, which may have many lines."""
    unused = [name for name in ("tags", "star") if not table[name].astype(bool).any()]
    return table.drop(columns=["note", *unused])


def stop_study(workspace: Workspace, options: argparse.Namespace) -> None:
    _count("asked to stop", Lab(workspace).studies[options.study].stop(options.force))


def resume_study(workspace: Workspace, options: argparse.Namespace) -> None:
    _count("queued again", Lab(workspace).studies[options.study].resume(where(options)))


def tell_study(workspace: Workspace, options: argparse.Namespace) -> None:
    print(f"sent to {' and '.join(Lab(workspace).studies[options.study].tell())}")


def delete_study(workspace: Workspace, options: argparse.Namespace) -> None:
    study = Lab(workspace).studies[options.study]
    show.show_goes([study.what_goes() if options.dry_run else study.delete(options.force)], options.json)


def _count(what: str, run_ids: list[str]) -> None:
    print(f"{len(run_ids)} run{'' if len(run_ids) == 1 else 's'} {what}")
