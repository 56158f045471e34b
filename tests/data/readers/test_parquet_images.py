"""Image parquet as Hugging Face's `datasets` writes it: structs of bytes and path, names of labels in the metadata."""

from __future__ import annotations

import io
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fairlab.data.listing import Listing, detect_kind
from fairlab.data.readers import parquet_images
from fairlab.data.readers.parquet_images import ParquetImages
from fairlab.errors import Damaged, FairLabError
from fairlab.jobs.data.adding import dry_run
from fairlab.settings.study import Source


def png(seed: int, px: int = 24) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (px, px, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def written(path: Path, images: list[bytes | None], columns: dict[str, list[Any]], names: dict[str, list[str]]) -> Path:
    """A file of groups of three rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)]
    table = pa.table({"image": pa.array(rows, kind), **columns})
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    features |= {name: {"names": listed, "_type": "ClassLabel"} for name, listed in names.items()}
    table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}}).encode()})
    pq.write_table(table, path, row_group_size=3)
    return path


def listing(path: Path, **settings: object) -> Listing:
    source = Source.model_validate({"path": str(path), **settings})
    return ParquetImages().listing(path, source, lambda _d, _t: None, lambda: False)


def test_parts_people_and_attributes(tmp_path: Path) -> None:
    """Two files of a part, one of another; labels are numbers whose names stand in the metadata."""
    names = {"label": ["Ann", "Bo"], "race": ["Asian", "Indian"]}
    images = [png(number) for number in range(10)]
    for number, (part, rows) in enumerate(
        (
            ("train-00000-of-00002", range(4)),
            ("train-00001-of-00002", range(4, 8)),
            ("test-00000-of-00001", range(8, 10)),
        )
    ):
        columns = {
            "label": [row % 2 for row in rows],
            "race": [row % 2 for row in rows],
            "age": [20 + row for row in rows],
        }
        written(tmp_path / "data" / f"{part}.parquet", [images[row] for row in rows], columns, names)
        assert number < 3
    assert detect_kind(tmp_path)[0] == "parquet"
    found = listing(tmp_path)
    assert found.images["identity"].tolist() == ["Ann", "Bo"] * 5 if found.images["split"].iloc[0] == "train" else True
    assert found.images.groupby("split").size().to_dict() == {"test": 2, "train": 8}
    assert (found.attribute, set(found.images["group"])) == ("race", {"Asian", "Indian"})
    read = ParquetImages().opener(tmp_path, found.images["location"].tolist())
    order = [8, 9, *range(8)]  # test sorts before train
    for place in random.Random(1).sample(range(10), 10):
        assert read(place) == images[order[place]]
        assert found.images["attribute.age"].iloc[place] == str(20 + order[place])


def test_rows_as_pairs(tmp_path: Path) -> None:
    """CVLface's packs: image, index, is_same, two rows a pair; ten folds of contiguous pairs."""
    path = written(
        tmp_path / "lfw.parquet",
        [png(n) for n in range(40)],
        {"index": list(range(40)), "is_same": [n // 2 % 2 == 0 for n in range(40)]},
        {},
    )
    found = listing(path)
    assert found.pairs is not None
    assert found.pairs[["image_a", "image_b"]].to_numpy().tolist() == [[2 * n, 2 * n + 1] for n in range(20)]
    assert found.pairs["fold"].tolist() == [n // 2 for n in range(20)]
    people = found.images["identity"].to_numpy()
    assert ((people[::2] == people[1::2]) == found.pairs["genuine"]).all()
    odd = written(tmp_path / "odd.parquet", [png(n) for n in range(3)], {"is_same": [True, True, False]}, {})
    with pytest.raises(Damaged, match=r"odd\.parquet: expected pairs of rows"):
        listing(odd)


def test_bad_images_and_lacking_labels_are_counted(tmp_path: Path) -> None:
    images = [png(0), b"nothing", None, png(3), png(4)]
    path = written(tmp_path / "faces.parquet", images, {"person": ["a", "a", "b", "b", None]}, {})
    found, listed = dry_run(Source(path=str(path)))
    assert (found["images"], found["unreadable"]) == (4, 2)
    assert any("has no image in row 2" in text for text in found["problems"])
    assert "rows without an identity, left out: 1" in listed.notes


def test_who_is_shown_may_stand_in_the_paths(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", [png(0), png(1)], {"blur": [0.5, 0.25]}, {})
    with pytest.raises(FairLabError, match=r"has no identity column .*it has: blur; rename one"):
        listing(path)
    assert listing(path, identity_pattern="{identity}").images["identity"].tolist() == ["0", "1"]


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One value of 256 KB, named 400 times by a dictionary: 100 MB from some kilobytes; the bound is 8 MB here."""
    monkeypatch.setattr(parquet_images, "GROUP_BYTES", 8 << 20)
    monkeypatch.setattr(parquet_images, "AT_ONCE", 1 << 20)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    one = b"\x89PNG" + bytes(1 << 18)
    table = pa.table({"image": pa.array([{"bytes": one, "path": ""}] * 400, kind), "label": [0] * 400})
    path = tmp_path / "bomb.parquet"
    pq.write_table(table, path, row_group_size=400, use_dictionary=True, dictionary_pagesize_limit=4 << 20)
    assert path.stat().st_size < 2_000_000
    read = ParquetImages().opener(path, ["bomb.parquet:7"])
    tracemalloc.start()
    with pytest.raises(Damaged, match="write it again with row_group_size=100"):
        read(0)
    assert tracemalloc.get_traced_memory()[1] < 40e6
    tracemalloc.stop()


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_200_damaged_files(tmp_path: Path, how: str) -> None:
    """Refused in one sentence, or every image that is read is one of those that were written or cannot be decoded."""
    images = [png(number, 8) for number in range(6)]
    whole = written(
        tmp_path / "whole.parquet", images, {"label": [0, 0, 1, 1, 2, 2]}, {"label": ["a", "b", "c"]}
    ).read_bytes()
    path, draw = tmp_path / "some.parquet", random.Random(2)
    for _ in range(200):
        place = draw.randrange(len(whole))
        damaged = bytearray(whole[:place] if how == "cut" else whole)
        if how == "flip":
            damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            found = listing(path)
            read = ParquetImages().opener(path, found.images["location"].tolist())
            for row in range(len(found.images)):
                read(row)
        except FairLabError as error:
            assert "some.parquet" in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
