"""All comparisons: every image of the test part against every other, within and across groups."""

from __future__ import annotations

import numpy as np

from fairlab.errors import FairLabError
from fairlab.evaluation.all_pairs.counts import arrange, some_people
from fairlab.evaluation.all_pairs.report import evaluate_all
from fairlab.jobs.evaluate.counting import CountedTogether
from fairlab.jobs.protocols.base import PROTOCOLS, Asked, Outcome, embedded_images, told, without
from fairlab.store.count_parts import counts_folder
from fairlab.tables import PAIRS, SCORES


@PROTOCOLS.register(
    "all_pairs",
    title="All comparisons",
    sentence="Every image of the test part against every other: all genuine pairs, all impostors within each group, and all "
    "across groups as a matrix at one threshold; low false match rates can be measured.",
    source="full cross design; FMR within and across groups as in NISTIR 8280; counts exact on a grid of 20,001 thresholds",
    needs_pairs=False,
    scored=False,
    settings=("exclude_mixed", "people", "people_seed"),
    shared=True,
    version=2,
)
def all_pairs(asked: Asked) -> Outcome:
    """Images without an embedding are left out and counted; on a GPU where there is one."""
    from fairlab.training.device_blocks import best_engine  # loads torch

    known, vectors, ids, missing = embedded_images(asked)
    try:
        arranged = arrange(known["group"].to_numpy(), known["identity"].to_numpy(), asked.settings.exclude_mixed)
    except FairLabError as error:
        raise FairLabError(f"data set {asked.dataset.dataset_id}: {error}") from error
    everybody, wanted, seed = arranged, asked.settings.people, asked.settings.people_seed
    if wanted is not None:
        arranged = some_people(everybody, wanted, seed)
    rows = np.searchsorted(ids, known["image_id"].to_numpy())
    asked.job.progress.begin("comparing all images", "comparisons")
    found = evaluate_all(
        asked.model.run_id,
        "all_pairs",
        vectors,
        arranged.of_rows(rows),
        asked.evaluation,
        best_engine,
        told(asked),
        asked.job.stop,
        CountedTogether(
            counts_folder(asked.model.folder, asked.dataset.dataset_id, "all_pairs"), asked.key, asked.job.world
        ),
    )
    notes = [*found.notes, *without(missing, len(known))]
    if len(arranged.people) < len(everybody.people):
        notes.append(
            f"{len(arranged.people)} of {len(everybody.people)} people were sampled (seed {seed}) and compared; the "
            f"intervals account for that"
        )
    facts = {
        "images": len(arranged.order),
        "identities": len(arranged.people),
        "comparisons": arranged.pairs,
        "left_out": arranged.left_out,
        "without_embedding": missing,
    }
    nothing = SCORES.build(), PAIRS.build()
    hardest = found.hardest.assign(**{side: ids[found.hardest[side]] for side in ("image_a", "image_b")})
    tables = {"matrix": found.matrix, "counts": found.counts, "hardest": hardest}
    return Outcome(found.metrics, found.curves, *nothing, tables, notes, facts)
