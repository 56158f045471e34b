"""Judging a model by further protocols: what is asked for, what is known already, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fairlab import __version__
from fairlab.data.dataset import PAIRS_FILE, Dataset
from fairlab.errors import FairLabError, Stopped
from fairlab.evaluation.report import CURVE
from fairlab.files import digest, sha256
from fairlab.jobs.embed import spaces
from fairlab.jobs.embed.embedding import agreed
from fairlab.jobs.evaluate import assess
from fairlab.jobs.evaluate.provenance import of_vectors, pairs_hash
from fairlab.jobs.job import Job
from fairlab.jobs.protocols.base import FINAL, PROTOCOLS, Asked, Outcome
from fairlab.plan.plan import single
from fairlab.plan.records import WITHOUT_NETWORK
from fairlab.registry import declared_facts
from fairlab.settings.study import Data, Evaluation, Protocols, Run
from fairlab.store.count_parts import discard_counts
from fairlab.store.results import judged_on, kept_facts, results_facts, write_protocol, write_results
from fairlab.store.runs import RunRecord, read_run
from fairlab.tables import METRICS, SCORES
from fairlab.workspace import Workspace

METHOD = "protocols"


def known_protocols() -> dict[str, dict[str, Any]]:
    """Names and facts of all protocols, read without importing them."""
    return declared_facts("PROTOCOLS", "jobs/protocols")


def protocols_record(
    workspace: Workspace, model: RunRecord, dataset: Dataset, evaluation: Evaluation, settings: Protocols
) -> RunRecord:
    """The run that judges a model on a data set by further protocols.

    Raises FairLabError for an unknown protocol, one that needs pairs the data set has not, and a model without embeddings.
    """
    known = known_protocols()
    strangers = [name for name in settings.names if name not in known]
    if strangers or not settings.names:
        asked = f"there is no protocol {strangers[0]!r}" if strangers else "no protocol is named"
        raise FairLabError(f"{asked}; choose from: {', '.join(known)}")
    needing = [name for name in settings.names if known[name].get("needs_pairs")]
    if needing and dataset.pairs_of(FINAL).empty:
        raise FairLabError(f"data set {dataset.dataset_id} has no {FINAL} pairs, which {needing[0]} starts from")
    check_embeddings(model, dataset)
    settings = settings.model_copy(update={"names": tuple(dict.fromkeys(settings.names))})
    mined_by = settings.mined_by if any("mined_by" in known[name]["settings"] for name in settings.names) else ""
    if mined_by:
        check_embeddings(read_run(workspace, mined_by), dataset)
    config = Run(
        role="evaluation",
        method=METHOD,
        data=Data(dataset=dataset.dataset_id),
        evaluation=evaluation,
        protocols=settings,
    )
    title = f"{model.title} on {dataset.dataset_id} by {', '.join(settings.names)}"
    return single(workspace, title, config, (model.run_id, *filter(None, (mined_by,))))


def check_embeddings(model: RunRecord, dataset: Dataset) -> None:
    """Raise FairLabError for a model that neither has embeddings of these images nor a network to make them."""
    if model.method in WITHOUT_NETWORK and not spaces.embedded(model, dataset):
        raise FairLabError(
            f"{model.title} came as {model.method}, without its network: it has no embeddings of {dataset.dataset_id} to "
            "compare images by"
        )


def judge(job: Job) -> dict[str, Any]:
    """Judge the first parent by every protocol of the run, one after the other; returns facts for its status.

    What was made from the same embeddings, data, settings and code is kept. Each protocol's numbers are written when
    they are there, so a stopped run goes on with the next. The processes of the job call this together; the leader writes.
    """
    record, dataset, leads = job.record, job.dataset, job.world.leads
    model, settings = read_run(job.workspace, record.parents[0]), record.config.protocols
    evaluation = record.config.evaluation or Evaluation()
    assert settings is not None
    _embed(job, model)
    check_embeddings(model, dataset)
    if leads:
        _own_lists(model, dataset, evaluation)
    judging = job.between(0.5, 1.0)
    notes: list[str] = []
    reused = []
    for name in settings.names:
        asked = Asked(judging.part(1 / len(settings.names)), model, evaluation, settings)
        key = _key(name, asked)
        known = kept_facts(model.folder, dataset.dataset_id, name) if leads else None
        kept = known is not None and known.get("key") == digest(key)
        if agreed(job.world, kept):
            reused.append(name)
            if known is not None:
                notes += [
                    f"{name}: same embeddings, data, settings and code as before, reused",
                    *known["notes"],
                ]
        else:
            notes += _judge_by(name, asked, key)
        discard_counts(model.folder, dataset.dataset_id, name, leads)
    for note in notes if leads else ():
        print(f"[fairlab] {note}", flush=True)
    return {"judged_by": list(settings.names), "reused": reused, "notes": notes}


def _embed(job: Job, model: RunRecord) -> None:
    """The embeddings of the model, and of the one that picks impostors, where they are still to be made."""
    miners = [read_run(job.workspace, name) for name in job.record.parents[1:]]
    for part, space in [(job.part(0.3), model), *((job.part(0.2), miner) for miner in miners)]:
        if space.method not in WITHOUT_NETWORK:
            spaces.embed_elsewhere(part, space)


def _judge_by(name: str, asked: Asked, key: dict[str, Any]) -> list[str]:
    """Make and write the numbers of one protocol; returns its notes. Raises Stopped in all processes when one was asked."""
    leads = asked.job.world.leads
    asked.job.progress.begin(f"evaluating by {name}", "runs")
    stopped, notes = False, list[str]()
    try:
        if leads or PROTOCOLS.facts(name).get("shared"):
            found = PROTOCOLS[name](replace(asked, key=digest(key)))
            notes = found.notes
            if leads:
                _write(asked.model, asked.dataset, name, found, key)
    except Stopped:
        stopped = True
    if agreed(asked.job.world, stopped):  # also: all have read what the leader removes now
        raise Stopped
    return notes


def _write(model: RunRecord, dataset: Dataset, name: str, found: Outcome, key: dict[str, Any]) -> None:
    own = {"metrics": found.metrics, "curves": found.curves, "scores": found.scores, "pairs": found.pairs}
    write_protocol(
        model.folder,
        dataset.dataset_id,
        name,
        {**own, **found.tables},
        **key,
        key=digest(key),
        pairs=pairs_hash(found.pairs),
        notes=found.notes,
        facts=found.facts,
    )


def _own_lists(model: RunRecord, dataset: Dataset, evaluation: Evaluation) -> None:
    """The numbers on the data set's own pairs come first: pages look for them. Without pairs there are none, in a table."""
    there = dataset.dataset_id in judged_on(model.folder)
    facts = results_facts(model.folder, dataset.dataset_id) if there else {}
    listed = sha256(dataset.folder / PAIRS_FILE) if len(dataset.pairs) else None  # a list may have been drawn since
    if there and facts.get("data") == dataset.fingerprint and facts.get("pairs") == listed:
        return
    if len(dataset.pairs):
        assess.evaluate_run(model, dataset, evaluation)
        return
    nothing = {"metrics": METRICS, "curves": CURVE, "scores": SCORES}
    write_results(
        model.folder,
        dataset.dataset_id,
        {name: table.build() for name, table in nothing.items()},
        data=dataset.fingerprint,
        settings=evaluation.model_dump(mode="json"),
        notes=[f"data set {dataset.dataset_id} has no pairs of its own"],
    )


def _key(name: str, asked: Asked) -> dict[str, Any]:
    """All that decides a protocol's numbers."""
    facts = PROTOCOLS.facts(name)
    chosen = asked.settings.model_dump(mode="json", include=set(facts["settings"]))
    miner = chosen.get("mined_by")
    return {
        "protocol": name,
        "version": facts["version"],
        "code_version": __version__,
        "data": asked.dataset.fingerprint,
        **of_vectors(asked.model, asked.dataset.dataset_id),
        "mined_by": _embeddings_of(asked, miner) if miner else {},
        "settings": asked.evaluation.model_dump(mode="json"),
        "protocol_settings": chosen,
    }


def _embeddings_of(asked: Asked, miner: str) -> Any:
    return of_vectors(read_run(asked.job.workspace, miner), asked.dataset.dataset_id)["embeddings"]
