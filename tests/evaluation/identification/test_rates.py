"""1:N: against every comparison spelled out, closed forms, and what must not be measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fairlab.errors import FairLabError, Stopped
from fairlab.evaluation import (
    CMC,
    IDENTIFICATION_CURVE,
    GallerySplit,
    Identification,
    IdentificationSettings,
    clopper_pearson,
    identify,
    split_gallery,
)  # fmt: skip
from fairlab.evaluation.identification.search import search
from fairlab.tables import ALL_GROUPS, METRICS

FEW_DRAWS = IdentificationSettings(bootstrap=100)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def table(identities: list[str], groups: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"image_id": np.arange(len(identities)), "identity": identities, "group": groups})


def value(found: Identification, metric: str, group: str = ALL_GROUPS, point: str = "") -> float:
    rows = found.metrics
    row = rows[(rows["metric"] == metric) & (rows["group"] == group) & (rows["operating_point"] == point)]
    assert len(row) == 1, (metric, group, point)
    return float(row["value"].iloc[0])


def orthogonal(
    identities: int, groups: int, probes: int = 2, strangers: int = 40
) -> tuple[pd.DataFrame, np.ndarray, GallerySplit]:
    """Everybody has a direction of their own: enrolled image, `probes` of each, and strangers in further directions."""
    who = np.concatenate(
        [np.arange(identities), np.repeat(np.arange(identities), probes), identities + np.arange(strangers)]
    )
    vectors = np.eye(identities + strangers, dtype=np.float32)[who]
    images = table([f"person {name}" for name in who], [f"group {name % groups}" for name in who])
    return images, vectors, GallerySplit(np.arange(identities), np.arange(identities, len(who)))


def brute(
    vectors: np.ndarray, gallery: np.ndarray, names: np.ndarray, probes: np.ndarray, wanted: np.ndarray
) -> list[tuple[float, int, float]]:
    """(mate, rank, stranger) of each probe, from all comparisons in double precision."""
    found = []
    for probe, identity in zip(probes, wanted, strict=True):
        best: dict[str, float] = {}
        side = np.repeat(vectors[[probe]].astype(float), len(gallery), axis=0)
        for name, score in zip(
            names, np.einsum("nd,nd->n", vectors[gallery].astype(float), side).tolist(), strict=True
        ):
            best[name] = max(score, best.get(name, -np.inf))
        if identity in best:
            mate = best.pop(identity)
            found.append((mate, 1 + sum(score >= mate for score in best.values()), np.nan))
        else:
            found.append((np.nan, 0, max(best.values())))
    return found


@pytest.mark.parametrize("block", [(512, 8192), (64, 100), (13, 1)])
@pytest.mark.parametrize("kind", ["drawn", "few values", "all alike"])
def test_ranks_and_scores_are_those_of_all_comparisons(block: tuple[int, int], kind: str) -> None:
    """200 probes, 500 enrolled images of 180 people (1 to many each); any size of blocks; ties to the last digit too."""
    random = np.random.default_rng(3)
    raw = random.normal(size=(700, 16))
    if kind == "few values":  # many equal vectors, and scores that are equal though the vectors are not
        raw = random.choice([-1.0, 0.0, 1.0], (700, 16), p=[0.1, 0.8, 0.1]) + 2 * np.eye(16)[0]
    if kind == "all alike":  # differences far below what single precision can tell apart in a product
        raw = np.ones((700, 16)) + 1e-6 * raw
    vectors = unit(raw)
    names = np.array([f"p{number}" for number in random.integers(0, 180, 500)], dtype=object)
    wanted = np.array([f"p{number}" for number in random.integers(0, 240, 200)], dtype=object)
    rows = random.permutation(700)
    found = search(vectors, rows[:500], names, rows[500:], wanted, block=block)
    mate, rank, stranger = map(np.array, zip(*brute(vectors, rows[:500], names, rows[500:], wanted), strict=True))
    assert found.rank.tolist() == rank.tolist()
    np.testing.assert_array_equal(found.mate, mate)
    np.testing.assert_array_equal(found.stranger, stranger)
    assert 0 < (rank == 0).sum() < 200


def test_a_tie_counts_against_the_probe() -> None:
    """The same face under two names: neither is found at rank 1."""
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1, 0]]
    found = search(vectors, np.arange(3), np.array(["a", "b", "c"]), np.array([3, 3, 3]), np.array(["a", "b", "d"]))
    assert found.rank.tolist() == [2, 2, 0]
    assert found.mate[:2].tolist() == [1, 1]
    assert found.stranger[2] == 1


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_orthogonal_people_are_all_found(groups: int) -> None:
    """No error of any kind: rates 0 and 1, with an exact bound on the side where an error could have been."""
    images, vectors, split = orthogonal(20, groups, strangers=100)
    found = identify("run", "one to many", images, vectors, np.arange(len(vectors)), split, FEW_DRAWS)
    names = [ALL_GROUPS, *(f"group {number}" for number in range(groups))]
    assert list(found.metrics.columns) == list(METRICS)
    assert set(found.metrics["group"]) == set(names)
    for name in names:
        assert [value(found, metric, name) for metric in ("rank1", "rank5", "rank10")] == [1, 1, 1]
        assert value(found, "fnir", name, "fpir=0.1") == 0
        assert value(found, "fpir", name, "fpir=0.1") == 0
    # All strangers score 0: any threshold among their scores lets all in, so it is just above.
    assert value(found, "threshold", ALL_GROUPS, "fpir=0.1") == np.nextafter(0, 1)
    row = found.metrics[(found.metrics["metric"] == "rank1") & (found.metrics["group"] == ALL_GROUPS)].iloc[0]
    assert (row["genuine_pairs"], row["impostor_pairs"]) == (40, 100)
    assert row["low"] == pytest.approx(1 - clopper_pearson(0, 40, one_sided=True)[1], abs=1e-12)
    assert row["high"] == 1
    assert any("FPIR 0.01 is not measurable: with 100 probes" in note for note in found.notes)
    assert np.isnan(value(found, "fnir", ALL_GROUPS, "fpir=0.01"))


def test_planted_confusions_are_counted_where_they_are() -> None:
    """In one of two groups a quarter of the probes shows somebody else's face first, and their own second."""
    images, vectors, split = orthogonal(40, 2, probes=4, strangers=0)
    rows = np.flatnonzero((images["group"] == "group 1").to_numpy())[20:]  # the first 20 are enrolled
    planted = rows[::4]
    owner = np.array([int(name.split()[1]) for name in images["identity"]])
    for row in planted:
        vectors[row] = 0.6 * np.eye(40)[owner[row]] + 0.8 * np.eye(40)[(owner[row] + 7) % 40]
    found = identify("run", "p", images, vectors, np.arange(len(vectors)), split, FEW_DRAWS)
    assert value(found, "rank1", "group 0") == 1
    assert value(found, "rank1", "group 1") == pytest.approx(0.75, abs=1e-12)
    assert value(found, "rank1") == pytest.approx(0.875, abs=1e-12)
    assert value(found, "rank5", "group 1") == 1
    # One of everybody's four probes is planted, so whoever is drawn, the rates stay.
    every = found.metrics[(found.metrics["metric"] == "rank1") & (found.metrics["group"] == ALL_GROUPS)].iloc[0]
    assert (every["low"], every["high"]) == pytest.approx((0.875, 0.875), abs=1e-12)
    curve = found.cmc[found.cmc["group"] == "group 1"]
    assert list(found.cmc.columns) == list(CMC)
    assert curve["rate"].iloc[0] == pytest.approx(0.75)
    assert (curve["rate"].iloc[1:] == 1).all()
    assert curve["rank"].tolist() == list(range(1, 40))
    assert np.isnan(value(found, "fpir", ALL_GROUPS, "fpir=0.1"))
    assert any("group 0: no probe of unknown people" in note for note in found.notes)


