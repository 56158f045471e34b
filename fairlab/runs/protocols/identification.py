"""1:N identification: some images of people are enrolled, the others and strangers are searched among them."""

from __future__ import annotations

import time

import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.enrolment import split_gallery
from fairlab.evaluation.identification import IdentificationSettings, identify
from fairlab.evaluation.report import CURVE
from fairlab.runs.assess import judged_vectors
from fairlab.runs.protocols.base import PROTOCOLS, Asked, Outcome, final_images
from fairlab.tables import PAIRS, SCORES


@PROTOCOLS.register(
    "identification",
    title="Identification (1:N)",
    sentence="The first images of most people of the test part are enrolled; their other images, and all images of people who "
    "are not enrolled, are searched among them: rank-k, FPIR and FNIR of every group at one threshold.",
    source="ISO/IEC 19795-1; FNIR(N, L, T) as in NISTIR 8271",
    needs_pairs=False,
    scored=False,
    settings=("seed", "enrolled", "unknown_share"),
    version=1,
)
def identification(asked: Asked) -> Outcome:
    """Images without an embedding are left out and counted."""
    images = final_images(asked.dataset)
    vectors, ids, _ = judged_vectors(asked.model, asked.dataset)
    there = images["image_id"].isin(ids)
    if not there.any():
        raise FairLabError(
            f"{asked.model.run_id} has embedded none of the images of {asked.dataset.dataset_id}'s test part"
        )
    split = split_gallery(images[there], asked.settings.seed, asked.settings.unknown_share, asked.settings.enrolled)
    settings = IdentificationSettings(
        fpir_targets=tuple(target for target in asked.evaluation.fmr_targets if target > 0),
        bootstrap=asked.evaluation.bootstrap,
        seed=asked.evaluation.seed,
    )
    asked.pulse.begin("searching", asked.base, asked.share, "comparisons")
    started = time.monotonic()

    def progress(done: int, total: int) -> None:
        asked.pulse.advance(done, total, done / max(time.monotonic() - started, 1e-9))

    found = identify(asked.model.run_id, "identification", images, vectors, ids, split, settings, progress, asked.stop)
    notes = list(found.notes)
    if not there.all():
        notes.append(f"{int((~there).sum())} of {len(images)} images have no embedding and were left out")
    curves, scores, pairs = (pd.DataFrame(columns=list(columns)) for columns in (CURVE, SCORES, PAIRS))
    facts = {"gallery": len(split.gallery), "probes": len(split.probes), "without_embedding": int((~there).sum())}
    return Outcome(found.metrics, curves, scores, pairs, {"cmc": found.cmc, "open_set": found.curves}, notes, facts)
