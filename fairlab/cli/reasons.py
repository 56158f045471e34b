"""`fairlab runs quality` and `causes`: what goes with a run's errors, and what leaving out poor images does."""

from __future__ import annotations

import argparse

from fairlab.cli import behind
from fairlab.cli.grammar import Noun, json_option, run_argument
from fairlab.workspace import Workspace

KINDS = ["false-non-match", "false-match"]


def quality_options(noun: Noun) -> None:
    """The options of `fairlab runs quality`."""
    parser = noun.add(
        "quality",
        "error against discard: rates as the pairs of the worst images are left out",
        show_quality,
        "A pair is as good as the worse of its two images. area: mean rate over the cuts; ideal: where wrong pairs go first.",
    )
    run_argument(parser, "run", "run id")
    parser.add_argument("--trait", default="norm", metavar="T", help="a trait; more of it is better (default: norm)")
    parser.add_argument("--less", action="store_true", help="less of it is better")
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0], help="errors (default: false-non-match)")
    parser.add_argument(
        "--rule", choices=["shared", "each"], default="shared",
        help="one limit of quality for all groups (default), or the same share of every group",
    )  # fmt: skip
    parser.add_argument("--most", type=float, default=0.2, metavar="X", help="share left out at most (default 0.2)")
    parser.add_argument(
        "--table", choices=["areas", "curves", "gaps"], default="areas",
        help="per group (default), every cut, or each group's gap to the others at every cut",
    )  # fmt: skip
    behind.where_options(parser)
    json_option(parser)


def show_quality(workspace: Workspace, options: argparse.Namespace) -> None:
    """Print what leaving out the worst images does."""
    from fairlab.api import Lab
    from fairlab.cli import show

    run = Lab(workspace).runs[options.run]
    show.say_caveats(workspace, [options.run], options.data or run.dataset)
    trait = f"-{options.trait}" if options.less else options.trait
    found = run.quality(trait, options.kind, options.rule, options.most, **behind.where(options))
    if not options.json:
        for sentence in found.sentences:
            show.say(sentence)
    table = getattr(found, options.table)
    show.show_table(table if options.json else behind.narrow(table), options.json, "one group has no gap to others")


def causes_options(noun: Noun) -> None:
    """The options of `fairlab runs causes`."""
    parser = noun.add(
        "causes",
        "which traits of images go with errors, and what of each group's gap they leave",
        show_causes,
        "remains: the gap with traits held equal; goes: what goes with them. Association, not cause.",
    )
    run_argument(parser, "run", "run id")
    parser.add_argument("--traits", nargs="+", default=[], metavar="T", help="default: the data set's own traits")
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0], help="errors (default: false-non-match)")
    parser.add_argument(
        "--outcome", choices=["error", "score"], default="error", help="explain errors (default), or scores"
    )
    parser.add_argument(
        "--table", choices=["gaps", "effects", "shares"], default="gaps",
        help="each group's gap (default), each trait's effect, or each trait's part in each gap",
    )  # fmt: skip
    behind.where_options(parser)
    json_option(parser)


def show_causes(workspace: Workspace, options: argparse.Namespace) -> None:
    """Print what goes with the errors."""
    from fairlab.api import Lab
    from fairlab.cli import show

    run = Lab(workspace).runs[options.run]
    show.say_caveats(workspace, [options.run], options.data or run.dataset)
    found = run.causes(options.traits, options.kind, options.outcome, **behind.where(options))
    if not options.json:
        for sentence in (*found.sentences, *found.notes):
            show.say(sentence)
    table = getattr(found, options.table)
    show.show_table(table if options.json else behind.narrow(table), options.json, "n/a: see above")
