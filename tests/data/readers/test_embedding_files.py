from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairlab.data.readers.embedding_files import EmbeddingFile, detect_embeddings, read_embeddings
from fairlab.errors import Damaged, FairLabError, Refused
from tests.conftest import ROOT

COUNT, DIMS = 12, 5
NAMES = [f"id{at // 2}/صورة 😀,{at}.jpg" for at in range(COUNT)]
IDENTITIES = [f"id{at // 2}" for at in range(COUNT)]
VECTORS = np.random.default_rng(3).normal(size=(COUNT, DIMS)).astype(np.float32) * 7


def table_beside(path: Path, **columns: list[str]) -> Path:
    """An id table of the same stem: CSV with a header."""
    beside = path.with_suffix(".csv")
    pd.DataFrame({"image": NAMES, **columns}).to_csv(beside, index=False)
    return beside


def as_npy(path: Path, vectors: np.ndarray = VECTORS) -> Path:
    path = path.with_suffix(".npy")
    np.save(path, vectors)
    table_beside(path, identity=IDENTITIES, group=["g"] * COUNT, age=["7"] * COUNT)
    return path


def as_npz(path: Path, vectors: np.ndarray = VECTORS, **arrays: np.ndarray) -> Path:
    path = path.with_suffix(".npz")
    texts = {"image": np.array(NAMES), "identity": np.array(IDENTITIES), "group": np.array(["g"] * COUNT)}
    np.savez_compressed(path, vectors=vectors, **{**texts, "age": np.full(COUNT, 7), **arrays})
    return path


def frame(vectors: np.ndarray = VECTORS) -> pd.DataFrame:
    columns = {"image": NAMES, "identity": IDENTITIES, "group": "g", "age": 7}
    return pd.DataFrame({**columns, "embedding": list(vectors)}, index=None)


def as_lists(path: Path, vectors: np.ndarray = VECTORS) -> Path:
    path = path.with_suffix(".parquet")
    frame(vectors).to_parquet(path, write_page_checksum=True)
    return path


def as_columns(path: Path, vectors: np.ndarray = VECTORS) -> Path:
    path = path.with_suffix(".parquet")
    numbers = pd.DataFrame(vectors[:, ::-1], columns=[f"e{at}" for at in range(DIMS)][::-1])
    pd.concat([frame().drop(columns="embedding"), numbers], axis=1).to_parquet(path)
    return path


def as_fixed_lists(path: Path, vectors: np.ndarray = VECTORS) -> Path:
    path = path.with_suffix(".parquet")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMS)
    pq.write_table(
        pa.table({"path": NAMES, "id": IDENTITIES, "group": ["g"] * COUNT, "age": ["7"] * COUNT, "v": lists}), path
    )
    return path


@pytest.mark.parametrize("write", [as_npy, as_npz, as_lists, as_columns, as_fixed_lists])
def test_every_format_holds_the_same(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    """The numbers of float32 to the bit, not normalised, and the table of names."""
    path = write(tmp_path / "vectors")
    assert detect_embeddings(path) == f"{COUNT} vectors of {DIMS} numbers"
    read = read_embeddings(path)
    assert read.vectors.dtype == np.float32
    assert np.asarray(read.vectors).tobytes() == VECTORS.tobytes()
    assert read.table["location"].tolist() == NAMES
    assert read.table["identity"].tolist() == IDENTITIES
    assert set(read.table) == {"location", "identity", "group", "attribute.age"}
    assert set(read.table["attribute.age"]) == {"7"}
    assert (read.problems, read.notes) == ((), ())


def test_npy_of_float32_stays_on_the_disk(tmp_path: Path) -> None:
    assert isinstance(read_embeddings(as_npy(tmp_path / "v")).vectors, np.memmap)


@pytest.mark.parametrize("kind", ["<f2", "<f8", ">f4", ">f8", "fortran"])
@pytest.mark.parametrize("write", [as_npy, as_npz])
def test_other_floats_become_float32(tmp_path: Path, kind: str, write: Callable[..., Path]) -> None:
    stored = np.asfortranarray(VECTORS) if kind == "fortran" else VECTORS.astype(kind)
    read = read_embeddings(write(tmp_path / "v", stored)).vectors
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, stored.astype(np.float32))