def test_the_one_threshold_lets_in_at_most_the_target_and_each_group_its_share() -> None:
    """Strangers of a group look like somebody enrolled, with scores .002, .004 ... .6; those of the other like nobody."""
    images, vectors, split = orthogonal(20, 2, probes=1, strangers=600)
    for number, row in enumerate(range(40, 640, 2)):
        score = 0.002 * (number + 1)
        vectors[row] = 0
        vectors[row, [0, 100 + number]] = score, np.sqrt(1 - score**2)
    vectors[21] = 0  # this probe of somebody enrolled scores as the stranger who sets the threshold, and is found
    vectors[21, [1, 100]] = 0.482, np.sqrt(1 - 0.482**2)
    found = identify("run", "p", images, vectors, np.arange(len(vectors)), split, FEW_DRAWS)
    # 60 of 600 strangers may pass: the 60 highest scores of group 0, from .482 on.
    assert value(found, "threshold", ALL_GROUPS, "fpir=0.1") == pytest.approx(0.482, abs=1e-7)
    assert value(found, "fpir", ALL_GROUPS, "fpir=0.1") == pytest.approx(60 / 600, abs=1e-12)
    assert value(found, "fpir", "group 0", "fpir=0.1") == pytest.approx(60 / 300, abs=1e-12)
    assert value(found, "fpir", "group 1", "fpir=0.1") == 0
    assert value(found, "fnir", ALL_GROUPS, "fpir=0.1") == 0
    assert np.isnan(value(found, "fnir", ALL_GROUPS, "fpir=0.001"))
    curve = found.curves
    assert list(curve.columns) == list(IDENTIFICATION_CURVE)
    assert (curve["fpir"] == curve["false_positives"] / curve["unmated_probes"]).all()
    together = curve.pivot_table(index="threshold", columns="group", values="false_positives")
    assert (together["group 0"] + together["group 1"] == together[ALL_GROUPS]).all()


