"""`fairlab models`, `embed`, `evaluate`, `scores`, `project`: models added, looked at, and used on data."""

from __future__ import annotations

import argparse
import sys

from fairlab.cli.arguments import dials, where
from fairlab.cli.runs import watch_one
from fairlab.errors import FairLabError
from fairlab.files import read_json
from fairlab.settings.study import Evaluation, ModelFile, Projection, Protocols, parse
from fairlab.store.runs import read_run, read_status
from fairlab.workspace import Workspace


def do_models(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.api import Lab
    from fairlab.cli import show, show_models

    if options.action == "list":
        if options.path or options.dry_run or options.name or options.set:
            raise FairLabError("these options belong to `fairlab models add FILE`")
        show_models.show_models(workspace, options.json)
        return 0
    if not options.path:
        raise FairLabError("name the file of the model: `fairlab models add FILE`")
    source = parse(ModelFile, {**dials(options), "path": options.path}, "--set")
    if options.dry_run:
        report = Lab(workspace).models.preview(source, show.progress_line("rounds"))
        show_models.show_model_report(report, options.json)
        return 0
    runs = [model.run_id for model in Lab(workspace).models.add(source, options.name)]
    with show.results_only(options.json):
        done = show.watch(workspace, [*read_run(workspace, runs[0]).parents, *runs])
    if not done:
        return 1
    report = read_json(workspace.run(runs[0]) / "report.json")
    show_models.show_model_report({"run_id": runs[0], "runs": runs, **report}, options.json)
    return 0


def do_embed(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.api import Lab

    job = Lab(workspace).models[options.run].embed(options.dataset, where(options) or None)
    return watch_one(workspace, job.run_id)


def do_evaluate(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.api import Lab
    from fairlab.cli import show

    asked = dials(options)
    more = {name.removeprefix("protocols."): value for name, value in asked.items() if name.startswith("protocols.")}
    own = {name: value for name, value in asked.items() if not name.startswith("protocols.")}
    if more and not options.protocol:
        raise FairLabError("settings of protocols belong to a protocol: give --protocol NAME too")
    settings = parse(Evaluation, own, "--set") if own else None
    protocols = parse(Protocols, {**more, "names": options.protocol}, "--set") if options.protocol else ()
    model = Lab(workspace).models[options.run]
    job = model.evaluate(
        options.dataset, settings=settings, gallery=options.gallery, protocols=protocols, where=where(options) or None
    ).run_id
    with show.results_only(options.json):
        code = watch_one(workspace, job)
    if code == 0:
        for note in read_status(workspace.run(job)).get("notes", ()):
            print(f"fairlab: {note}", file=sys.stderr)
        judged = job if options.gallery else options.run  # against a gallery the numbers are the job's
        show.show_metrics(workspace, judged, read_run(workspace, job).dataset, options.json, options.protocol)
    return code


def do_scores(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.api import Lab

    names = options.run
    dataset = options.data or read_run(workspace, names[0]).dataset
    path = Lab(workspace).models.export_scores(
        names, options.out, dataset, kind=options.format, pairs=options.pairs, overwrite=options.overwrite
    )
    print(f"scores of {len(names)} models on {dataset} ({options.pairs} pairs) are in {path}")
    return 0


def do_project(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.api import Lab

    job = Lab(workspace).models.project(options.run, options.data, parse(Projection, dials(options), "--set")).run_id
    code = watch_one(workspace, job)
    for note in read_status(workspace.run(job)).get("notes", ()) if code == 0 else ():
        print(f"fairlab: {note}", file=sys.stderr)
    return code
