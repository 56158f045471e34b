"""`fairlab runs pairs` and `people`: the pairs of faces, and the people, behind a run's error rates."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from fairlab.cli import arguments
from fairlab.cli.grammar import Noun, json_option, run_argument
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

MOST = 100_000
"""Rows that one call prints at most."""


def pairs_options(noun: Noun) -> None:
    """The options of `fairlab runs pairs`."""
    parser = noun.add(
        "pairs",
        "the pairs of faces behind the error rates, the worst first",
        show_pairs,
        "distance: score - threshold. With --against, the columns ..._there show what the second model says of the pair.",
    )
    run_argument(parser, "run", "run id")
    parser.add_argument(
        "--kind",
        choices=["false-match", "false-non-match", "nearest"],
        default="false-match",
        help="errors, or the pairs nearest to the threshold (default: false-match)",
    )
    parser.add_argument("--group", default="", metavar="G", help="only pairs with a person of this group")
    parser.add_argument("--other-group", default="", metavar="G", help="the other person is of this group")
    parser.add_argument("--person", default="", metavar="P", help="only pairs with this person")
    parser.add_argument("--against", default="", metavar="RUN2", help="a second model on the same pairs")
    parser.add_argument(
        "--among",
        choices=["here", "only-here", "both", "only-there"],
        default="here",
        help="with --against: errors of this model (default), only of it, of both models, only of the second",
    )
    where_options(parser, "which pair list (default: test); all_pairs: the hardest impostors of all comparisons")
    parser.add_argument(
        "--most", type=arguments.whole(1, MOST), default=50, metavar="N", help="print N pairs at most (default 50)"
    )
    json_option(parser)


def people_options(noun: Noun) -> None:
    """The options of `fairlab runs people`."""
    parser = noun.add(
        "people",
        "the people behind the error rates, those with most errors first",
        show_people,
        "Intervals are Clopper-Pearson over a person's pairs; p: how often as many errors fall on so many pairs by chance.",
    )
    run_argument(parser, "run", "run id")
    parser.add_argument(
        "--kind",
        choices=["false-match", "false-non-match"],
        default="false-match",
        help="errors that people are ordered by (default: false-match)",
    )
    parser.add_argument("--group", default="", metavar="G", help="only this group")
    parser.add_argument(
        "--table",
        choices=["people", "shares", "lorenz", "zoo", "differ"],
        default="people",
        help="each person (default), the share of all errors that the worst make, its curve, kinds of people, "
        "whether people differ",
    )
    where_options(parser)
    parser.add_argument(
        "--most", type=arguments.whole(1, MOST), default=50, metavar="N", help="print N people at most (default 50)"
    )
    json_option(parser)


def where_options(parser: argparse.ArgumentParser, lists: str = "which pair list (default: test)") -> None:
    """Operating point, data set, pair list and groups; where() reads them."""
    point = parser.add_mutually_exclusive_group()
    point.add_argument(
        "--at-fmr", type=float, metavar="X", help="one threshold, at this FMR of all groups (default 0.01)"
    )
    point.add_argument("--at-own-fmr", type=float, metavar="X", help="a threshold for each group, at its own FMR")
    point.add_argument("--threshold", type=float, metavar="X", help="this threshold")
    parser.add_argument("--data", default="", help="data set (default: the one trained on)")
    parser.add_argument("--pairs", default="test", help=lists)
    parser.add_argument(
        "--by", nargs="+", default=[], metavar="NAME", help="attributes whose values together are the groups"
    )


def where(options: argparse.Namespace) -> dict[str, Any]:
    """What where_options() read, as arguments of the Python calls."""
    return {
        "at_fmr": options.at_fmr,
        "own_fmr": options.at_own_fmr,
        "threshold": options.threshold,
        "dataset": options.data,
        "pairs": options.pairs,
        "by": options.by,
    }


def show_pairs(workspace: Workspace, options: argparse.Namespace) -> None:
    """Print the pairs wanted."""
    from fairlab.api import Lab
    from fairlab.cli import show

    run = Lab(workspace).runs[options.run]
    show.say_caveats(workspace, [options.run], options.data or run.dataset)
    table = run.pairs(
        options.kind,
        options.group,
        options.person,
        options.against,
        other_group=options.other_group,
        among=options.among,
        **where(options),
    )
    if len(table) > options.most:
        show.say(f"the first {options.most:,} of {len(table):,} pairs; --most N prints more")
    table = table.head(options.most)
    show.show_table(table if options.json else narrow(table), options.json, "no such pair at this operating point")


def show_people(workspace: Workspace, options: argparse.Namespace) -> None:
    """Print one of the tables about people."""
    from fairlab.api import Lab
    from fairlab.cli import show

    run = Lab(workspace).runs[options.run]
    show.say_caveats(workspace, [options.run], options.data or run.dataset)
    table = run.people(options.kind, options.group, options.table, **where(options))
    if options.table == "people" and len(table) > options.most:
        show.say(f"the first {options.most:,} of {len(table):,} people; --most N prints more")
        table = table.head(options.most)
    show.show_table(table if options.json else narrow(table), options.json, "no people within a group are compared")


def narrow(table: pd.DataFrame) -> pd.DataFrame:
    """Without columns that say nothing here, numbers with four decimals."""
    empty = [name for name in table if len(table) and table[name].isna().all()]
    numbers = [name for name in table if str(table[name].dtype) == "float64"]
    return table.assign(**{name: table[name].round(4) for name in numbers}).drop(columns=empty)
