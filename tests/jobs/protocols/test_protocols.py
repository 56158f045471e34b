"""Further protocols: their pairs are what they say, their numbers are kept once, and everybody finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlab.compare.compare import compare, compare_models
from fairlab.compare.model_rows import by_title
from fairlab.compare.score_tables import export_scores
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.demo.pairs import draw_pairs
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError, Stopped
from fairlab.files import sha256
from fairlab.jobs import roles
from fairlab.jobs.evaluate import by_protocol
from fairlab.jobs.evaluate.starts import Judging, evaluate
from fairlab.jobs.job import Job
from fairlab.jobs.progress import Span
from fairlab.jobs.protocols.base import PROTOCOLS
from fairlab.jobs.protocols.hard_impostors import mine
from fairlab.jobs.protocols.identity_disjoint import disjoint_folds
from fairlab.jobs.protocols.lists import first_pair
from fairlab.jobs.protocols.random_impostors import draw
from fairlab.plan.plan import single
from fairlab.queue.waiting import wait
from fairlab.settings.study import Data, Evaluation, Protocols, Run
from fairlab.store import database
from fairlab.store.embeddings import EmbeddingWriter
from fairlab.store.results import (
    judged_by,
    judged_on,
    pairs_of,
    protocol_folder,
    read_protocol,
    read_results,
    results_facts,
)
from fairlab.store.runs import RunRecord, create_run, read_run, write_status
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import fairlab

GROUPS, PEOPLE, IMAGES = ("Blue", "Green", "Red"), 20, 4
SETTINGS = Evaluation(bootstrap=200, fmr_targets=(0.1, 0.01))


def made_data(lab: Workspace, name: str = "faces", pairs: bool = True) -> Dataset:
    """20 people of each of 3 groups with 4 images each, of which the part "train" holds none; no pixels."""
    count = len(GROUPS) * PEOPLE * IMAGES
    person = np.arange(count) // IMAGES
    images = pd.DataFrame(
        {
            "image_id": np.arange(count),
            "dataset": name,
            "split": "test",
            "identity": [f"person {number}" for number in person],
            "group": [GROUPS[number // PEOPLE] for number in person],
            "source": "real",
            "location": [f"{number}.png" for number in range(count)],
        }
    )
    listed = draw_pairs(images, "test", None, 60, 5, 0)
    return write_dataset(
        lab.dataset(name),
        NewDataset(
            dataset_id=name,
            kind="table",
            attribute="Colour",
            groups=GROUPS,
            images=images,
            pairs=listed if pairs else listed.iloc[:0],
            pixels=None,
            recipe={},
        ),
    )


def made_model(lab: Workspace, data: Dataset, title: str = "Model", seed: int = 0) -> RunRecord:
    """A model that came as embeddings: people around centres, 16 numbers."""
    random = np.random.default_rng(seed)
    people = pd.factorize(data.images["identity"])[0]
    vectors = random.normal(size=(people.max() + 1, 16))[people] + 0.7 * random.normal(size=(len(people), 16))
    record = single(
        lab, title, Run(role="model", method="embeddings", seed=seed, data=Data(dataset=data.dataset_id)), ()
    )
    create_run(lab, record)
    embedded(record, data, vectors)
    write_status(record.folder, "done", reason="")
    return record


def embedded(record: RunRecord, data: Dataset, vectors: np.ndarray) -> None:
    """Store these as the model's embeddings of all images."""
    norms = np.linalg.norm(vectors, axis=1)
    facts = {"run_id": record.run_id, "fingerprint": data.fingerprint, "parents": [], "flip": "none"}
    with EmbeddingWriter(record.folder, data.dataset_id, "plain", np.arange(len(vectors)), facts) as sink:
        sink.add((vectors / norms[:, None]).astype(np.float32), norms.astype(np.float32))


@pytest.fixture
def home(tmp_path: Path) -> tuple[Workspace, Dataset, RunRecord]:
    lab = open_workspace(tmp_path / "home")
    data = made_data(lab)
    return lab, data, made_model(lab, data)


