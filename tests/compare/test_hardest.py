"""The hardest impostors of all comparisons as pairs of faces: those of the full table of scores, at the stored thresholds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairlab import Lab
from fairlab.compare.hardest import KEPT, kept_of, thresholds
from fairlab.compare.pairs import PAIRS_BEHIND
from fairlab.errors import FairLabError
from fairlab.evaluation.all_pairs import hardest
from fairlab.evaluation.operating import OperatingPoint
from fairlab.store.results import read_protocol, read_results
from fairlab.tables import matches
from fairlab.workspace import open_workspace
from tests.jobs.protocols.test_protocols import GROUPS, judged, made_data, made_model


def test_the_kept_pairs_are_the_false_matches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = open_workspace(tmp_path / "home")
    data = made_data(lab)
    model = made_model(lab, data)
    monkeypatch.setattr(hardest, "MOST", 150)
    judged(lab, model, data, "all_pairs")
    run = Lab(lab).runs[model.run_id]
    vectors = np.load(model.folder / "embeddings" / "faces" / "plain" / "vectors.npy").astype(np.float64)
    one, other = np.triu_indices(len(vectors), 1)
    scores = (vectors @ vectors.T)[one, other]
    images = data.images
    group, person = images["group"].to_numpy(), images["identity"].to_numpy()
    strangers = person[one] != person[other]
    stored = read_results(model.folder, "faces", "metrics").query("protocol == 'all_pairs' and metric == 'threshold'")
    counts = read_protocol(model.folder, "faces", "all_pairs", "counts")
    for target in (0.1, 0.01):
        threshold = float(stored.set_index("operating_point").loc[f"fmr={target:g}", "value"])
        assert set(thresholds(counts, OperatingPoint("pooled", target)).values()) == {threshold}
        found = run.pairs(at_fmr=target, dataset="faces", pairs="all_pairs")
        assert matches(found, PAIRS_BEHIND)
        assert (np.diff(found["score"]) <= 0).all()
        assert (found["identity_a"] != found["identity_b"]).all()
        kept = kept_of(model, data, OperatingPoint("pooled", target))
        assert matches(kept, KEPT)
        for row in kept.itertuples():
            of = strangers & (
                ((group[one] == row.group_a) & (group[other] == row.group_b))
                | ((group[one] == row.group_b) & (group[other] == row.group_a))
            )
            assert (row.false_matches, row.impostor_pairs) == ((scores[of] >= threshold).sum(), of.sum())
            pairs = run.pairs(
                group=row.group_a, other_group=row.group_b, at_fmr=target, dataset="faces", pairs="all_pairs"
            )
            assert row.kept == len(pairs) <= 150
            expected = np.sort(scores[of])[::-1][: len(pairs)]
            assert np.sort(pairs["score"])[::-1] == pytest.approx(expected, abs=1e-6)
            if row.false_matches <= 120:  # fewer than are kept: then all
                assert row.kept == row.false_matches
    for value in np.arange(200, 500) / 1000:  # those that the page's slider offers
        (threshold,) = set(thresholds(counts, OperatingPoint("threshold", value)).values())
        assert threshold == pytest.approx(value, abs=2e-7)
    (above,) = set(thresholds(counts, OperatingPoint("threshold", 0.33333)).values())
    assert above == pytest.approx(0.3334, abs=2e-7)
    assert set(thresholds(counts, OperatingPoint("threshold", 2.0)).values()) == {np.inf}
    for value in (0.31, 0.33333, 0.407):
        at = OperatingPoint("threshold", value)
        (threshold,) = set(thresholds(counts, at).values())
        kept = kept_of(model, data, at)
        assert kept["false_matches"].sum() == (scores[strangers] >= threshold).sum()
        assert (kept["kept"] <= kept["false_matches"]).all()
        assert set(run.pairs(threshold=value, dataset="faces", pairs="all_pairs")["threshold"]) == {threshold}
    own = thresholds(counts, OperatingPoint("own", 0.05))
    assert set(own) == set(GROUPS)
    for name, threshold in own.items():
        mine = scores[strangers & (group[one] == name) & (group[other] == name)]
        assert 0.04 < (mine >= threshold).mean() <= 0.05
    for asked, words in (
        ({"kind": "false-non-match"}, "only the hardest impostors"),
        ({"against": model.run_id}, "for one model"),
        ({"by": ["ethnicity"]}, "own groups"),
    ):
        with pytest.raises(FairLabError, match=words):
            run.pairs(dataset="faces", pairs="all_pairs", **asked)  # type: ignore[arg-type]
