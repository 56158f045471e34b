"""`fairlab report`: one file that says what was tested, how, and what came out."""

from __future__ import annotations

import argparse

from fairlab.api import Lab
from fairlab.cli.grammar import Parser, data_argument, run_argument
from fairlab.workspace import Workspace


def report_options(parser: Parser) -> None:
    run_argument(parser, "runs", "run ids of models, or of repairs; further ones are compared with the first", "+")
    parser.add_argument("--out", required=True, help="file to write: .html (offline, prints to A4), .md or .json")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    data_argument(parser, "--data", "data set (default: the one that the first was trained on)", default="")
    parser.add_argument("--pairs", default="test", help="which pair list (default: test)")
    parser.add_argument(
        "--at-fmr", type=float, metavar="X", default=0.01, help="threshold at this FMR of all groups (0.01)"
    )
    parser.add_argument(
        "--faces", action="store_true", help="with the pairs of faces that the first decides most wrongly"
    )
    parser.set_defaults(do=report)


def report(workspace: Workspace, options: argparse.Namespace) -> int:
    runs = Lab(workspace).runs
    made = runs.report(options.runs, options.data, options.pairs, options.at_fmr, options.faces)
    print(made.write(options.out, options.overwrite))
    return 0


COMMANDS = {"report": report_options}
