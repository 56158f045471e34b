"""All comparisons: every image of the test part against every other, within and across groups."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.all_pairs import arrange
from fairlab.evaluation.all_pairs_report import evaluate_all
from fairlab.runs.assess import judged_vectors
from fairlab.runs.protocols.base import PROTOCOLS, Asked, Outcome, final_images
from fairlab.tables import PAIRS, SCORES


@PROTOCOLS.register(
    "all_pairs",
    title="All comparisons",
    sentence="Every image of the test part against every other: all genuine pairs, all impostors within each group, and all "
    "across groups as a matrix at one threshold; low false match rates can be measured.",
    source="full cross design; FMR within and across groups as in NISTIR 8280; counts exact on a grid of 20,001 thresholds",
    needs_pairs=False,
    scored=False,
    settings=("exclude_mixed",),
    version=1,
)
def all_pairs(asked: Asked) -> Outcome:
    """Images without an embedding are left out and counted; on a GPU where there is one."""
    from fairlab.training.device_blocks import best_engine  # loads torch

    images = final_images(asked.dataset)
    vectors, ids, _ = judged_vectors(asked.model, asked.dataset)
    there = images["image_id"].isin(ids)
    if not there.any():
        raise FairLabError(
            f"{asked.model.run_id} has embedded none of the images of {asked.dataset.dataset_id}'s test part"
        )
    known = images[there]
    try:
        arranged = arrange(known["group"].to_numpy(), known["identity"].to_numpy(), asked.settings.exclude_mixed)
    except FairLabError as error:
        raise FairLabError(f"data set {asked.dataset.dataset_id}: {error}") from error
    rows = np.searchsorted(ids, known["image_id"].to_numpy())
    asked.pulse.begin("comparing everybody", asked.base, asked.share, "comparisons")
    started = time.monotonic()

    def progress(done: int, total: int) -> None:
        asked.pulse.advance(done, total, done / max(time.monotonic() - started, 1e-9))

    found = evaluate_all(
        asked.model.run_id,
        "all_pairs",
        vectors,
        arranged.of_rows(rows),
        asked.evaluation,
        best_engine,
        progress,
        asked.stop,
    )
    notes = list(found.notes)
    if not there.all():
        notes.append(f"{int((~there).sum())} of {len(images)} images have no embedding and were left out")
    facts = {
        "images": len(arranged.order),
        "identities": len(arranged.people),
        "comparisons": arranged.pairs,
        "left_out": arranged.left_out,
        "without_embedding": int((~there).sum()),
    }
    nothing = pd.DataFrame(columns=list(SCORES)), pd.DataFrame(columns=list(PAIRS))
    tables = {"matrix": found.matrix, "counts": found.counts}
    return Outcome(found.metrics, found.curves, *nothing, tables, notes, facts)
