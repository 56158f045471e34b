"""A repair from command and Python: the numbers by the paper's formula on the raw scores, nobody leaks, and it is kept whole."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab import Lab
from fairlab.api.repaired import Repaired
from fairlab.compare.compare import compare
from fairlab.data.dataset import open_dataset
from fairlab.errors import Damaged, FairLabError
from fairlab.evaluation.scores import pair_scores
from fairlab.jobs.evaluate.assess import judged_vectors
from fairlab.jobs.repair.fitted import read_fitted
from fairlab.storage.archive import Choice, archive
from fairlab.storage.archive_reading import bring_in
from fairlab.storage.people.forget import forget
from fairlab.store.database import list_runs
from fairlab.store.results import lists_judged, read_results
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home
from tests.in_process import work_here

KD = "Student EAF-KD (SL, specialised)"


@pytest.fixture(scope="module")
def lab(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Each test adds its own to it."""
    home = tmp_path_factory.mktemp("repair") / "copy"
    copied_home(tiny.home, home)
    return Lab(home)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    work_here(monkeypatch)


def student(lab: Lab) -> str:
    table = lab.models.table()
    return str(table.loc[table["title"] == KD, "run_id"].iloc[0])


def raw(lab: Lab, protocol: str) -> pd.DataFrame:
    """The pairs of a list with the model's scores and each side's group, from the stored embeddings alone."""
    record = lab.models[student(lab)].record
    data = open_dataset(lab.workspace.dataset(record.dataset))
    vectors, ids, _ = judged_vectors(record, data)
    pairs = data.pairs_of(protocol)
    groups = data.images["group"].astype(str).to_numpy()
    return pairs.assign(score=pair_scores(vectors, ids, pairs), reference=groups[pairs["image_a"]])


def test_m3_is_its_formula_on_the_validation_impostors_and_moves_no_accuracy(lab: Lab) -> None:
    """(s - mean) / deviation (n - 1) of the cohort's impostor pairs of the group, arXiv 2407.14087; and PP1."""
    model = lab.models[student(lab)]
    after = model.repair("M3")
    cohort, test = raw(lab, "validation"), raw(lab, "test")
    of = cohort[~cohort["genuine"].astype(bool)].groupby("reference")["score"].agg(["mean", "std"])
    wanted = (test["score"] - test["reference"].map(of["mean"])) / test["reference"].map(of["std"])
    stored = read_results(after.folder, model.dataset, "scores").set_index("pair_id")["score"]
    assert len(stored) == len(test)  # the validation pairs are its cohort's, so it is not judged on them
    np.testing.assert_allclose(stored.loc[test["pair_id"]], wanted, rtol=1e-9)
    accuracies = [run.metrics(pairs="test").query("metric == 'accuracy'")["value"].tolist() for run in (model, after)]
    assert accuracies[0] == accuracies[1]
    assert after.fit["people"] == {"Group A": 6, "Group B": 6}
    assert [check["shared"] for check in after.fit["checks"]] == [0, 0]
    assert [check["people"] for check in after.fit["checks"]] == [12, 12]


def test_m1_takes_each_reference_against_the_cohorts_faces(lab: Lab) -> None:
    model = lab.models[student(lab)]
    after = model.repair("M1", images_each=2, people=3)
    data = open_dataset(lab.workspace.dataset(model.dataset))
    vectors, ids, _ = judged_vectors(model.record, data)
    assert np.array_equal(ids, data.images["image_id"])
    cohort = np.asarray(after.fitted["vectors"], float)
    validation = data.images["split"].to_numpy() == "validation"
    owners = (np.asarray(vectors, float) @ cohort.T).argmax(0)
    assert validation[owners].all()
    assert len(cohort) == 2 * 3 * 2  # two groups, three people, two images each
    assert (data.images["identity"].iloc[owners].value_counts() == 2).all()
    test = raw(lab, "test")
    strangers = np.asarray(vectors, float)[test["image_a"]] @ cohort.T
    wanted = (test["score"] - strangers.mean(1)) / strangers.std(1, ddof=1)
    stored = read_results(after.folder, model.dataset, "scores").set_index("pair_id")["score"]
    np.testing.assert_allclose(stored.loc[test["pair_id"]], wanted, rtol=1e-5, atol=1e-5)


