"""Somebody's data become a data set: by real jobs, nothing copied unasked, nothing half-written, nothing in silence."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from fairlab.compare.compare import compare
from fairlab.compare.next_steps import without_numbers
from fairlab.compare.scored import scored
from fairlab.data.dataset import open_dataset
from fairlab.data.decode import decode
from fairlab.errors import Damaged, FairLabError, Refused, Stopped
from fairlab.jobs.data import adding
from fairlab.jobs.data.starts import add_data, inspect_data
from fairlab.jobs.evaluate.starts import embed, evaluate
from fairlab.jobs.job import Job
from fairlab.jobs.progress import Moment, Span
from fairlab.jobs.roles import carry_out
from fairlab.plan.grid import plan_preset
from fairlab.queue.launch import start
from fairlab.settings.study import Source
from fairlab.store.embeddings import open_embeddings
from fairlab.store.runs import read_run, read_status, state
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import ROOT, command, copied_home, fairlab, wait_done
from tests.data.trees import face, grouped, rfw
from tests.forks import fork


def test_a_dry_run_reports_and_adds_nothing(lab: Workspace, tmp_path: Path) -> None:
    tree = rfw(tmp_path / "RFW")
    (tree / "test/data/Indian/m.in0/m.in0_0001.jpg").write_bytes(b"no image")
    result = command(lab.home, "data", "add", str(tree), "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["kind"], found["images"], found["identities"], found["unreadable"]) == ("rfw", 72, 24, 1)
    assert found["groups"]["Asian"] == {"images": 18, "identities": 6}
    assert found["pairs"]["Asian"] == {"genuine": 10, "impostor": 10, "folds": 10}
    assert (found["sizes"], found["aligned"]) == ({"200x200": 71}, "by landmarks")
    assert any("m.in0_0001.jpg is not a readable JPEG" in text for text in found["problems"])
    assert not list(lab.datasets_folder.glob("*"))


def test_an_added_set_is_read_from_where_it_lies(lab: Workspace, tmp_path: Path) -> None:
    """By the command; an unreadable image and its pairs are left out, counted, and the rest keeps its meaning."""
    tree = rfw(tmp_path / "RFW")
    broken = tree / "test/data/African/m.af0/m.af0_0001.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    result = fairlab(lab.home, "data", "add", str(tree), "--name", "rfw", "--set", "image_px=56")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "images that cannot be read, left out: 1" in result.stdout
    data = open_dataset(lab.dataset("rfw"), verify=True)
    assert (len(data.images), data.image_px, data.attribute) == (71, 56, "Ethnicity")
    assert data.groups == ("African", "Asian", "Caucasian", "Indian")
    assert not (lab.dataset("rfw") / "pixels.npy").exists()
    people = data.images["identity"].to_numpy(dtype=object)
    pairs = data.pairs_of("test")
    assert ((people[pairs["image_a"]] == people[pairs["image_b"]]) == pairs["genuine"]).all()
    lost = _pairs_naming(tree, "m.af0\t1")
    assert len(pairs) == 80 - len(lost)
    assert data.pixels[np.array([0, 5, 70])].shape == (3, 56, 56, 3)
    shutil.move(str(tree), tmp_path / "elsewhere")
    with pytest.raises(FairLabError, match=r"which no longer exists; restore it, or name .*data move rfw"):
        _ = open_dataset(lab.dataset("rfw")).pixels[0]


def _pairs_naming(tree: Path, text: str) -> list[str]:
    lines = (tree / "test/txts/African/African_pairs.txt").read_text().splitlines()
    return [line for line in lines if line.startswith(f"{text}\t") or line.endswith(text)]


@pytest.mark.usefixtures("here")
def test_copied_pixels_are_those_of_the_files(lab: Workspace, tmp_path: Path) -> None:
    tree = grouped(tmp_path / "set")
    source = Source(path=str(tree), copy_pixels=True, swap_channels=True)
    wait_done(lab, [add_data(lab, source, "copied")])
    data = open_dataset(lab.dataset("copied"), verify=True)
    assert (lab.dataset("copied") / "pixels.npy").exists()
    for row, name in enumerate(data.images["location"]):
        assert (data.pixels[row] == decode((tree / name).read_bytes(), name)[:, :, ::-1]).all()


@pytest.mark.usefixtures("here")
def test_the_same_data_have_the_same_fingerprint_and_a_changed_image_another(lab: Workspace, tmp_path: Path) -> None:
    tree = grouped(tmp_path / "set")
    prints = []
    for name in ("one", "two", "three"):
        if name == "three":
            face(tree / "A" / "m.00" / "0.jpg", 99)
        wait_done(lab, [add_data(lab, Source(path=str(tree)), name)])
        prints.append(open_dataset(lab.dataset(name)).images.drop(columns="dataset"))
    assert prints[0].equals(prints[1])
    one, two, three = (open_dataset(lab.dataset(name)).info["seen"] for name in ("one", "two", "three"))
    assert one == two != three


class Deadly(Moment):
    """Ends the process, as by a kill, when the first images are decoded."""

    def advance(self, done: int, total: int, rate: float = 0.0) -> None:
        if self.stage == "decoding images":
            os.kill(os.getpid(), signal.SIGKILL)


def _add_and_die(home: str, run_id: str) -> None:
    lab = open_workspace(Path(home))
    carry_out(Job(lab, read_run(lab, run_id), progress=Span(Deadly())))


def test_decoded_faces_do_not_outlive_a_killed_job(lab: Workspace, tmp_path: Path) -> None:
    """The next job that makes data removes them, whichever it is."""
    source = Source(path=str(grouped(tmp_path / "set")), copy_pixels=True)
    record = read_run(lab, _queued(lab, source))
    child = fork(_add_and_die, str(lab.home), record.run_id)
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    (left,) = lab.datasets_folder.iterdir()
    assert left.stat().st_size > 1000
    other = read_run(lab, _queued(lab, Source(path=source.path)))
    carry_out(Job(lab, other))
    assert [path.name for path in lab.datasets_folder.iterdir()] == [other.dataset]


def test_a_stopped_look_goes_on_where_it_was(lab: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that were looked at are kept; a second attempt looks at the others only."""
    monkeypatch.setattr("fairlab.data.inspect.checking.CHUNK", 5)
    tree = grouped(tmp_path / "set", ("A", "B"), 5, 2)
    source = Source(path=str(tree))
    record = read_run(lab, _queued(lab, source))
    with pytest.raises(Stopped):  # asked for when two chunks of four are there
        adding.add(Job(lab, record, stop=lambda: len(list((record.folder / "looked").glob("*.parquet"))) == 2))
    kept = sorted((record.folder / "looked").glob("*.parquet"))
    assert len(kept) == 2
    times = [path.stat().st_mtime_ns for path in kept]
    adding.add(Job(lab, record))
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert len(open_dataset(lab.dataset("set")).images) == 20


