"""`fairlab link` and `fairlab config`: the app's link, and what the user alone decides."""

from __future__ import annotations

import argparse
import json

from fairlab.cli.studies import dials
from fairlab.errors import FairLabError
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