def test_behind_the_rank_limit_a_person_is_not_found() -> None:
    """A probe at rank 2 with a high score: missed with a limit of 1, found without."""
    images, vectors, split = orthogonal(30, 1, probes=2, strangers=200)
    vectors[30:40] = 0.7 * vectors[30:40] + np.sqrt(0.51) * np.eye(230)[29]
    ids = np.arange(len(vectors))
    strict, free = (
        identify("run", "p", images, vectors, ids, split, IdentificationSettings(bootstrap=100, rank_limit=limit))
        for limit in (1, None)
    )
    assert value(strict, "fnir", ALL_GROUPS, "fpir=0.1") == pytest.approx(10 / 60, abs=1e-12)
    assert value(free, "fnir", ALL_GROUPS, "fpir=0.1") == 0


def test_an_interval_is_that_of_redrawn_people_and_not_of_probes() -> None:
    """A quarter of 40 people is never found, with 25 probes each: the rate is uncertain as that of 40 trials, not of 1,000."""
    images, vectors, split = orthogonal(40, 1, probes=25, strangers=0)
    owner = np.array([int(name.split()[1]) for name in images["identity"]])
    lost = np.flatnonzero((owner < 10) & (np.arange(len(owner)) >= 40))
    vectors[lost] = np.eye(40)[(owner[lost] + 1) % 40]
    found = identify("run", "p", images, vectors, np.arange(len(vectors)), split)
    row = found.metrics[(found.metrics["metric"] == "rank1") & (found.metrics["group"] == "group 0")].iloc[0]
    assert row["value"] == 0.75
    width = row["high"] - row["low"]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 40), rel=0.1)
    assert row["low"] < 0.75 < row["high"]


def faces(people: dict[str, int], group: str = "g") -> pd.DataFrame:
    return table([name for name, images in people.items() for _ in range(images)], [group] * sum(people.values()))


def test_a_split_is_made_by_name_and_not_by_order() -> None:
    random = np.random.default_rng(0)
    images = pd.concat(
        [faces({f"{group}{n}": 1 + n % 4 for n in range(40)}, group) for group in "AB"], ignore_index=True
    )
    images["image_id"] = 3 * np.arange(len(images)) + 5
    split = split_gallery(images, 1, 0.3)
    again = split_gallery(images.iloc[random.permutation(len(images))], 1, 0.3)
    assert split.gallery.tolist() == again.gallery.tolist()
    assert split.probes.tolist() == again.probes.tolist()
    assert sorted([*split.gallery, *split.probes]) == images["image_id"].tolist()
    assert split_gallery(images, 2, 0.3).gallery.tolist() != split.gallery.tolist()
    who = images.set_index("image_id")["identity"]
    enrolled = who[split.gallery]
    assert enrolled.is_unique
    first = images.groupby("identity")["image_id"].min()
    assert (first[enrolled].to_numpy() == split.gallery).all()
    # 30 of 40 people of each group have two images or more; 30 % of them, 9, stay out, and so do the 10 with one.
    assert enrolled.str[0].value_counts().to_dict() == {"A": 21, "B": 21}
    assert split.notes == tuple(
        f"{group}: 10 of 40 identities have 1 image, so they are not enrolled" for group in "AB"
    )


def test_several_images_may_be_enrolled() -> None:
    images = faces({"a": 4, "b": 3, "c": 2})
    split = split_gallery(images, 0, 0.0, enrolled=2)
    assert split.gallery.tolist() == [0, 1, 4, 5]
    assert split.probes.tolist() == [2, 3, 6, 7, 8]
    assert "1 of 3 identities have 2 images or fewer" in split.notes[0]


def test_people_of_two_groups_are_named_and_drawn_once() -> None:
    images = table(["a", "a", "a", "b", "b"], ["x", "y", "y", "y", "y"])
    split = split_gallery(images, 0, 0.0)
    assert split.gallery.tolist() == [0, 3]
    assert split.notes[0].startswith("1 identities are in several groups")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (table(["a", None], ["x", "x"]), "image 1 has no identity"),
        (table(["a", "b"], ["x", None]), "image 1 has no group"),
        (table(["a", "b"], ["x", "x"]).assign(image_id=7), "image 7 is given twice"),
    ],
)  # fmt: skip
def test_images_without_a_name_are_refused(images: pd.DataFrame, message: str) -> None:
    with pytest.raises(FairLabError, match=message):
        split_gallery(images, 0, 0.1)


