"""`fairlab app`, `link`, `doctor`: the app, its link, and the health of the workspace."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fairlab.cli import arguments
from fairlab.cli.grammar import Parser, json_option
from fairlab.errors import FairLabError
from fairlab.workspace import Workspace


def app_options(parser: Parser) -> None:
    port = arguments.whole(1, 65_535)
    parser.add_argument("--port", type=port, default=8501, help="port on this machine (default 8501)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    parser.set_defaults(do=do_app, silent=True)


def link_options(parser: Parser) -> None:
    parser.set_defaults(do=do_link, silent=True)


def doctor_options(parser: Parser) -> None:
    parser.add_argument("--rebuild", action="store_true", help="rebuild the catalogue from the run folders")
    parser.add_argument("--verify", action="store_true", help="check every finished run's files against their hashes")
    json_option(parser)
    parser.set_defaults(do=do_doctor, silent=True)


def probe_options(parser: Parser) -> None:
    parser.add_argument("request", help="file written by the launch page")
    parser.set_defaults(do=do_probe, silent=True)


COMMANDS = {"app": app_options, "link": link_options, "doctor": doctor_options, "probe": probe_options}


def do_link(_workspace: Workspace, _options: argparse.Namespace) -> int:
    from fairlab.store.links import links

    found = links()
    if not found:
        raise FairLabError("no app of yours is running on this machine; start one with `fairlab app`")
    for link, home in found:
        print(link if len(found) == 1 else f"{link}  {home}")
    return 0


def do_app(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.cli.app import serve

    return serve(workspace, options.port, browser=not options.no_browser)


def do_doctor(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.storage.doctor import examine, show

    findings = examine(workspace, rebuild=options.rebuild, verify=options.verify)
    if options.json:
        print(json.dumps(findings, indent=1))
    else:
        show(findings)
    return 1 if findings["problems"] else 0


def do_probe(workspace: Workspace, options: argparse.Namespace) -> None:
    from fairlab.plan.estimate import run_request

    run_request(workspace, Path(options.request))