@pytest.mark.parametrize("ending", [".txt", ".csv"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_one_name_a_line(tmp_path: Path, ending: str, ends: str) -> None:
    """Without a header; in a .csv names with commas stand in quotes."""
    np.save(tmp_path / "v.npy", VECTORS)
    quote = '"' if ending == ".csv" else ""
    text = ends.join(f"{quote}{name}{quote}" for name in NAMES)
    (tmp_path / f"v{ending}").write_bytes(b"\xef\xbb\xbf" + text.encode())
    read = read_embeddings(tmp_path / "v.npy")
    assert read.table["location"].tolist() == NAMES
    assert list(read.table) == ["location"]


def test_an_id_table_is_joined_by_name_where_the_file_has_names(tmp_path: Path) -> None:
    path = as_npz(tmp_path / "v")
    table = tmp_path / "people.tsv"
    rows = pd.DataFrame({"file": NAMES, "race": [str(at) for at in range(COUNT)]}).iloc[::-1]
    rows.to_csv(table, sep="\t", index=False)
    read = read_embeddings(path, table)
    assert read.table["attribute.race"].tolist() == [str(at) for at in range(COUNT)]
    assert read.table["identity"].tolist() == IDENTITIES
    rows.iloc[2:].to_csv(table, sep="\t", index=False)
    with pytest.raises(Damaged, match=r"lacks 2 of the images of .*v.npz"):
        read_embeddings(path, table)


def test_vectors_of_zeros_are_counted(tmp_path: Path) -> None:
    vectors = VECTORS.copy()
    vectors[[3, 7]] = 0
    read = read_embeddings(as_npy(tmp_path / "v", vectors))
    assert [problem.count for problem in read.problems] == [2]
    assert read.problems[0].examples == (NAMES[3], NAMES[7])


@pytest.mark.parametrize("write", [as_npy, as_npz, as_lists, as_columns])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_the_first_vector_that_is_not_finite_is_named(tmp_path: Path, write: Callable[..., Path], bad: float) -> None:
    vectors = VECTORS.astype(np.float64)
    vectors[4, 2] = vectors[9, 0] = bad
    # pandas writes NaN in a column as a missing number
    with pytest.raises(
        Damaged, match=r"row 5 \(id2/.*4.jpg\): the vector holds NaN, or a number bey|a number is missing"
    ):
        read_embeddings(write(tmp_path / "v", vectors))


def test_a_name_that_stands_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    doubled = [*NAMES[:-1], NAMES[1]]
    path = as_npy(tmp_path / "v")
    (tmp_path / "v.csv").write_text("image\n" + "\n".join(f'"{name}"' for name in doubled) + "\n")
    with pytest.raises(Damaged, match="is in line 3 and in line 13"):
        read_embeddings(path)
    with pytest.raises(Damaged, match="is in row 2 and in row 12"):
        read_embeddings(as_npz(tmp_path / "v", image=np.array(doubled)))


def test_wrong_numbers_of_rows_are_said(tmp_path: Path) -> None:
    path = as_npy(tmp_path / "v", VECTORS[:-1])
    with pytest.raises(Damaged, match=r"v.npy has 11 vectors, but .*v.csv has 12 rows"):
        read_embeddings(path)
    with pytest.raises(Damaged, match="has 12 vectors, but 3 of 'identity'"):
        read_embeddings(as_npz(tmp_path / "v", identity=np.array(["a", "b", "c"])))


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (VECTORS[0], r"holds the array \(5 float32\); expected one array of vectors x numbers"),
        (VECTORS[None], r"\(1 x 12 x 5 float32\)"),
        (VECTORS[:0], r"\(0 x 5 float32\)"),
        (VECTORS.astype(int), r"\(12 x 5 int64\)"),
        (VECTORS.astype(complex), "complex"),
        (np.zeros(3, [("a", "f4")]), "is not a plain array"),
    ],
)
def test_arrays_of_another_shape_are_refused(tmp_path: Path, vectors: np.ndarray, message: str) -> None:
    path = as_npy(tmp_path / "v", vectors)
    assert detect_embeddings(path) == ""
    with pytest.raises(Damaged, match=message):
        read_embeddings(path)