def _queued(lab: Workspace, source: Source) -> str:
    """The record of an add job, without starting it."""
    from fairlab.plan.plan import single
    from fairlab.settings.study import Data, Run
    from fairlab.store.runs import create_run

    record = single(lab, "Data set", Run(role="dataset", method="add", data=Data(dataset="set"), source=source), ())
    create_run(lab, record)
    return record.run_id


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("data", "add"), "the following arguments are required: path"),
        (("data", "add", "/nowhere/at/all"), "/nowhere/at/all does not exist"),
        (("data", "add", "/nowhere", "--set", "kind=zip"), "/nowhere does not exist"),
        (("data", "add", "/", "--set", "knid=x", "--dry-run"), "there is no setting 'knid'; known here: path, kind"),
        (("data", "add", "/", "--pictures", "x"), "--pictures needs --dry-run"),
        (("data", "list", "--dry-run"), "there is no option '--dry-run'"),
    ],
)
def test_a_wrong_call_ends_with_one_sentence(lab: Workspace, arguments: tuple[str, ...], said: str) -> None:
    result = command(lab.home, *arguments)
    assert result.returncode != 0
    assert said in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert not list(lab.datasets_folder.glob("*"))


@pytest.mark.usefixtures("here")
def test_a_name_is_taken_once(lab: Workspace, tmp_path: Path) -> None:
    wait_done(lab, [add_data(lab, Source(path=str(grouped(tmp_path / "a"))), "mine")])
    with pytest.raises(Refused, match="there is already a data set 'mine'; choose another name"):
        add_data(lab, Source(path=str(grouped(tmp_path / "b"))), "mine")


