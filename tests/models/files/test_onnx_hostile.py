"""Strangers' and damaged ONNX files: refused before anything runs them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf.message import DecodeError
from onnx import helper
from onnx import onnx_ml_pb2 as official

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.models.files.onnx import inspect_onnx, load_onnx
from tests.conftest import ROOT
from tests.fixtures.onnx_models import (
    DIM,
    PX,
    edited,
    external,
    hostile,
    images,
    model,
    network,
    reference,
    tensor,
    written,
)

GB = 10**9


SUB, MUL = ("Sub", 127.5), ("Mul", 1 / 128)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the files that Python code opens during the test; a canary beside the code under test."""
    names: list[str] = []
    watching = [True]
    sys.addaudithook(lambda event, args: names.append(str(args[0])) if watching[0] and event == "open" else None)
    yield names
    watching[0] = False


class TestHostile:
    """S11. Every file is refused before onnxruntime is asked for and before any other file is opened."""

    @pytest.mark.parametrize("name", list(hostile("x")))
    def test_is_refused_and_nothing_else_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str], name: str
    ) -> None:
        """The file that it points to is a pipe: who opened it would wait for ever."""
        os.mkfifo(tmp_path / "canary")
        content, message = hostile("canary")[name]
        path = written(tmp_path / "a.onnx", content)
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        monkeypatch.chdir(tmp_path)
        opened.clear()
        start = time.process_time()
        for look in (inspect_onnx, load_onnx):
            with pytest.raises((Refused, Damaged), match=message) as error:
                look(path)
            assert str(path) in str(error.value)
            assert "\n" not in str(error.value)
        assert set(opened) == {str(path)}
        assert time.process_time() - start < 5

    def test_the_danger_is_real(self, tmp_path: Path) -> None:
        """Otherwise the tests above show nothing: given the path, onnxruntime itself reads the other file."""
        whole = network()
        whole.graph.initializer[3].CopyFrom(external("fc.b", "secret", [DIM]))
        path = written(tmp_path / "a.onnx", whole)
        secret = np.arange(DIM, dtype=np.float32) * 1000
        (tmp_path / "secret").write_bytes(secret.tobytes())
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        leaked = session.run(None, {"data": np.zeros((1, 3, PX, PX), np.float32)})[0]
        np.testing.assert_allclose(leaked[0], secret, atol=30)
        (tmp_path / "elsewhere").mkdir()
        moved = written(tmp_path / "elsewhere" / "a.onnx", path.read_bytes())
        with pytest.raises(FairLabError, match=r"in another file \(secret\), which is not beside it"):
            load_onnx(moved)
        (tmp_path / "elsewhere" / "secret").symlink_to(tmp_path / "secret")
        with pytest.raises(Refused, match="not a plain file"):
            load_onnx(moved)

    def test_onnxruntime_gets_the_bytes_that_were_looked_at(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that changes after the look changes nothing."""
        path = written(tmp_path / "a.onnx", network())
        whole = network()
        whole.graph.initializer[3].CopyFrom(tensor("fc.b", np.full(DIM, 9e9, np.float32)))
        real = onnxruntime.InferenceSession

        def late(*arguments: Any, **more: Any) -> Any:
            written(path, whole)
            return real(*arguments, **more)

        monkeypatch.setattr(onnxruntime, "InferenceSession", late)
        torch.testing.assert_close(load_onnx(path)(images(2)), reference(images(2)), rtol=1e-5, atol=1e-5)

    def test_onnxruntimes_own_format(self, tmp_path: Path) -> None:
        """A valid ONNX file may bear its mark; onnxruntime would read the rest as something else."""
        name = official.ModelProto(producer_name="xxORTM").SerializeToString()
        content = name + edited(lambda m: m.ClearField("producer_name")).SerializeToString()
        assert onnx.load_from_string(content).producer_name == "xxORTM"
        with pytest.raises(Refused, match="onnxruntime's own format"):
            inspect_onnx(written(tmp_path / "a.onnx", content))

    def test_more_than_1_gb(self, tmp_path: Path) -> None:
        """By its size alone."""
        path = written(tmp_path / "a.onnx", network())
        os.truncate(path, GB + 1)
        with pytest.raises(Refused, match=r"takes 1\.0 GB; at most 1 GB are read"):
            inspect_onnx(path)

    def test_a_type_of_two_kinds(self, tmp_path: Path) -> None:
        """Of several the last counts, to who knows that; here neither."""
        both = (
            network().graph.input[0].type.SerializeToString() + official.TypeProto(sequence_type={}).SerializeToString()
        )
        raw = b"\x0a\x04data\x12" + bytes([len(both)]) + both
        whole = network()
        whole.graph.ClearField("input")
        graph = whole.graph.SerializeToString() + b"\x5a" + bytes([len(raw)]) + raw
        whole.ClearField("graph")
        size = bytes([len(graph) & 127 | 128, len(graph) >> 7 & 127 | 128, len(graph) >> 14])
        content = whole.SerializeToString() + b"\x3a" + size + graph
        assert onnx.load_from_string(content).graph.input[0].type.WhichOneof("value") == "sequence_type"
        with pytest.raises(FairLabError, match="tensor_type and sequence_type"):
            inspect_onnx(written(tmp_path / "a.onnx", content))

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        """Missing, a folder, a pipe that would never end."""
        os.mkfifo(tmp_path / "pipe")
        for path, message in ((tmp_path / "none", "does not exist"), (tmp_path, "plain"), (tmp_path / "pipe", "plain")):
            with pytest.raises(FairLabError, match=message):
                inspect_onnx(path)

    def test_graphs_without_end(self, tmp_path: Path) -> None:
        """And more fields than any network has, in little time."""
        graph = helper.make_graph([], "g", [], [])
        for _ in range(25):
            graph = helper.make_graph([helper.make_node("If", ["y"], ["i"], then_branch=graph)], "g", [], [])
        with pytest.raises(Refused, match="more than 8 deep"):
            inspect_onnx(written(tmp_path / "a.onnx", model(graph)))
        nodes = official.ModelProto(graph=official.GraphProto(node=[official.NodeProto()] * 10**6))
        path = written(tmp_path / "b.onnx", nodes)
        start = time.process_time()
        with pytest.raises(Refused, match="more than 500000 fields"):
            inspect_onnx(path)
        assert time.process_time() - start < 10

    @pytest.mark.parametrize(
        "content", [b"", b"\0" * 100, b"\x89PNG\r\n\x1a\n" + bytes(99), b"PK\x03\x04" + bytes(99), b"<html>" * 9]
    )
    def test_what_is_no_onnx_file(self, tmp_path: Path, content: bytes) -> None:
        """Damaged, with the file."""
        with pytest.raises(Damaged, match=r"a\.onnx is not a whole ONNX model"):
            inspect_onnx(written(tmp_path / "a.onnx", content))


FLIPS = """
import sys, collections, torch
from pathlib import Path
from fairlab.errors import FairLabError
from fairlab.models.files.onnx import load_onnx
content, path, seen = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), collections.Counter()
for place in map(int, sys.argv[3:]):
    path.write_bytes(content[: place // 8] + bytes([content[place // 8] ^ 1 << place % 8]) + content[place // 8 + 1 :])
    try:
        load_onnx(path)(torch.zeros(2, 3, 16, 16))
        seen["fine"] += 1
    except FairLabError as error:
        seen["onnxruntime" if " by onnxruntime (" in str(error) or " be run on " in str(error) else "look"] += 1
        assert str(path) in str(error)
print(sum(seen.values()), dict(seen))
"""


class TestDamage:
    """R7: cut and flipped files."""

    @pytest.fixture
    def content(self) -> bytes:
        """Most of it is structure: weights of 3 kB would take most flips."""
        whole = network(inside=[SUB, MUL], pooled=True)
        return bytes(whole.SerializeToString())

    def test_200_cuts(self, tmp_path: Path, content: bytes) -> None:
        """Each is seen."""
        for length in random.Random(1).sample(range(len(content)), 200):
            start = time.process_time()
            with pytest.raises(FairLabError, match=r"a\.onnx"):
                inspect_onnx(written(tmp_path / "a.onnx", content[:length]))
            assert time.process_time() - start < 5

    def test_200_flips(self, tmp_path: Path, content: bytes) -> None:
        """Refused, or read as the `onnx` package reads it (a bit of a weight or a name is nothing that can be seen)."""
        accepted, messages = 0, list[str]()
        for place in random.Random(2).sample(range(8 * len(content)), 200):
            flipped = bytearray(content)
            flipped[place // 8] ^= 1 << place % 8
            start = time.process_time()
            try:
                facts = inspect_onnx(written(tmp_path / "a.onnx", bytes(flipped)))
            except FairLabError as error:
                messages.append(str(error))
                continue
            finally:
                assert time.process_time() - start < 5
            accepted += 1
            try:
                theirs = onnx.load_from_string(bytes(flipped))
            except DecodeError:  # in fields that nothing here depends on, and so are not looked into
                continue
            assert facts.input_name in [value.name for value in theirs.graph.input]
            assert facts.output_name == theirs.graph.output[0].name
            assert facts.opset == theirs.opset_import[0].version
            assert not any(part.external_data or part.data_location for part in theirs.graph.initializer)
            assert not any(node.domain not in ("", "ai.onnx", "ai.onnx.ml") for node in theirs.graph.node)
        assert 20 < accepted < 180
        assert len(messages) == 200 - accepted
        assert all("a.onnx" in message for message in messages)

    def test_50_flips_in_onnxruntime(self, tmp_path: Path, content: bytes) -> None:
        """In a child: what the look lets through, onnxruntime runs or refuses in our words; it neither dies nor prints."""
        places = map(str, random.Random(3).sample(range(8 * len(content)), 50))
        source = written(tmp_path / "a.onnx", content)
        command = [sys.executable, "-c", FLIPS, str(source), str(tmp_path / "b.onnx"), *places]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr[-2000:]
        assert result.stdout.startswith("50 "), result.stdout
        assert all(kind in result.stdout for kind in ("fine", "look", "onnxruntime")), result.stdout
        assert result.stderr == ""
