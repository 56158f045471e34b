"""The script that draws maps is what its sources make; node is needed only to change it."""

import json
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from fairlab.files import asset

FOLDER = asset("map")
BUILT = json.loads((FOLDER / "built.json").read_text())


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_the_bundle_was_built_from_the_sources_that_are_here() -> None:
    """`npm ci && npm run build` in assets/map records the hash of every source, of the lock file and of what it makes."""
    assert {name: _hash(FOLDER / name) for name in BUILT} == BUILT, "run `npm ci && npm run build` in assets/map"
    sources = {path.name for pattern in ("*.js", "*.mjs", "package*.json") for path in FOLDER.glob(pattern)}
    assert sources <= BUILT.keys()


def test_the_licence_of_everything_inside_is_beside_it() -> None:
    """Every package that the lock file installs for use; all of them may be passed on."""
    text = (FOLDER / "LICENCES.txt").read_text()
    packages = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    used = {
        path.removeprefix("node_modules/"): entry for path, entry in packages.items() if path and not entry.get("dev")
    }
    assert {"regl-scatterplot", "regl", "kdbush"} <= used.keys()
    for name, entry in used.items():
        assert f"{name} {entry['version']} ({entry['license']})\n" in text
        assert entry["license"] in ("MIT", "ISC")


def test_nothing_is_loaded_from_elsewhere() -> None:
    """No address of another host but those of the SVG and licence kind, which nobody fetches."""
    text = (FOLDER / "bundle.js").read_text()
    assert "import(" not in text
    assert "cdn" not in text.lower()
    assert "importScripts" not in text


@pytest.mark.skipif(
    "FAIRLAB_THOROUGH" not in os.environ or not shutil.which("npm"), reason="needs npm and its registry"
)
def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """The lock file decides every byte."""
    shutil.copytree(FOLDER, tmp_path / "map", ignore=shutil.ignore_patterns("node_modules"))
    for command in (["npm", "ci"], ["npm", "run", "build"]):
        subprocess.run(command, cwd=tmp_path / "map", check=True, capture_output=True)
    assert _hash(tmp_path / "map" / "bundle.js") == BUILT["bundle.js"]
