"""The colour "errors": as many as the rates count, on the images of the pairs that were decided wrongly."""

import numpy as np

from fairlab import Lab
from fairlab.compare.columns.base import Space, values
from fairlab.data.dataset import open_dataset
from fairlab.workspace import Workspace

KD = "Student EAF-KD (SL, specialised)"


def test_every_error_counts_for_both_of_its_images(tiny: Workspace) -> None:
    lab = Lab(tiny.home)
    table = lab.models.table()
    model = lab.models[table.loc[table["title"] == KD, "run_id"].iloc[0]]
    data = open_dataset(tiny.dataset(model.dataset))
    ids = data.images["image_id"].to_numpy()
    found = values(Space(tiny, model.record, data), "errors", ids)
    rates = model.fairness(at_fmr=0.01).query("metric in ('fmr', 'fnmr')")
    assert np.nansum(found) == 2 * rates["errors"].sum()
    tested = np.isin(ids, data.pairs_of("test")[["image_a", "image_b"]].to_numpy())
    assert np.array_equal(np.isfinite(found), tested)
    pairs = data.pairs_of("test").merge(model.scores()[["score"]].assign(pair_id=data.pairs_of("test")["pair_id"]))
    alike = pairs[~pairs["genuine"].astype(bool)].nlargest(1, "score")  # 1 % of 120 impostor pairs is one false match
    assert (found[alike[["image_a", "image_b"]].to_numpy().ravel()] >= 1).all()