def test_impossible_wishes_are_refused() -> None:
    images, vectors, split = orthogonal(3, 1)
    ids = np.arange(len(vectors))
    with pytest.raises(FairLabError, match="between 0 and 1"):
        split_gallery(images, 0, 1.5)
    with pytest.raises(FairLabError, match="1 or more"):
        IdentificationSettings(ranks=(0,))
    with pytest.raises(FairLabError, match="image 45 has no embedding"):
        identify("run", "p", images, vectors, ids[:45], split)
    with pytest.raises(FairLabError, match="image 48 is not in the images table"):
        identify("run", "p", images.iloc[:48], vectors, ids, split)
    with pytest.raises(FairLabError, match="embedding number 5 has length 2"):
        identify("run", "p", images, np.where(ids[:, None] == 5, 2 * vectors, vectors), ids, split)
    with pytest.raises(FairLabError, match="embedding number 5 has length nan"):
        identify("run", "p", images, np.where(ids[:, None] == 5, np.nan, vectors), ids, split)
    with pytest.raises(FairLabError, match="cannot be called 'all'"):
        identify("run", "p", images.assign(group="all"), vectors, ids, split)


def test_progress_is_told_and_a_stop_is_heard() -> None:
    images, vectors, split = orthogonal(50, 1, strangers=50)
    names = images["identity"].to_numpy()
    told: list[tuple[int, int]] = []
    asked = iter([False, False, True])
    search(
        vectors,
        split.gallery,
        names[split.gallery],
        split.probes,
        names[split.probes],
        lambda *now: told.append(now),
        block=(20, 25),
    )
    assert told[-1] == (150 * 50, 150 * 50)
    assert len(told) == (5 + 3) * 2
    with pytest.raises(Stopped):
        identify("r", "p", images, vectors, np.arange(len(vectors)), split, stop=lambda: True)
    with pytest.raises(Stopped):
        search(
            vectors,
            split.gallery,
            names[split.gallery],
            split.probes,
            names[split.probes],
            stop=lambda: next(asked),
            block=(20, 25),
        )


@st.composite
def tiny(draw: st.DrawFn) -> tuple[pd.DataFrame, np.ndarray, GallerySplit]:
    """Few images of few people, in few groups, with equal vectors among them; a split, or a gallery of any of them."""
    count = draw(st.integers(1, 12))
    images = table(
        draw(st.lists(st.sampled_from("abcd"), min_size=count, max_size=count)),
        draw(st.lists(st.sampled_from(["x", "y", "z"]), min_size=count, max_size=count)),
    )
    vectors = unit(draw(arrays(np.float64, (count, 3), elements=st.sampled_from([-1.0, 0.1, 1.0]))))
    if draw(st.booleans()):
        return images, vectors, split_gallery(images, draw(st.integers(0, 3)), draw(st.sampled_from([0.0, 0.3, 1.0])))
    enrolled = draw(arrays(np.bool_, count))
    return images, vectors, GallerySplit(np.flatnonzero(enrolled), np.flatnonzero(~enrolled))


@settings(max_examples=100, deadline=None)
@given(tiny(), st.sampled_from([1, None]))
def test_tiny_sets_give_numbers_or_a_reason(
    data: tuple[pd.DataFrame, np.ndarray, GallerySplit], limit: int | None
) -> None:
    """Never infinite, never a rate without a probe; what is n/a is said, and every rate lies in its interval."""
    images, vectors, split = data
    wanted = IdentificationSettings((1, 2), (0.9, 0.5), limit, 3, 20)
    with np.errstate(all="raise", under="ignore"):
        found = identify("run", "p", images, vectors, np.arange(len(vectors)), split, wanted)
    numbers = found.metrics
    assert not np.isinf(numbers[["value", "low", "high"]].to_numpy()).any()
    known = numbers.dropna(subset="value")
    assert (known["genuine_pairs"][known["metric"].isin(["rank1", "rank2", "fnir"])] > 0).all()
    assert (known["impostor_pairs"][known["metric"].isin(["fpir"])] > 0).all()
    rates = known.loc[known["metric"] != "threshold", ["value", "low", "high"]].to_numpy()
    assert ((rates >= 0) & (rates <= 1) | np.isnan(rates)).all()
    assert (
        np.isnan(rates[:, 1]) == np.isnan(rates[:, 2])
    ).all()  # of one person nothing follows for others: no interval
    assert numbers["value"].notna().all() or found.notes
    for table_ in (found.cmc, found.curves):
        assert not np.isinf(table_.select_dtypes("number").to_numpy()).any()
