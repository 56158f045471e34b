"""Numbers from scores: plain arrays and tables in, numbers with intervals out. Needs numpy, pandas and scipy only."""

from fairlab.evaluation.chance import fair_band
from fairlab.evaluation.compat import COMPAT, CompatResult, compat_accuracy
from fairlab.evaluation.fairness_report import FairnessReport, fairness_report
from fairlab.evaluation.formulas import fdr, garbe, gini, ir, max_geomean, max_mean, max_min, ser, std_points, werm
from fairlab.evaluation.groups import Defaults, cut
from fairlab.evaluation.identification.enrolment import GallerySplit, split_gallery
from fairlab.evaluation.identification.rates import (
    CMC,
    IDENTIFICATION_CURVE,
    Identification,
    IdentificationSettings,
    identify,
)
from fairlab.evaluation.intervals import IdentityBootstrap, clopper_pearson
from fairlab.evaluation.metrics import FAIRNESS_METRICS, Rates
from fairlab.evaluation.operating import AtPoint, OperatingPoint, at_point, numbers_at
from fairlab.evaluation.paired import (
    PairedComparison,
    detectable,
    paired_report,
    paired_seeds,
    power_sentences,
    with_scores,
)
from fairlab.evaluation.report import Results, evaluate
from fairlab.evaluation.score_frames import ScoredPairs, scored_pairs
from fairlab.evaluation.scores import cross_scores, fused, pair_distances, pair_scores
from fairlab.evaluation.seeds import SeededComparison
from fairlab.evaluation.verification import auc, count_errors, eer, fold_accuracy, threshold_at_fmr

__all__ = [
    "CMC",
    "COMPAT",
    "FAIRNESS_METRICS",
    "IDENTIFICATION_CURVE",
    "AtPoint",
    "CompatResult",
    "Defaults",
    "FairnessReport",
    "GallerySplit",
    "Identification",
    "IdentificationSettings",
    "IdentityBootstrap",
    "OperatingPoint",
    "PairedComparison",
    "Rates",
    "Results",
    "ScoredPairs",
    "SeededComparison",
    "at_point",
    "auc",
    "clopper_pearson",
    "compat_accuracy",
    "count_errors",
    "cross_scores",
    "cut",
    "detectable",
    "eer",
    "evaluate",
    "fair_band",
    "fairness_report",
    "fdr",
    "fold_accuracy",
    "fused",
    "garbe",
    "gini",
    "identify",
    "ir",
    "max_geomean",
    "max_mean",
    "max_min",
    "numbers_at",
    "pair_distances",
    "pair_scores",
    "paired_report",
    "paired_seeds",
    "power_sentences",
    "scored_pairs",
    "ser",
    "split_gallery",
    "std_points",
    "threshold_at_fmr",
    "werm",
    "with_scores",
]