@pytest.mark.usefixtures("here")
def test_data_that_changed_are_not_taken_for_those_that_were_added(lab: Workspace, tmp_path: Path) -> None:
    """The same files again are the same data set; other files under its name are refused, with what differs."""
    tree = grouped(tmp_path / "set")
    source = Source(path=str(tree))
    run_id = add_data(lab, source)
    wait_done(lab, [run_id])
    assert add_data(lab, source) == run_id
    face(tree / "B" / "m.10" / "new.jpg", 77)
    (tree / "A" / "m.00" / "0.jpg").unlink()
    with pytest.raises(Refused) as refusal:
        add_data(lab, source)
    assert str(refusal.value) == (
        f"the files in {tree} have changed since they were added as data set 'set': 1 more (B/m.10/new.jpg), "
        "1 fewer (A/m.00/0.jpg); add them under another name, or delete data set 'set' first "
        f"(`fairlab runs delete {run_id}`)"
    )
    assert len(open_dataset(lab.dataset("set"), verify=True).images) == 12


def test_an_image_that_vanished_or_changed_is_named_when_it_is_read(lab: Workspace, tmp_path: Path) -> None:
    """One by one and in a batch; the images that are still the same are read as before."""
    tree = grouped(tmp_path / "set")
    adding.add(Job(lab, read_run(lab, _queued(lab, Source(path=str(tree))))))
    before = open_dataset(lab.dataset("set"), verify=True).pixels[:]
    (tree / "A" / "m.00" / "1.jpg").unlink()
    face(tree / "A" / "m.01" / "0.jpg", 99)
    pixels = open_dataset(lab.dataset("set")).pixels
    rows = np.array([0, *range(3, 12)])
    assert (pixels[rows] == before[rows]).all()
    with pytest.raises(FairLabError, match=r"set, A/m\.00/1\.jpg cannot be read: No such file"):
        _ = pixels[np.arange(2)]
    with pytest.raises(Damaged, match=r"A/m\.01/0\.jpg has changed since the data set was added: it had [\d,]+ bytes"):
        _ = pixels[2]


def test_faces_that_are_aligned_are_not_shown_aligned_again(tmp_path: Path) -> None:
    """RFW's landmarks beside images that have the size asked for already: they are as they are in the pictures too."""
    source = Source(path=str(rfw(tmp_path / "RFW", px=112)))
    names = adding.write_pictures(tmp_path / "pictures", source, *adding.dry_run(source))
    assert sorted(names) == [f"{kind}-{number}.png" for kind in ("mean", "sheet") for number in range(4)]
    first = decode((tmp_path / "RFW/test/data/African/m.af0/m.af0_0001.jpg").read_bytes(), "x")
    assert (np.asarray(Image.open(tmp_path / "pictures" / "sheet-0.png"))[:, :112] == first).all()