def test_two_matrices_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"holds vectors \(12 x 5 float32\), .*other \(12 x 5 float32\)"):
        read_embeddings(as_npz(tmp_path / "v", other=VECTORS))


def test_an_array_of_fewer_rows_than_are_there_is_refused(tmp_path: Path) -> None:
    """Half of the vectors would be lost in silence."""
    content = header_of(f"({COUNT // 2}, {DIMS})") + VECTORS.tobytes()
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        archive.writestr("v.npy", content)
    (tmp_path / "w.npy").write_bytes(content)
    for name in ("v.npz", "w.npy"):
        with pytest.raises(Damaged, match=r"120 bytes.* it has 240"):
            read_embeddings(tmp_path / name)


class Gadget:
    """What a pickle could do: make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    trap = np.array([[Gadget(tmp_path / "ran")]], dtype=object)
    np.save(tmp_path / "v.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "w.npz", vectors=VECTORS, names=trap[0])
    for name in ("v.npy", "w.npz"):
        assert detect_embeddings(tmp_path / name) == ""
        with pytest.raises(Refused, match=r"Python objects \(a pickle\).*names.astype\(str\)"):
            read_embeddings(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def header_of(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def bombs(folder: Path) -> list[Path]:
    """Small files that declare gigabytes."""
    zeros = bytes(64 << 20)
    content = {"zeros": b"", "more": b"", "huge": b"", "name": b""}
    made = []
    for name in content:
        path = folder / f"{name}.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            if name == "zeros":  # 256 MB that are truly there
                with archive.open("v.npy", "w") as handle:
                    handle.write(header_of("(65536, 1024)"))
                    for _ in range(4):
                        handle.write(zeros)
            elif name == "more":  # the header says more than the zip
                archive.writestr("v.npy", header_of("(4000000000, 4000000000)") + bytes(100))
            elif name == "huge":  # numbers beyond 64 bits
                archive.writestr("v.npy", header_of(f"({10**30}, {10**30})") + bytes(100))
            else:  # one name of a gigabyte
                archive.writestr("v.npy", header_of("(1, 2)") + np.ones(2, "f4").tobytes())
                archive.writestr("image.npy", header_of("(1,)", "<U16777216") + zeros)
        made.append(path)
    npy = folder / "claims.npy"
    npy.write_bytes(header_of("(4000000000, 512)") + bytes(100))
    (folder / "claims.txt").write_text("a\n")
    lists = folder / "runs.parquet"
    run = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(1 << 25, np.float32)), 1 << 10)
    pq.write_table(pa.table({"embedding": run, "image": [str(at) for at in range(1 << 15)]}), lists, compression="zstd")
    return [*made, npy, lists]


READ_BOMB = """
import resource, sys, time
from fairlab.data.readers.embedding_files import detect_embeddings, read_embeddings
from fairlab.errors import FairLabError
for path in sys.argv[1:]:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    assert detect_embeddings(path) == "", path
    try:
        read_embeddings(path)
    except FairLabError as error:
        assert any(word in str(error) for word in ("claims", "says", "are there")), error
    else:
        raise AssertionError(f"{path} was read")
    assert time.monotonic() - start < 1, path
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, path
print("refused")
"""


def test_size_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    """Six: under a second and 50 MB each, in a process that has never been larger."""
    paths = bombs(tmp_path)
    assert all(path.stat().st_size < 2 << 20 for path in paths)
    result = subprocess.run(
        [sys.executable, "-c", READ_BOMB, *map(str, paths)], capture_output=True, text=True, cwd=ROOT
    )
    assert result.stdout == "refused\n", result.stderr


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"embedding": [[1.0, 2.0], [1.0, 2.0, 3.0], [1.0]]}, "rows 1 to 3: not all vectors have 2 numbers"),
        ({"embedding": [[1.0, 2.0], [1.0, 2.0, 3.0]]}, "rows 1 to 2: not all vectors have 2 numbers"),
        ({"embedding": [[1.0, 2.0], None]}, "rows 1 to 2: not all vectors have 2 numbers"),
        ({"embedding": [None, [1.0, 2.0]]}, "2 rows of 0 numbers; expected vectors of one length"),
        ({"embedding": [[1.0, 2.0], [None, 1.0]]}, "rows 1 to 2: a number is missing"),
        (
            {"one": [[1.0], [1.0]], "two": [[1.0], [1.0]]},
            "has 2 columns of lists of numbers; expected one, called emb",
        ),
        ({"e0": [1.0], "e2": [1.0], "e3": [1.0]}, "no columns of lists of numbers"),
    ],
)
def test_what_is_wrong_in_a_parquet_file_is_said(tmp_path: Path, columns: dict[str, list], message: str) -> None:
    path = tmp_path / "v.parquet"
    count = len(next(iter(columns.values())))
    pq.write_table(pa.table({"image": [str(at) for at in range(count)], **columns}), path)
    with pytest.raises(FairLabError, match=message):
        read_embeddings(path)


def test_a_table_of_pairs_is_no_file_of_embeddings(tmp_path: Path) -> None:
    pairs = {name: ["a"] for name in ("p1", "p2")} | {"label": [1]} | {f"model{at}": [0.5] for at in range(4)}
    pq.write_table(pa.table(pairs), tmp_path / "v.parquet")
    assert detect_embeddings(tmp_path / "v.parquet") == ""


def test_vectors_without_names_ask_for_a_table(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    with pytest.raises(
        FairLabError, match=r"does not say which image each vector belongs to; give an id table, .* v.csv"
    ):
        read_embeddings(tmp_path / "v.npy")
    (tmp_path / "v.csv").write_text("a,b\n" * COUNT)
    with pytest.raises(Damaged, match="has several columns, but none is called image"):
        read_embeddings(tmp_path / "v.npy")
    (tmp_path / "v.csv").write_text("identity,group\n" + "a,b\n" * COUNT)
    with pytest.raises(FairLabError, match="has no column 'image'"):
        read_embeddings(tmp_path / "v.npy")
    for other in (tmp_path, tmp_path / "nothing.npy", tmp_path / "v.csv"):
        assert detect_embeddings(other) == ""
        with pytest.raises(FairLabError, match="expected"):
            read_embeddings(other)


# ---- damaged files


def spoiled(content: bytes, kind: str, count: int = 200) -> list[bytes]:
    """`count` cuts, spread over the file, or flips of one bit at places drawn with a fixed seed."""
    if kind == "cut":
        return [content[: len(content) * at // count] for at in range(count)]
    draw, found = random.Random(11), []
    for _ in range(count):
        other = bytearray(content)
        other[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        found.append(bytes(other))
    return found


def unharmed(read: EmbeddingFile, ending: str) -> bool:
    """What a checksum protects (.npz, parquet) is as it was; a .npy has none, but its shape."""
    if ending == ".npy":
        return read.vectors.shape == VECTORS.shape
    return np.asarray(read.vectors).tobytes() == VECTORS.tobytes()


@pytest.mark.parametrize("kind", ["cut", "flip"])
@pytest.mark.parametrize("write", [as_npy, as_npz, as_lists])
def test_damage_is_said_or_does_no_harm(tmp_path: Path, kind: str, write: Callable[[Path], Path]) -> None:
    path, said = write(tmp_path / "vectors"), []
    for content in spoiled(path.read_bytes(), kind):
        path.write_bytes(content)
        start = time.monotonic()
        detect_embeddings(path)
        try:
            read = read_embeddings(path)
        except FairLabError as error:
            said.append(str(error))
        else:
            assert kind == "flip", "a file cut short was read"
            assert unharmed(read, path.suffix)
        assert time.monotonic() - start < 5
    assert said
    assert all(str(tmp_path) in text and "\n" not in text for text in said)


def test_old_headers_of_python_2_are_read(tmp_path: Path) -> None:
    """Its long integers have an L."""
    stream = io.BytesIO(header_of(f"({COUNT}L, {DIMS}L)") + VECTORS.tobytes())
    (tmp_path / "v.npy").write_bytes(stream.getvalue())
    table_beside(tmp_path / "v.npy")
    np.testing.assert_array_equal(read_embeddings(tmp_path / "v.npy").vectors, VECTORS)
