"""1:N identification: some images of people are enrolled, the others and strangers are searched among them."""

from __future__ import annotations

from fairlab.evaluation.identification.enrolment import split_gallery
from fairlab.evaluation.identification.rates import IdentificationSettings, identify
from fairlab.evaluation.report import CURVE
from fairlab.jobs.protocols.base import PROTOCOLS, Asked, Outcome, embedded_images, told, without
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
    images, vectors, ids, missing = embedded_images(asked)
    split = split_gallery(images, asked.settings.seed, asked.settings.unknown_share, asked.settings.enrolled)
    settings = IdentificationSettings(
        fpir_targets=tuple(target for target in asked.evaluation.fmr_targets if target > 0),
        bootstrap=asked.evaluation.bootstrap,
        seed=asked.evaluation.seed,
    )
    asked.job.progress.begin("searching", "comparisons")
    found = identify(
        asked.model.run_id, "identification", images, vectors, ids, split, settings, told(asked), asked.job.stop
    )
    notes = [*found.notes, *without(missing, len(images))]
    curves, scores, pairs = (table.build() for table in (CURVE, SCORES, PAIRS))
    facts = {"gallery": len(split.gallery), "probes": len(split.probes), "without_embedding": missing}
    return Outcome(found.metrics, curves, scores, pairs, {"cmc": found.cmc, "open_set": found.curves}, notes, facts)