@pytest.mark.usefixtures("here")
def test_a_dry_run_writes_the_page_s_pictures(lab: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faces, means and alignment of all groups, by the command and by the job behind the page, which shows them."""
    tree, folder = rfw(tmp_path / "RFW"), tmp_path / "deep" / "pictures"
    result = command(lab.home, "data", "add", str(tree), "--dry-run", "--pictures", str(folder))
    assert result.returncode == 0, result.stderr
    assert {path.name for path in folder.iterdir()} == {
        f"{kind}-{number}.png" for kind in ("sheet", "mean", "align") for number in range(4)
    }
    assert f"African: sheet-0.png, mean-0.png, align-0.png in {folder}" in result.stderr
    run_id = inspect_data(lab, Source(path=str(tree)))
    wait_done(lab, [run_id])
    for path in folder.iterdir():
        assert (lab.run(run_id) / path.name).read_bytes() == path.read_bytes()
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    app = AppTest.from_file(str(ROOT / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()
    app.query_params["look"] = run_id
    app.switch_page("../../../pages/data.py").run()
    assert not app.exception
    assert len(app.get("image")) == 12
    assert any("Below: the same faces aligned" in item.value for item in app.caption)


@pytest.mark.usefixtures("here")
def test_a_page_s_look_leaves_a_report_and_pictures(lab: Workspace, tmp_path: Path) -> None:
    run_id = inspect_data(lab, Source(path=str(grouped(tmp_path / "set"))))
    wait_done(lab, [run_id])
    names = {path.name for path in lab.run(run_id).iterdir()}
    assert {"report.json", "sheet-0.png", "mean-0.png", "sheet-1.png", "mean-1.png"} <= names
    again = inspect_data(lab, Source(path=str(tmp_path / "set")))
    assert again == run_id
    wait_done(lab, [again])
    assert state(lab.run(again)).status == "done"


@pytest.mark.usefixtures("here")
def test_a_trained_model_embeds_an_added_set(tiny: Workspace, tmp_path: Path) -> None:
    """What was trained on generated faces, on files of somebody: vectors in the store for every image."""
    copied_home(tiny.home, tmp_path / "copy")
    lab = open_workspace(tmp_path / "copy")
    teacher = next(path.name for path in lab.runs_folder.glob("teacher-group-a*"))
    px = open_dataset(lab.dataset(read_run(lab, teacher).dataset)).image_px
    source = Source(path=str(grouped(tmp_path / "set")), image_px=px)
    wait_done(lab, [add_data(lab, source, "mine")])
    wait_done(lab, [embed(lab, teacher, "mine")])
    vectors = open_embeddings(lab.run(teacher), "mine", "plain").vectors
    assert len(vectors) == 12
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.usefixtures("here")
def test_a_study_on_an_added_set_without_pairs_trains_and_says_that_it_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training set alone: everything is trained, embedded and mapped; the pages of numbers say what is missing."""
    lab = open_workspace(tmp_path / "home")
    tree = grouped(tmp_path / "set", ("A", "B"), 4, 6, px=32)
    wait_done(lab, [add_data(lab, Source(path=str(tree), image_px=32), "mine")])
    small = {f"{role}.training.batch_size": 8 for role in ("teacher", "adaptor", "student")}
    plan = plan_preset(lab, "tiny", {"dataset": "mine", **small})
    start(lab, plan)
    wait_done(lab, [run.record.run_id for run in plan.runs])
    teacher = plan.runs[0].record
    assert read_status(teacher.folder)["not_evaluated"] == "data set mine has no pairs"
    assert compare(lab, plan.study_id).empty
    said = without_numbers(lab, plan.study_id)
    assert "models are done, and none has numbers on mine: data set mine has no pairs" in said
    assert "`fairlab data pairs mine` draws some" in said
    for ask in (evaluate, lambda *names: scored(read_run(*names), open_dataset(lab.dataset("mine")), "test", ())):
        with pytest.raises(FairLabError, match="`fairlab data pairs mine` draws some"):
            ask(lab, teacher.run_id)
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    app = AppTest.from_file(str(ROOT / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()
    for page in ("home", "data", "launch", "runs", "spaces", "verification", "fairness", "compare"):
        app.switch_page(f"../../../pages/{page}.py").run()
        assert not app.exception, (page, app.exception)
        if page in ("verification", "fairness", "compare"):
            assert any("Data set mine has no pairs" in item.value for item in app.info), page
            assert {"Draw pairs", "Compare all images"} <= {button.label for button in app.button}, page


@pytest.mark.usefixtures("here")
def test_a_group_called_all_is_refused(lab: Workspace, tmp_path: Path) -> None:
    """The tables of numbers use the word for all groups together."""
    grouped(tmp_path / "faces")
    (tmp_path / "faces" / "A").rename(tmp_path / "faces" / "all")
    result = command(lab.home, "data", "add", str(tmp_path / "faces"))
    assert result.returncode == 1
    assert "a group of faces is called 'all'" in result.stderr
    assert not list(lab.datasets_folder.glob("*"))