def test_every_method_runs_from_the_command_and_stands_in_the_table(lab: Lab) -> None:
    methods = lab.models.repair_methods()["method"].tolist()
    assert len(methods) == 13
    few = ["M1.1", "M2", "M4", "fair-normalisation", "FairCal", "group_threshold"]
    chosen = [word for name in few for word in ("--method", name)]
    done = command(lab.workspace.home, "repair", student(lab), *chosen, "--set", "clusters=2", "--set", "seed=3")
    assert done.returncode == 2  # clusters is no setting of M1.1
    assert "m1_1 has no setting 'clusters'" in done.stderr
    done = command(lab.workspace.home, "repair", student(lab), *chosen, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [item["fit"]["repair"] for item in found] == [
        "m1_1", "m2", "m4", "fair_normalisation", "faircal", "group_threshold",
    ]  # fmt: skip
    assert all(np.isfinite(item["differences"][0]["difference"]) for item in found)
    study = lab.studies.table()["study_id"].iloc[0]
    rows = compare(lab.workspace, study)
    assert set(rows["model"]) >= {f"{KD} · M2: T-norm", f"{KD} · FairCal"}
    assert set(compare(lab.workspace, study, protocol="validation")["role"]) == {
        "teacher", "adaptor", "baseline", "student",
    }  # fmt: skip
    told = command(lab.workspace.home, "repair", student(lab), "--method", "m4")
    assert "thresholds only" not in told.stdout
    assert "cannot change" in told.stdout
    assert "check: none of 12 people is in the test pairs of" in told.stdout


def test_a_cohort_that_leaks_is_refused_before_anything_is_queued(lab: Lab) -> None:
    model = lab.models[student(lab)]
    before = len(list_runs(lab.workspace))
    for settings, said in (
        ({"cohort": model.dataset, "cohort_splits": ("train",)}, "are in the training data of"),
        (
            {"cohort": model.dataset, "cohort_splits": ("test",)},
            "the test pairs of data set .* are of people of the cohort",
        ),
        ({"cohort": "nothing"}, "there is no data set 'nothing'"),
        ({"cohort": model.dataset, "cohort_splits": ("nobody",)}, "has no part 'nobody'; it has: "),
        ({"cohort_pairs": "nobody"}, "has no pair list 'nobody'"),
    ):
        with pytest.raises(FairLabError, match=said):
            model.repair("M3", **settings)
    with pytest.raises(FairLabError, match=r"there is no repair 'M11'.*choose one of: "):
        model.repair("M11")
    with pytest.raises(FairLabError, match="is not a model"):
        lab.models[list_runs(lab.workspace)["run_id"].iloc[0]]
    assert len(list_runs(lab.workspace)) == before


def test_a_group_that_the_cohort_lacks_is_named_before_anything_is_queued(lab: Lab) -> None:
    model, before = lab.models[student(lab)], len(list_runs(lab.workspace))
    lab.data.make("only-a", dataset=model.dataset, splits=("validation",), groups=("Group A",)).wait()
    with pytest.raises(FairLabError, match="the cohort has nobody of 'Group B', which the test has; it has: Group A"):
        model.repair("M3", cohort="only-a", cohort_splits=("train",))
    assert len(list_runs(lab.workspace)) == before + 1  # the recipe


def test_an_archive_takes_a_fit_but_no_face_unless_asked(lab: Lab, tmp_path: Path) -> None:
    model = lab.models[student(lab)]
    of_faces, of_groups = model.repair("M2"), model.repair("M5")
    for run, wanted, with_templates in ((of_faces, False, True), (of_groups, True, True)):
        for templates, expected in ((False, wanted), (True, with_templates)):
            path = tmp_path / f"{run.run_id}-{templates}.tar"
            archive(lab.workspace, run.run_id, path, Choice(templates=templates))
            with tarfile.open(path) as packed:
                names = [name for name in packed.getnames() if "/repair/" in name]
            assert bool(names) == expected
    other = open_workspace(tmp_path / "other")
    bring_in(other, tmp_path / f"{of_groups.run_id}-False.tar")
    there = read_fitted(other.run(of_groups.run_id))
    assert np.array_equal(there.arrays["mean"], of_groups.fitted["mean"])


def test_the_same_people_under_another_name_are_found(lab: Lab, tmp_path: Path) -> None:
    """A cohort of a recipe over the training people: other data, the same names."""
    model = lab.models[student(lab)]
    lab.data.make("trained-again", dataset=model.dataset, splits=("train",)).wait()
    with pytest.raises(FairLabError, match=r"people of the cohort .* are in the training data of"):
        model.repair("M1", cohort="trained-again", cohort_splits=("train",))


def test_tables_of_scores_are_repaired_and_a_repair_is_applied_as_fitted(lab: Lab, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)

    def table(name: str, shift: float, first: int) -> Path:
        """A group B whose scores lie higher by `shift`; people numbered from `first`."""
        rows = []
        for group, more in (("A", 0.0), ("B", shift)):
            for number in range(120):
                genuine = number % 2 == 0
                one = f"{group}{first + number}"
                other = one if genuine else f"{group}{first + number + 1}"
                score = (0.6 if genuine else 0.0) + more + rng.normal(0, 0.1)
                rows.append((one, other, group, int(genuine), score))
        path = tmp_path / f"{name}.csv"
        pd.DataFrame(rows, columns=["id1", "id2", "group", "genuine", "score"]).to_csv(path, index=False)
        return path

    test, cohort = (lab.models.add(table(name, 0.3, first), name)[0] for name, first in (("test-t", 0), ("coh-t", 500)))
    with pytest.raises(FairLabError, match="which cannot embed a cohort"):
        test.repair("M3")
    with pytest.raises(FairLabError, match="needs embeddings, and test-t came as a table of scores: choose M"):
        test.repair("M1", cohort=cohort.dataset)
    after = test.repair("M3", cohort=cohort.dataset, cohort_scores=cohort.run_id)
    worse, better = (
        run.fairness(at_fmr=0.1).query("metric == 'differential_fmr'")["value"].item() for run in (test, after)
    )
    assert better < worse / 2  # what was planted is taken out
    home, out = lab.workspace.home, tmp_path / "out.csv"
    other = table("other", 0.3, 900)
    done = command(home, "repair", "apply", after.run_id, str(other), "--out", str(out))
    assert done.returncode == 0, done.stderr
    written, given = pd.read_csv(out), pd.read_csv(other)
    mean, deviation = (
        dict(zip(after.fitted["groups"], after.fitted[name], strict=True)) for name in ("mean", "deviation")
    )
    wanted = [(s - mean[g]) / deviation[g] for s, g in zip(given["score"], given["group"], strict=True)]
    np.testing.assert_allclose(written["score"], wanted, rtol=1e-9)
    np.testing.assert_allclose(written["raw_score"], given["score"], rtol=1e-9)
    assert command(home, "repair", "apply", after.run_id, str(other), "--out", str(out)).returncode == 2  # it exists
    lost = given.assign(group="Z")
    with pytest.raises(FairLabError, match="the cohort has nobody of 'Z'"):
        after.apply(lost)


def test_what_was_fitted_is_whole_or_refused(lab: Lab) -> None:
    after = lab.models[student(lab)].repair("M5")
    assert isinstance(lab.runs[after.run_id], Repaired)
    kept = after.folder / "repair" / "mean.npy"
    kept.write_bytes(kept.read_bytes()[:-8])
    with pytest.raises(Damaged):
        read_fitted(after.folder)
    assert lists_judged(after.folder, after.dataset) == ["test"]


def test_nothing_of_a_forgotten_person_stays_in_a_cohort(lab: Lab) -> None:
    model = lab.models[student(lab)]
    after = model.repair("M2.1")
    assert (after.folder / "repair" / "vectors.npy").exists()
    data = open_dataset(lab.workspace.dataset(model.dataset))
    person = data.images.loc[data.images["split"] == "validation", "identity"].iloc[0]
    forget(open_workspace(lab.workspace.home), model.dataset, str(person))
    assert not (after.folder / "repair").exists()
    assert after.fit == {}
    assert len(after.scores(pairs="test")) == len(open_dataset(lab.workspace.dataset(model.dataset)).pairs_of("test"))
