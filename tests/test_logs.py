"""What the logs never say: who is in the data, where they lie, what a face's template is, and no secret."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from fairlab.jobs.data.starts import add_data
from fairlab.plan.grid import plan_preset
from fairlab.queue.launch import start
from fairlab.settings.study import Source
from fairlab.store.embeddings import open_embeddings
from fairlab.store.runs import state
from fairlab.workspace import Workspace
from tests.conftest import command
from tests.data.trees import face
from tests.test_pages import PAGES, fine, opened

PERSON, TOKEN = "Canary Jane Doe", "canary-token-7f3a91"


@pytest.mark.usefixtures("here")
def test_a_planted_name_token_and_template_are_in_no_log(
    lab: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Data with a known person added, trained on, judged, looked at on every page: 0 hits at INFO in all that is said."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    root = tmp_path / "canary-home"
    for group in "AB":
        for number in range(4):
            who = PERSON if (group, number) == ("A", 0) else f"m.{group}{number}"
            for image in range(6):
                face(root / group / who / f"{image}.jpg", 100 * ord(group) + 10 * number + image, 32)
    pairs = "image_a,image_b,genuine\n" + "".join(
        f"{g}/{PERSON if g + str(n) == 'A0' else f'm.{g}{n}'}/0.jpg,{g}/{PERSON if g + str(m) == 'A0' else f'm.{g}{m}'}/1.jpg,{int(n == m)}\n"
        for g in "AB" for n in range(4) for m in range(4)
    )  # fmt: skip
    (tmp_path / "pairs.csv").write_text(pairs)
    add_data(lab, Source(path=str(root), image_px=32, split="train", pair_list=str(tmp_path / "pairs.csv")), "faces")
    dials = {
        "demo": None,
        "dataset": "faces",
        "plain_student": False,
        "concatenation": False,
        "adaptor.training.epochs": 1,
    }
    plan = plan_preset(lab, "tiny", {**dials, "teacher.training.epochs": 1, "student.training.epochs": 1})
    start(lab, plan)
    said = []
    for words in (["runs", "list"], ["models", "list"], ["compare"], ["doctor", "--verify"]):
        result = command(lab.home, *words)
        assert result.returncode == 0, result.stderr
        said.append(result.stdout + result.stderr)
    for page in PAGES:
        fine(opened(monkeypatch, lab, page))
    assert {state(lab.run(run.record.run_id)).status for run in plan.runs} <= {"done"}
    vectors = [
        open_embeddings(path, "faces").vectors for path in lab.runs_folder.iterdir() if (path / "embeddings").is_dir()
    ]
    assert len(vectors) >= 3
    logs = [path.read_text() for path in lab.home.rglob("log.txt")]
    assert len(logs) >= 5
    out = capfd.readouterr()
    everything = "\n".join([*logs, *said, caplog.text, out.out, out.err])
    assert len(everything) > 1000
    numbers = {
        f"{abs(value):.{digits}f}" for found in vectors for value in np.asarray(found[0]) for digits in (5, 6, 8)
    }
    for secret in (PERSON, TOKEN, "canary-home", *numbers):
        assert secret not in everything
    stored = [path for path in lab.home.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert stored == []
