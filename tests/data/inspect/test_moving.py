"""Data that lie elsewhere now: the same bytes are the same data, others only when somebody says so."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.inspect.moving import look_there, put
from fairlab.data.traits import Trait, keep_traits, traits_fingerprint, traits_of
from fairlab.errors import Damaged, FairLabError, Refused, Stopped
from fairlab.files import verify_manifest
from fairlab.jobs.data.starts import add_data, move_data
from fairlab.settings.study import Source
from fairlab.storage.people.forget import forget
from fairlab.workspace import Workspace
from tests.data.trees import face, grouped, rfw
from tests.forks import fork

pytestmark = pytest.mark.usefixtures("here")


def added(lab: Workspace, path: Path, **settings: object) -> Dataset:
    add_data(lab, Source(path=str(path), image_px=32, **settings), "faces")
    return open_dataset(lab.dataset("faces"))


def move(data: Dataset, to: Path, changed: bool = False, **more: Any) -> None:
    put(data, look_there(data, to, changed, **more))


def files(data: Dataset) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data.folder.iterdir()}


@pytest.mark.parametrize("tree", [grouped, rfw])
def test_the_same_files_elsewhere_are_the_same_data(
    lab: Workspace, tmp_path: Path, tree: Callable[[Path], Path]
) -> None:
    """Pixels, tables and fingerprint, with landmarks too; from one place to the next and back."""
    before = added(lab, tree(tmp_path / "here"))
    pixels = np.array(before.pixels[:])
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(FairLabError, match="fairlab data move faces PATH"):
        open_dataset(before.folder).pixels[0]
    told: list[tuple[int, int]] = []
    for place, other in (("there", "here"), ("here", "there")):
        move(open_dataset(before.folder), tmp_path / place, progress=lambda *at: told.append(at))
        assert told[-1] == (len(before.images), len(before.images))
        after = open_dataset(before.folder, verify=True)
        assert after.fingerprint == before.fingerprint
        assert np.array_equal(after.pixels[:], pixels)
        assert after.images.equals(before.images)
        assert not after.info["moved"][-1].get("changed")
        (tmp_path / place).rename(tmp_path / other)


def test_one_other_image_is_named_and_nothing_changes(lab: Workspace, tmp_path: Path) -> None:
    """Missing; of another size; of the same size with one bit turned; a place that is not there; a stop."""
    data = added(lab, grouped(tmp_path / "here"))
    before, victim = files(data), Path("A") / "m.00" / "0.jpg"
    content = (tmp_path / "here" / victim).read_bytes()
    for wrong, said in ((None, "cannot be read"), (content + b"x", "is not the image"), (_flipped(content), "is not")):
        shutil.rmtree(tmp_path / "there", ignore_errors=True)
        shutil.copytree(tmp_path / "here", tmp_path / "there")
        (tmp_path / "there" / victim).unlink()
        if wrong is not None:
            (tmp_path / "there" / victim).write_bytes(wrong)
        with pytest.raises(FairLabError, match=f"m.00/0.jpg.*{said}"):
            move(data, tmp_path / "there")
    with pytest.raises(FairLabError, match="does not exist"):
        move(data, tmp_path / "nowhere")
    with pytest.raises(Stopped):
        move(data, tmp_path / "here", stop=lambda: True)
    assert files(data) == before
    assert [path.name for path in data.folder.parent.iterdir()] == ["faces"]


def _flipped(content: bytes) -> bytes:
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


def test_changed_images_are_other_data_and_must_be_images(lab: Workspace, tmp_path: Path) -> None:
    data = added(lab, grouped(tmp_path / "here"))
    pixels, victim = np.array(data.pixels[:]), tmp_path / "here" / "A" / "m.00" / "0.jpg"
    ones = np.ones(len(pixels))
    keep_traits(data, [Trait("sharpness", "measured", "", ones), Trait("age", "table", "", ones)])
    data = open_dataset(data.folder)
    face(victim, 4711)
    move(data, tmp_path / "here", changed=True)
    after = open_dataset(data.folder, verify=True)
    assert after.fingerprint != data.fingerprint
    assert after.info["moved"][-1]["changed"] == 1
    (row,) = np.flatnonzero((np.array(after.pixels[:]) != pixels).any((1, 2, 3)))
    assert after.images["location"][row] == "A/m.00/0.jpg"
    assert np.flatnonzero(~traits_of(after)["sharpness"].known).tolist() == [row]
    assert traits_of(after)["age"].known.all()
    assert traits_fingerprint(after) != traits_fingerprint(data)
    before = files(after)
    victim.write_bytes(b"no picture")
    with pytest.raises(Damaged, match=r"0\.jpg"):
        move(after, tmp_path / "here", changed=True)
    assert files(after) == before


def test_people_who_were_deleted_do_not_come_back(lab: Workspace, tmp_path: Path) -> None:
    """Their files may lie there or not; the rest is still known image by image."""
    data = added(lab, grouped(tmp_path / "here"))
    forget(lab, "faces", "A/m.00" if "A/m.00" in set(data.images["identity"]) else data.images["identity"][0])
    left = open_dataset(data.folder)
    assert len(left.images) == len(data.images) - 2
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    move(left, tmp_path / "there")
    assert open_dataset(data.folder, verify=True).fingerprint == left.fingerprint
    image = tmp_path / "there" / left.images["location"][0]
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(image)
    with pytest.raises(FairLabError, match=r"is not the image"):
        move(open_dataset(data.folder), tmp_path / "there")


def test_data_without_files_of_ones_own_do_not_move(lab: Workspace, tmp_path: Path) -> None:
    data = added(lab, grouped(tmp_path / "here"), copy_pixels=True)
    with pytest.raises(Refused, match="does not read external files"):
        move(data, tmp_path)


def _move_slowly(folder: str, to: str, begun: str) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        time.sleep(0.005)
        real(handle)

    os.fsync = fsync
    while True:
        for number in range(10):
            face(Path(to) / "A" / "m.00" / "0.jpg", number)
            move(open_dataset(Path(folder)), Path(to), changed=True)
            Path(begun).touch()  # the first one has loaded all that it needs


def test_kills_leave_the_old_or_the_new_data(lab: Workspace, tmp_path: Path) -> None:
    """Six at random times: whole by its manifest each time, and never new images under an old fingerprint."""
    data, rng = added(lab, grouped(tmp_path / "here")), random.Random(0)
    known: dict[str, bytes] = {}
    for _ in range(6):
        begun = tmp_path / "begun"
        begun.unlink(missing_ok=True)
        child = fork(_move_slowly, str(data.folder), str(tmp_path / "here"), str(begun))
        while not begun.exists():
            time.sleep(0.01)
        child.join(rng.uniform(0.05, 0.6))
        child.kill()
        child.join()
        verify_manifest(data.folder)
        now = open_dataset(data.folder)
        hashes = (data.folder / "hashes.npy").read_bytes()
        assert known.setdefault(now.fingerprint, hashes) == hashes
    assert len(known) > 2


def test_who_is_deleted_while_images_are_read_stays_deleted(lab: Workspace, tmp_path: Path) -> None:
    """A deletion that ends in between, and one that was cut short: nothing that was read before is put back."""
    data = added(lab, grouped(tmp_path / "here"))
    victim = str(data.images["identity"].iloc[0])
    once = iter([lambda: forget(lab, "faces", victim)])

    def meanwhile(_done: int, _total: int) -> None:
        next(once, lambda: None)()

    with pytest.raises(Refused, match="changed while its images were read"):
        move_data(lab, "faces", str(tmp_path / "here"), progress=meanwhile)
    assert victim not in set(open_dataset(data.folder).images["identity"])
    (lab.home / "forgetting").mkdir()
    (lab.home / "forgetting" / "ready.json").write_text("{}")
    with pytest.raises(Refused, match="was interrupted"):
        move_data(lab, "faces", str(tmp_path / "here"))
