"""`fairlab fairness`: the numbers of the Fairness page, of a run or of any table of scored pairs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.table import Table

from fairlab.api import Lab
from fairlab.api.console import console
from fairlab.cli import arguments
from fairlab.cli.grammar import Parser
from fairlab.cli.show import say_caveats
from fairlab.compare.scored import scored
from fairlab.data.selections import SIDES
from fairlab.errors import FairLabError
from fairlab.evaluation.fairness_report import FairnessReport, fairness_report, groups_of, metric_p, point_of
from fairlab.evaluation.intervals import p_words
from fairlab.evaluation.metrics import FAIRNESS_METRICS
from fairlab.evaluation.paired import paired_seeds, power_sentences, with_scores
from fairlab.evaluation.score_frames import DEFECTS, ScoredPairs, same_pairs, scored_pairs
from fairlab.settings.study import Evaluation
from fairlab.store.results import results_facts
from fairlab.workspace import Workspace

COLUMNS = """columns of a table: score (or similarity, cosine ...; distance with --distances); group (or group1, group2; race,
ethnicity ...); label or genuine (1 or 0); id1 and id2 (whose faces: for intervals over people); img1, img2 (to find
duplicates); fold (for accuracies). Names may be in capitals. Bob's columns are understood too: probe_subject_id,
bio_ref_subject_id, probe_<attribute>, bio_ref_<attribute>, score. Separated by commas, semicolons or tabs; UTF-8 or UTF-16;
decimal points or commas."""


def fairness(workspace: Workspace, options: argparse.Namespace) -> int:
    """Print the rates of every group and the fairness metrics at one operating point, or how two models differ there."""
    options.draws, options.seed = _drawn(workspace, options)
    if options.against:
        return _against(workspace, options)
    report = fairness_report(
        _pairs(workspace, options),
        options.at_fmr,
        threshold=options.threshold,
        own_fmr=options.at_own_fmr,
        draws=options.draws,
        seed=options.seed,
        adjust="" if options.adjust == "none" else options.adjust,
    )
    if options.json:
        print(json.dumps(report.as_json(), indent=1, allow_nan=False))
    elif options.csv:
        print(
            {"groups": report.groups, "metrics": report.metrics, "matrix": report.matrix}[options.csv].to_csv(
                index=False
            ),
            end="",
        )
    else:
        show(report)
    return 0


def _against(workspace: Workspace, options: argparse.Namespace) -> int:
    """Print the differences of two models, or of two sets of seeds, on the same pairs."""
    names = [side.split(",") for side in (options.scores, options.against)]
    first, *others = [_pairs(workspace, options, name) for side in names for name in side]
    point = point_of(options.at_fmr, options.threshold, options.at_own_fmr)
    groups = groups_of(first, options.draws, options.seed)
    drawn = [groups, *(with_scores(groups, same_pairs(first, other)) for other in others)]
    report = paired_seeds(drawn[: len(names[0])], drawn[len(names[0]) :], point, options.seed)
    said = [*power_sentences(report), *(f"note: {note}" for note in (*first.notes, *map(str, first.defects)))]
    if options.json:
        rows = report.astype(object).where(report.notna(), None).to_dict("records")
        found = {"operating_point": point.name, "draws": options.draws, "seed": options.seed, "differences": rows}
        print(json.dumps({**found, "runs": names, "said": said}, indent=1, allow_nan=False))
    elif options.csv:
        raise FairLabError("--csv prints a table of one model; with --against take --json")
    else:
        show_differences(report, said)
    return 0


def show_differences(report: pd.DataFrame, said: Sequence[str]) -> None:
    """Differences of the first from the second model, accuracies and rates in points, and what cannot be seen."""
    table = Table(box=None, pad_edge=False)
    for name in ("group", "of", "difference", "p"):
        table.add_column(name, justify="left" if name in ("group", "of") else "right")
    for row in report.itertuples():
        rate = row.metric in ("accuracy", "fmr", "fnmr")
        title = f"{row.metric}, points" if rate else str(FAIRNESS_METRICS[str(row.metric)].title)
        number = _rate(row.difference, row.low, row.high, 100 if rate else 1)
        table.add_row(str(row.group), title, number, p_words(row.p, row.draws) or "n/a")
    console.print(table)
    for sentence in said:
        console.print(sentence, markup=False)


def _is_table(scores: str) -> bool:
    return Path(scores).expanduser().is_file() or bool(Path(scores).suffix) or "/" in scores


def _drawn(workspace: Workspace, options: argparse.Namespace) -> tuple[int, int]:
    """(draws, seed) as asked for; otherwise those that a run was judged with, so that pages and command say the same."""
    asked, first = Evaluation(), options.scores.split(",")[0]
    if not _is_table(first):
        if options.selected != "only" and not options.selection:
            raise FairLabError("--selected says which side of a selection counts: name one with --selection")
        if options.exclude or options.score or options.distances:
            raise FairLabError("--exclude, --score and --distances belong to a table of scores, not to a run")
        record = Lab(workspace).runs[first].record
        data = options.data or record.dataset
        asked = Evaluation.model_validate(results_facts(record.folder, data)["settings"])
    draws = asked.bootstrap if options.draws is None else options.draws
    return draws, asked.seed if options.seed is None else options.seed


def _pairs(workspace: Workspace, options: argparse.Namespace, scores: str = "") -> ScoredPairs:
    """Those of a file, or else of a run."""
    scores = scores or options.scores
    if _is_table(scores):
        if options.selection:
            raise FairLabError("--selection belongs to a run: a table of scores does not name images of a data set")
        if len(options.by) > 1:
            raise FairLabError(
                "the groups of a table are the values of one attribute; only of a run --by takes several"
            )
        return scored_pairs(scores, options.exclude, "".join(options.by), options.score, options.distances)
    lab = Lab(workspace)
    record = lab.runs[scores].record
    dataset = lab.data[options.data or record.dataset].opened
    say_caveats(workspace, [scores], dataset.dataset_id)
    chosen = None
    if options.selection:
        handle = lab.data[dataset.dataset_id].selections[options.selection]
        chosen = handle.side(options.selected)
    return scored(record, dataset, options.pairs, options.by, chosen)


def show(report: FairnessReport) -> None:
    """The report for people: what it says first, then the numbers it rests on."""
    for sentence in report.summary:
        console.print(sentence, markup=False)
    rows = Table(box=None, pad_edge=False)
    for name in (
        "group",
        "people",
        "genuine",
        "impostor",
        "false matches",
        "FMR %",
        "false non-matches",
        "FNMR %",
        "AUC",
        "EER %",
    ):
        rows.add_column(name, justify="left" if name == "group" else "right")
    for row in report.groups.itertuples():
        rates = [
            _rate(getattr(row, kind), getattr(row, f"{kind}_low"), getattr(row, f"{kind}_high"), 100)
            for kind in ("fmr", "fnmr")
        ]
        rows.add_row(
            str(row.group), f"{row.identities:,}" if report.pairs.named else "?", f"{row.genuine_pairs:,}", f"{row.impostor_pairs:,}",
            f"{row.false_matches:,}", rates[0], f"{row.false_non_matches:,}", rates[1], _number(row.auc), _number(100 * row.eer),
        )  # fmt: skip
    console.print(rows)
    metrics = Table(box=None, pad_edge=False)
    for name in ("metric", "value", "fair is", "by chance up to", "p", "formula"):
        metrics.add_column(name, justify="left" if name in ("metric", "formula") else "right")
    for row in report.metrics.itertuples():
        fair = "" if row.fair_value != row.fair_value else f"{row.fair_value:g}"
        p = metric_p(row.p, row.p_adjusted)
        metrics.add_row(row.title, _rate(row.value, row.low, row.high), fair, _number(row.fair_p95), p, row.formula)
    console.print(metrics)
    one = "" if report.at.point.rule == "own" else f"threshold {report.at.thresholds[0]:.6g}; "
    console.print(f"{one}{report.method}", markup=False)
    for note in report.notes:
        console.print(f"note: {note}", markup=False)


def _number(value: float) -> str:
    return "n/a" if value != value else f"{value:.4g}"


def _rate(value: float, low: float, high: float, factor: float = 1.0) -> str:
    """A number with its interval; "n/a" when it is not defined."""
    if value != value:
        return "n/a"
    between = f" [{factor * low:.3g}, {factor * high:.3g}]" if low == low and high == high else ""
    return f"{factor * value:.4g}{between}"


def fairness_options(parser: Parser) -> None:
    parser.epilog = "`fairlab settings show table` says which columns a table has"
    parser.set_defaults(do=fairness)
    parser.usage = f"{parser.prog} [options] SCORES"
    parser.add_argument("scores", metavar="SCORES", help="a table of scored pairs (CSV, TSV, Parquet), or a run id")
    parser.add_argument(
        "--against",
        default="",
        metavar="S",
        help="SCORES on the same pairs to compare with; seeds as RUN,RUN --against RUN,RUN",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--at-fmr", type=float, metavar="X", help="one threshold, at this FMR of all groups (default 0.01)"
    )
    where.add_argument("--at-own-fmr", type=float, metavar="X", help="a threshold for each group, at its own FMR")
    where.add_argument("--threshold", type=float, metavar="X", help="this threshold")
    parser.add_argument(
        "--by",
        nargs="+",
        default=[],
        metavar="NAME",
        help="attribute whose values are the groups; of a run also several",
    )
    draws = arguments.whole(1, 100_000)
    parser.add_argument(
        "--draws", type=draws, metavar="N", help="draws of people (default: the run's; for a table 1000)"
    )
    parser.add_argument(
        "--seed", type=arguments.seed, metavar="N", help="seed of the draws (default: the run's; for a table 0)"
    )
    parser.add_argument("--adjust", choices=["none", "holm"], default="none", help="adjust p values for being many")
    out = parser.add_mutually_exclusive_group()
    out.add_argument("--json", action="store_true", help="print JSON")
    out.add_argument("--csv", choices=["groups", "metrics", "matrix"], help="print one table as CSV")
    run = parser.add_argument_group("of a run")
    run.add_argument("--data", default="", help="data set (default: the one trained on)")
    run.add_argument("--pairs", default="test", help="which pair list (default: test)")
    run.add_argument("--selection", default="", metavar="NAME", help="pairs on one side of a saved selection alone")
    run.add_argument(
        "--selected",
        choices=list(SIDES),
        default="only",
        metavar="SIDE",
        help=f"{', '.join(list(SIDES)[:-1])} or {list(SIDES)[-1]}",
    )
    table = parser.add_argument_group("of a table")
    table.add_argument("--score", default="", metavar="NAME", help="column with the scores (default: a usual name)")
    table.add_argument("--distances", action="store_true", help="it holds distances: smaller means more alike")
    table.add_argument(
        "--exclude", nargs="+", default=[], metavar="WHAT", help=f"leave out bad lines: {', '.join(DEFECTS)}, or all"
    )


COMMANDS = {"fairness": fairness_options}