def judged(lab: Workspace, model: RunRecord, data: Dataset, *names: str, **more: Any) -> dict[str, Any]:
    """The model judged by these protocols in this process, by the very code that a worker runs; facts of the status."""
    settings = Protocols(names=names, **more)
    record = by_protocol.protocols_record(lab, model, data, SETTINGS, settings)
    create_run(lab, record)
    facts = roles.carry_out(Job(lab, record))
    write_status(record.folder, "done", reason="", **facts)
    return facts


def people_of(data: Dataset, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    who = data.images.set_index("image_id")["identity"]
    return who.loc[pairs["image_a"]].to_numpy(), who.loc[pairs["image_b"]].to_numpy()


def test_every_protocol_says_what_it_is_and_numbers_its_own_pairs() -> None:
    """Read without importing, as pages do; pair numbers beside the data sets' and each other's."""
    known = by_protocol.known_protocols()
    assert list(known) == PROTOCOLS.names()
    for name in PROTOCOLS:
        assert known[name] == PROTOCOLS.facts(name)
        assert {"title", "sentence", "source", "needs_pairs", "settings", "version"} <= set(known[name])
        assert set(known[name]["settings"]) <= set(Protocols.model_fields)
    starts = [first_pair(name) for name in PROTOCOLS]
    assert len(set(starts)) == len(starts)
    assert min(starts) >= 2**32


def test_folds_share_nobody_whatever_the_pairs() -> None:
    """Any pairs of any people in any groups, also people in two of them; genuine pairs always stay."""
    random = np.random.default_rng(0)
    for _ in range(60):
        people, pairs = random.integers(2, 60), random.integers(1, 200)
        first = random.integers(people, size=pairs)
        second = np.where(random.random(pairs) < 0.4, first, random.integers(people, size=pairs))
        folds = disjoint_folds(first, second, random.choice(["a", "b"], pairs))
        seen: dict[int, int] = {}
        for one, other, fold in zip(first, second, folds, strict=True):
            assert fold >= 0 or one != other
            for person in (one, other) if fold >= 0 else ():
                assert seen.setdefault(person, fold) == fold


def test_people_who_meet_stay_in_one_fold() -> None:
    """Twenty rings of six people: cut nowhere, or at the ends of equal folds only."""
    ring = np.arange(120) // 6 * 6
    first = np.concatenate([np.arange(120), np.arange(120)])
    second = np.concatenate([np.arange(120), ring + (np.arange(120) + 1) % 6])
    folds = disjoint_folds(first, second, np.array(["a"] * 240))
    assert (folds >= 0).all()
    assert np.bincount(folds).tolist() == [24] * 10


def test_a_web_of_strangers_is_cut_where_few_meet() -> None:
    """600 people, each with one genuine pair and two strangers by chance: of ten folds chance would keep 10 %."""
    random = np.random.default_rng(1)
    one = random.integers(600, size=600)
    other = (one + 1 + random.integers(599, size=600)) % 600
    own = np.arange(600)
    folds = disjoint_folds(np.r_[own, one], np.r_[own, other], np.array(["a"] * 1200))
    assert (folds[600:] >= 0).mean() > 0.6
    assert np.bincount(folds[:600], minlength=10).min() > 35


def test_random_impostors_are_strangers_of_the_group_each_once(home: tuple[Workspace, Dataset, RunRecord]) -> None:
    lab, data, model = home
    judged(lab, model, data, "random_impostors", impostors=500, seed=4)
    pairs, own = pairs_of(model.folder, data, "random_impostors"), data.pairs_of("test")
    genuine = ["image_a", "image_b", "group", "fold"]
    assert pairs[pairs["genuine"]][genuine].values.tolist() == own[own["genuine"]][genuine].values.tolist()
    drawn = pairs[~pairs["genuine"]]
    assert drawn["group"].value_counts().to_dict() == dict.fromkeys(GROUPS, 500)
    assert drawn.groupby(["group", "fold"]).size().unique().tolist() == [50]
    first, second = people_of(data, drawn)
    assert (first != second).all()
    groups = data.images.set_index("image_id")["group"]
    assert (groups.loc[drawn["image_a"]].to_numpy() == drawn["group"]).all()
    assert (groups.loc[drawn["image_b"]].to_numpy() == drawn["group"]).all()
    assert len({frozenset(pair) for pair in drawn[["image_a", "image_b"]].values.tolist()}) == 1500
    with pytest.raises(FairLabError, match=r"group Blue has only 3,040 different impostor pairs"):
        judged(lab, model, data, "random_impostors", impostors=3041)


@pytest.mark.parametrize("listed", [True, False])
def test_every_pair_is_drawn_equally_often(listed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """24 of the 28 pairs of 8 images show two people; 4 drawn 3,000 times: 500 each, within five deviations."""
    monkeypatch.setattr("fairlab.jobs.protocols.random_impostors.LISTED_UP_TO", 100 if listed else 0)
    random, people = np.random.default_rng(0), np.arange(8) // 2
    seen: dict[tuple[int, int], int] = {}
    for _ in range(3000):
        for pair in zip(*draw(people, 4, random), strict=True):
            seen[pair] = seen.get(pair, 0) + 1
    assert len(seen) == 24
    assert all(people[one] != people[other] and one < other for one, other in seen)
    assert max(abs(count - 500) for count in seen.values()) < 5 * np.sqrt(500)


def test_mined_impostors_are_everybodys_nearest_strangers() -> None:
    """On a circle: the neighbour at 1 degree first, then those at 3 degrees; never the same person."""
    degrees = np.radians([0.0, 1.0, 4.0, 90.0, 91.0, 185.0])
    people = np.array([0, 1, 0, 2, 2, 3])
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    first, second = mine(vectors, people, 6)
    # Nearest strangers: 0-1 (1 deg), 2-1 (3), 3-2 (86), 4-2 (87), 5-4 (94). 3-1 (89) is nearer, but the second of 3.
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (1, 2), (2, 3), (2, 4), (4, 5), (1, 3)]
    every = mine(vectors, people, 13)
    assert len(set(zip(*every, strict=True))) == 13


def test_hard_impostors_score_above_random_ones_and_name_their_miner(
    home: tuple[Workspace, Dataset, RunRecord],
) -> None:
    lab, data, model = home
    other = made_model(lab, data, "Miner", 1)
    facts = judged(lab, model, data, "hard_impostors", "random_impostors")
    assert "picked by this model itself" in " ".join(facts["notes"])

    def impostors(protocol: str) -> pd.Series:
        pairs = pairs_of(model.folder, data, protocol).merge(
            read_results(model.folder, "faces", "scores"), on="pair_id"
        )
        return pairs[~pairs["genuine"]]["score"]

    assert impostors("hard_impostors").min() > impostors("random_impostors").median()
    by_itself = pairs_of(model.folder, data, "hard_impostors")
    judged(lab, model, data, "hard_impostors", mined_by=other.run_id)
    assert read_run(lab, by_protocol.protocols_record(
        lab, model, data, SETTINGS, Protocols(names=("hard_impostors",), mined_by=other.run_id)
    ).run_id).parents == (model.run_id, other.run_id)  # fmt: skip
    assert not pairs_of(model.folder, data, "hard_impostors").equals(by_itself)
    judged(lab, other, data, "hard_impostors")
    table = compare_models(lab, by_title([model, other]), "faces", SETTINGS, protocol="hard_impostors")
    assert table["impostor_pairs"].tolist() == [180, 180]
    judged(lab, model, data, "hard_impostors")
    with pytest.raises(FairLabError, match="were not evaluated on the same pairs by hard_impostors"):
        compare_models(lab, by_title([model, other]), "faces", SETTINGS, protocol="hard_impostors")


def test_all_pairs_counts_everybody_and_its_numbers_are_those_by_hand(
    home: tuple[Workspace, Dataset, RunRecord],
) -> None:
    """Rates and the matrix from the full table of scores, at the threshold that was stored."""
    lab, data, model = home
    judged(lab, model, data, "all_pairs")
    facts = results_facts(model.folder, "faces", "all_pairs")
    assert facts["facts"]["comparisons"] == 240 * 239 // 2
    assert read_protocol(model.folder, "faces", "all_pairs", "counts")["pairs"].sum() == 240 * 239 // 2
    vectors = np.load(model.folder / "embeddings" / "faces" / "plain" / "vectors.npy").astype(np.float64)
    one, other = np.triu_indices(240, 1)
    scores = (vectors @ vectors.T)[one, other]
    group, person = data.images["group"].to_numpy(), data.images["identity"].to_numpy()
    same = person[one] == person[other]
    metrics = read_results(model.folder, "faces", "metrics")
    at = metrics[metrics["protocol"] == "all_pairs"].set_index(["group", "metric", "operating_point"])
    matrix = read_protocol(model.folder, "faces", "all_pairs", "matrix").set_index(
        ["operating_point", "group_a", "group_b"]
    )
    for point, target in (("fmr=0.1", 0.1), ("fmr=0.01", 0.01)):
        threshold = at.loc[("all", "threshold", point), "value"]
        match, within = scores >= threshold, ~same & (group[one] == group[other])
        assert target - 0.001 < match[within].mean() <= target
        for name in GROUPS:
            genuine = same & (group[one] == name)
            row = at.loc[(name, "fnmr", point)]
            assert row["value"] == pytest.approx((~match)[genuine].mean())
            assert row["low"] <= row["value"] <= row["high"]
            assert at.loc[(name, "tar", point), "value"] == pytest.approx(match[genuine].mean())
            for second in GROUPS:
                of = ~same & (
                    ((group[one] == name) & (group[other] == second))
                    | ((group[one] == second) & (group[other] == name))
                )
                cell = matrix.loc[(point, name, second)]
                assert (cell["false_matches"], cell["impostor_pairs"]) == (match[of].sum(), of.sum())
                assert cell["low"] <= cell["fmr"] <= cell["high"]
            across = ~same & ((group[one] == name) != (group[other] == name))
            assert at.loc[(name, "fmr_across", point), "value"] == pytest.approx(match[across].mean())
            assert at.loc[(name, "fmr", point), "value"] == matrix.loc[(point, name, name), "fmr"]
        assert at.loc[("all", "fmr_across", point), "value"] == pytest.approx(match[group[one] != group[other]].mean())
    curves = read_results(model.folder, "faces", "curves")
    curve = curves[(curves["protocol"] == "all_pairs") & (curves["group"] == "Red")]
    genuine, impostor = (
        scores[same & (group[one] == "Red")],
        scores[~same & (group[one] == "Red") & (group[other] == "Red")],
    )
    assert len(curve) > 20
    for row in curve.itertuples():
        assert (row.fmr, row.tmr) == pytest.approx(
            ((impostor >= row.threshold).mean(), (genuine >= row.threshold).mean())
        )
        if (impostor >= row.threshold).sum() < 2:
            assert np.isnan([row.low, row.high]).all(), "how far one false match moves the threshold is not known"
        else:
            assert row.low <= row.tmr <= row.high


def test_what_is_known_is_not_computed_anew_and_would_be_the_same(
    home: tuple[Workspace, Dataset, RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a second computation are equal to the byte; other settings, vectors or a damaged file: computed anew."""
    lab, data, model = home
    names = tuple(PROTOCOLS.names())
    assert judged(lab, model, data, *names)["reused"] == []
    folders = [protocol_folder(model.folder, "faces", name) for name in names]
    before = {path: sha256(path) for folder in folders for path in folder.glob("*.parquet")}
    facts = judged(lab, model, data, *names)
    assert facts["reused"] == list(names)
    assert "all_pairs: same embeddings, data, settings and code as before, reused" in facts["notes"]
    damaged = folders[0] / "metrics.parquet"
    damaged.write_bytes(b"nothing")
    assert judged(lab, model, data, *names)["reused"] == list(names[1:])
    monkeypatch.setattr(by_protocol, "kept_facts", lambda *_: None)
    assert judged(lab, model, data, *names)["reused"] == []
    assert {path: sha256(path) for folder in folders for path in folder.glob("*.parquet")} == before
    monkeypatch.undo()
    assert set(judged(lab, model, data, *names, seed=9)["reused"]) == set(names) - {
        "random_impostors",
        "identification",
    }
    vectors = np.load(model.folder / "embeddings" / "faces" / "plain" / "vectors.npy")
    embedded(model, data, vectors[:, ::-1])
    assert judged(lab, model, data, *names, seed=9)["reused"] == []


def test_everybody_finds_the_numbers_and_the_own_lists_stay(home: tuple[Workspace, Dataset, RunRecord]) -> None:
    """Results, catalogue and the list of data sets; scores of two protocols never meet; other data are not believed."""
    lab, data, model = home
    judged(lab, model, data, "random_impostors")
    own = read_results(model.folder, "faces", "scores")
    assert judged_on(model.folder) == ["faces"]
    assert len(database.metrics(lab, [model.run_id], "faces")["protocol"].unique()) == 2
    judged(lab, model, data, "all_pairs", "identity_disjoint")
    assert judged_on(model.folder) == ["faces"]
    assert judged_by(model.folder, "faces") == ["all_pairs", "identity_disjoint", "random_impostors"]
    known = database.metrics(lab, [model.run_id], "faces")
    assert known["protocol"].unique().tolist() == ["test", "all_pairs", "identity_disjoint", "random_impostors"]
    assert len(known) == len(read_results(model.folder, "faces", "metrics"))
    scores = read_results(model.folder, "faces", "scores")
    assert scores["pair_id"].is_unique
    assert set(own["pair_id"]) < set(scores["pair_id"])
    export_scores(lab, [model.run_id], "faces", lab.home / "own.csv", "bfw", "test")
    export_scores(lab, [model.run_id], "faces", lab.home / "drawn.csv", "bfw", "random_impostors")
    assert len((lab.home / "drawn.csv").read_text().splitlines()) == 1 + 360
    manifest = protocol_folder(model.folder, "faces", "random_impostors") / "manifest.json"
    manifest.unlink()  # as a kill would leave it
    assert judged_by(model.folder, "faces") == ["all_pairs", "identity_disjoint"]
    assert "random_impostors" not in set(read_results(model.folder, "faces", "metrics")["protocol"])
    assert "random_impostors" not in set(database.metrics(lab, [model.run_id], "faces")["protocol"])


def test_a_stopped_job_keeps_what_was_whole(home: tuple[Workspace, Dataset, RunRecord]) -> None:
    """Stopped while everybody is compared: nothing half-written, and the next attempt goes on."""
    lab, data, model = home
    record = by_protocol.protocols_record(
        lab, model, data, SETTINGS, Protocols(names=("identity_disjoint", "all_pairs"))
    )
    create_run(lab, record)

    progress = Span()
    with pytest.raises(Stopped):
        roles.carry_out(
            Job(lab, record, progress=progress, stop=lambda: progress.moment.stage == "comparing all images")
        )
    folder = protocol_folder(model.folder, "faces", "all_pairs")
    assert [path.name for path in folder.parent.iterdir()] == ["identity_disjoint"]
    assert roles.carry_out(Job(lab, record, attempt=2))["reused"] == ["identity_disjoint"]
    assert judged_by(model.folder, "faces") == ["all_pairs", "identity_disjoint"]


def test_data_without_pairs_are_compared_too(tmp_path: Path) -> None:
    """Only protocols that start from a list are refused."""
    lab = open_workspace(tmp_path / "home")
    data = made_data(lab, pairs=False)
    model = made_model(lab, data)
    judged(lab, model, data, "all_pairs")
    assert set(read_results(model.folder, "faces", "metrics")["protocol"]) == {"all_pairs"}
    assert compare(lab, "", dataset_id="faces").empty
    with pytest.raises(FairLabError, match="data set faces has no test pairs, which random_impostors starts from"):
        judged(lab, model, data, "random_impostors")


def test_what_cannot_work_is_one_sentence(home: tuple[Workspace, Dataset, RunRecord]) -> None:
    lab, data, model = home
    with pytest.raises(FairLabError, match="there is no protocol 'rank_one'; choose from: all_pairs, hard_impostors"):
        evaluate(lab, model.run_id, how=Judging(protocols=("rank_one",)))
    with pytest.raises(FairLabError, match="leave the protocols out"):
        evaluate(lab, model.run_id, how=Judging(gallery=model.run_id, protocols=("all_pairs",)))
    scores = single(lab, "Scores", Run(role="model", method="scores", data=Data(dataset="faces")), ())
    create_run(lab, scores)
    with pytest.raises(FairLabError, match="Scores came as scores, without its network: it has no embeddings of faces"):
        evaluate(lab, scores.run_id, how=Judging(protocols=("all_pairs",)))
    images = data.images.copy()
    images.loc[0, "group"] = "Red"
    write_dataset(lab.dataset("mixed"), NewDataset(dataset_id="mixed", kind="table", attribute="Colour", groups=GROUPS, images=images, pairs=data.pairs.iloc[:0], pixels=None, recipe={}))  # fmt: skip
    mixed = open_dataset(lab.dataset("mixed"))
    other = made_model(lab, mixed, "Mixed")
    with pytest.raises(FairLabError, match="data set mixed: 1 people have images in two groups"):
        judged(lab, other, mixed, "all_pairs")
    facts = judged(lab, other, mixed, "all_pairs", exclude_mixed=True)
    assert "1 people with images in two groups were left out, 4 images: person 0" in facts["notes"]


def test_the_command_line_and_the_page_judge_by_protocols(
    home: tuple[Workspace, Dataset, RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Help lists them, the numbers are printed, and the pages show them, with the matrix and a way to more."""
    from tests.test_pages import fine, opened

    lab, _, model = home
    said = fairlab(lab.home, "evaluate", "--help").stdout
    assert all(name in said for name in PROTOCOLS)
    assert "protocols.impostors" in fairlab(lab.home, "settings", "show", "protocols").stdout
    refused = fairlab(lab.home, "evaluate", model.run_id, "--set", "protocols.impostors=3")
    assert (refused.returncode, "give --protocol NAME too" in refused.stderr) == (2, True)
    result = fairlab(
        lab.home,
        "evaluate",
        model.run_id,
        "--protocol",
        "all_pairs",
        "--protocol",
        "identification",
        "--set",
        "bootstrap=200",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "between groups" in result.stdout
    assert "rank 1" in result.stdout
    app = opened(monkeypatch, lab, "fairness", on="faces", model=model.run_id)
    fine(app)
    assert any(
        "All comparisons of the test part, one threshold" in item.value.replace("\\", "") for item in app.caption
    )
    app = opened(monkeypatch, lab, "verification", on="faces", model=model.run_id)
    fine(app)
    assert app.selectbox(key="pairs").options == ["test pairs"], "what is counted has places of its own"
    there = [item.value for item in app.subheader]
    assert "All comparisons" in there
    assert "Identification: one probe against everyone enrolled" in there
    assert "Random impostors" in app.multiselect(key="judge by").options
    app.multiselect(key="judge by").set_value(["random_impostors"]).run()
    app.button(key="judge").click().run()
    fine(app)
    (job,) = (
        [app.query_params["judging"]] if isinstance(app.query_params["judging"], str) else app.query_params["judging"]
    )
    assert wait(lab, [job], every_s=0.2)
    app.run()
    fine(app)
    assert "Random impostors" in app.selectbox(key="pairs").options
    assert any("under Pairs above" in item.value for item in app.success)
