"""`fairlab app`, `link`, `config`, `loggers`, `doctor`: the app, what the user alone decides, where readings also go, health."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fairlab.cli.arguments import dials
from fairlab.errors import FairLabError
from fairlab.settings.study import parse
from fairlab.settings.user import config_file, set_user_settings, user_settings
from fairlab.workspace import Workspace


def do_link(_workspace: Workspace, _options: argparse.Namespace) -> int:
    from fairlab.store.links import links

    found = links()
    if not found:
        raise FairLabError("no app of yours is running on this machine; start one with `fairlab app`")
    for link, home in found:
        print(link if len(found) == 1 else f"{link}  {home}")
    return 0


def do_config(_workspace: Workspace, options: argparse.Namespace) -> int:
    if options.set:
        set_user_settings(dials(options))
    for table, values in user_settings().model_dump(mode="json").items():
        for name, value in values.items():
            print(f"{table}.{name} = {value if isinstance(value, str) else json.dumps(value)}")
    print(f"kept in {config_file()}; an app that runs takes changes up when it starts again")
    return 0


def do_app(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.cli.app import serve

    return serve(workspace, options.port, browser=not options.no_browser)


def do_loggers(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.jobs.loggers.base import set_loggers, settings_of
    from fairlab.settings.loggers import Loggers

    settings = settings_of(workspace)
    if options.set:
        settings = parse(Loggers, {**settings.model_dump(), **dials(options)}, "--set")
        set_loggers(workspace, settings)
    for name, value in settings.model_dump(mode="json").items():
        print(f"{name} = {value if isinstance(value, str) else json.dumps(value)}")
    return 0


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
