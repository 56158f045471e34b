"""Numbers from scores: plain arrays and tables in, numbers with intervals out. Needs numpy, pandas and scipy only."""

from fairlab.evaluation.compat import COMPAT, CompatResult, compat_accuracy
from fairlab.evaluation.enrolment import GallerySplit, split_gallery
from fairlab.evaluation.fairness import FAIRNESS_METRICS, fair_band, fdr, garbe, gini, ir, ser, std_points
from fairlab.evaluation.identification import (
    CMC,
    IDENTIFICATION_CURVE,
    Identification,
    IdentificationSettings,
    identify,
)
from fairlab.evaluation.intervals import IdentityBootstrap, clopper_pearson
from fairlab.evaluation.report import PairedComparison, Results, evaluate
from fairlab.evaluation.scores import cross_scores, fused, pair_distances, pair_scores
from fairlab.evaluation.seeds import SeededComparison
from fairlab.evaluation.verification import auc, count_errors, eer, fold_accuracy, threshold_at_fmr

__all__ = [
    "CMC",
    "COMPAT",
    "FAIRNESS_METRICS",
    "IDENTIFICATION_CURVE",
    "CompatResult",
    "GallerySplit",
    "Identification",
    "IdentificationSettings",
    "IdentityBootstrap",
    "PairedComparison",
    "Results",
    "SeededComparison",
    "auc",
    "clopper_pearson",
    "compat_accuracy",
    "count_errors",
    "cross_scores",
    "eer",
    "evaluate",
    "fair_band",
    "fdr",
    "fold_accuracy",
    "fused",
    "garbe",
    "gini",
    "identify",
    "ir",
    "pair_distances",
    "pair_scores",
    "ser",
    "split_gallery",
    "std_points",
    "threshold_at_fmr",
]
