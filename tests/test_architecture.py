"""The walls of the house: who may import what, how long a file may be, what the tree is."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from fairlab.registry import declared
from tests.conftest import ROOT

FILES = sorted([*ROOT.glob("fairlab/**/*.py"), *ROOT.glob("pages/*.py"), ROOT / "app.py"])
LEVELS = {  # a package may import those with a smaller number, never its siblings
    "machine": 0, "reading": 0, "settings": 1, "presets": 2,
    "data": 2, "models": 2, "losses": 2, "evaluation": 2, "store": 2, "plots": 2,
    "methods": 3, "training": 4, "plan": 5, "queue": 6, "jobs": 7, "compare": 8, "storage": 9, "api": 10, "cli": 11, "ui": 11,
}  # fmt: skip
THIRD_PARTY = {
    "streamlit": ("fairlab/ui/", "pages/", "app.py"),
    "torch": ("fairlab/models/", "fairlab/losses/", "fairlab/methods/", "fairlab/training/", "fairlab/jobs/"),
    "onnxruntime": ("fairlab/models/files/onnx.py",),
    "safetensors": ("fairlab/models/", "fairlab/training/"),
    "umap": ("fairlab/jobs/layout.py",),
    "sklearn": (),
    "faiss": ("fairlab/store/index.py",),
    "plotly": ("fairlab/plots/",),
    "sqlite3": ("fairlab/store/database.py", "fairlab/store/schema.py"),
    # Compiled loops where numpy's are the bottleneck: the renderer, the passes of a layout, and the histogram of all
    # comparisons (a third of the time of the matrix product instead of as much as it). umap-learn brings numba; without it
    # numpy counts the same.
    "numba": ("fairlab/data/demo/raster.py", "fairlab/jobs/layout.py", "fairlab/evaluation/all_pairs/blocks.py"),
}
ONLY_INSIDE_FUNCTIONS = {
    "torch": ("fairlab/jobs/",),
    "umap": ("fairlab/",),
    "sklearn": ("fairlab/",),
    "faiss": ("fairlab/",),
    "numba": ("fairlab/",),
}


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, inside a function?) of every import of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef)
        for node in ast.walk(outer)
        if node is not outer
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, id(node) in inside))
            found += [(f"{node.module}.{alias.name}", id(node) in inside) for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_third_parties_stay_in_their_rooms(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    for module, inside in imports(path):
        top = module.partition(".")[0]
        if top in THIRD_PARTY:
            assert name.startswith(THIRD_PARTY[top]), f"{name} imports {top}"
        if top in ONLY_INSIDE_FUNCTIONS and name.startswith(ONLY_INSIDE_FUNCTIONS[top]):
            assert inside, f"{name} imports {top} when it is loaded"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_and_siblings_do_not_meet(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    if parts[0] != "fairlab" or len(parts) < 3:
        return
    here = parts[1]
    allowed = {"losses", "models"} if here == "methods" else set()
    for module, _ in imports(path):
        other = module.split(".")[1] if module.startswith("fairlab.") else ""
        if other in LEVELS and other != here and other not in allowed:
            assert LEVELS[other] < LEVELS[here], f"{path.relative_to(ROOT)} imports fairlab.{other}"


INSIDE = {
    "data": {"formats": 0, "": 1, "names": 2, "inspect": 3, "demo": 3, "readers": 4},
    "models": {"": 1, "backbones": 2, "adaptors": 2, "files": 3},
    "evaluation": {"": 1, "all_pairs": 2, "identification": 2, "repair": 2},
}
"""Levels inside a room; "" is its own files."""


@pytest.mark.parametrize("room", INSIDE)
def test_imports_point_down_inside_a_room(room: str) -> None:
    levels = INSIDE[room]
    assert {path.parent.name for path in ROOT.glob(f"fairlab/{room}/*/__init__.py")} == levels.keys() - {""}
    for path in ROOT.glob(f"fairlab/{room}/**/*.py"):
        if path == ROOT / "fairlab" / room / "__init__.py":
            continue  # it may hand on what lies inside
        here = _part(path.relative_to(ROOT / "fairlab" / room).with_suffix("").parts)
        for module, _ in imports(path):
            if module.startswith(f"fairlab.{room}."):
                other = _part(module.split(".")[2:], levels)
                assert other == here or levels[other] < levels[here], f"{path.relative_to(ROOT)} imports {module}"


def _part(names: Sequence[str], levels: Collection[str] = ()) -> str:
    """The inner room of a module, "" for the room's own files."""
    return names[0] if names[0] in levels or (not levels and len(names) > 1) else ""


LOOSE = {"__main__": "cli", "__init__": "api"}
"""Loose files of fairlab/ that are not the ground, and the highest room that each may import."""


@pytest.mark.parametrize("path", sorted(ROOT.glob("fairlab/*.py")), ids=lambda path: path.stem)
def test_the_ground_rests_on_machine_and_settings_alone(path: Path) -> None:
    highest = LEVELS[LOOSE.get(path.stem, "settings")]
    for module, _ in imports(path):
        other = module.split(".")[1] if module.startswith("fairlab.") else ""
        assert LEVELS.get(other, 0) <= highest, f"{path.name} imports fairlab.{other}"


def test_only_cli_and_pages_use_the_facade() -> None:
    """The rooms below are what api/ is made of; `from fairlab import Lab` imports it when Lab is asked for."""
    for path in FILES:
        name = str(path.relative_to(ROOT))
        if name.startswith(("fairlab/api/", "fairlab/cli/", "fairlab/ui/", "fairlab/__init__.py", "pages/", "app.py")):
            continue
        for module, _ in imports(path):
            assert module != "fairlab.Lab", name
            assert not f"{module}.".startswith("fairlab.api."), name


def test_importing_fairlab_imports_nothing_else() -> None:
    code = "import sys, fairlab; print({'pandas', 'pydantic', 'rich', 'torch', 'plotly', 'fairlab.api'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr[-2000:]


def test_a_lab_is_opened_without_plotly_or_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from fairlab import Lab; repr(Lab(sys.argv[1]))\n"
        "print({'torch', 'plotly', 'umap', 'numba', 'streamlit'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr[-2000:]


@pytest.mark.parametrize("room", sorted(LEVELS))
def test_every_room_says_what_it_is(room: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / "fairlab" / room / "__init__.py").read_text(encoding="utf-8"))), room


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/**/*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_and_benchmarks_import_what_there_is(path: Path) -> None:
    """Two benchmarks asked for names that had gone, and nobody saw it. pytest imports the tests; nothing else does the rest."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fairlab."):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.util.find_spec(f"{node.module}.{alias.name}"), (
                    alias.name
                )


def test_only_the_looking_side_is_reached_by_pages() -> None:
    for path in ROOT.glob("pages/*.py"):
        for module, _ in imports(path):
            assert not re.match(
                r"fairlab\.(models|losses|methods|training|jobs\.(worker|roles|maps|evaluate\.assess))", module
            ), path.name


def test_pages_are_short_and_files_are_one_idea() -> None:
    for path in ROOT.glob("pages/*.py"):
        assert len(path.read_text().splitlines()) <= 60, path.name
    for path in FILES:
        assert len(path.read_text().splitlines()) <= 400, path.name
        assert path.stem not in ("utils", "common", "helpers", "misc"), path


SMALL_SIGNATURES = sorted([*ROOT.glob("fairlab/jobs/**/*.py"), *ROOT.glob("fairlab/training/**/*.py")])


@pytest.mark.parametrize("path", SMALL_SIGNATURES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_travels_together_is_an_object(path: Path) -> None:
    """At most five parameters, self not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = [argument.arg for argument in given if argument.arg not in ("self", "cls")]
            assert len(names) <= 5, f"{node.name}({', '.join(names)})"


def test_nothing_loads_what_can_run_code() -> None:
    """No pickle, no unsafe torch.load, no shell."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"weights_only\s*=\s*False|pickle\.load|allow_pickle\s*=\s*True|shell\s*=\s*True|os\.system", text
        ), path
        assert "torch.load" not in text or "weights_only=True" in text, path
        assert "unsafe_allow_html" not in text, path
        assert "st.html(" not in text, path


READERS_OF_TEXT = {"json.loads", "json.load", "tomllib.loads", "tomllib.load", "json.JSONDecoder"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_json_and_toml_are_read_in_one_place(path: Path) -> None:
    """With kind, depth and size checked: a list for an object, or 200,000 levels, was a traceback wherever it was forgotten."""
    if path == ROOT / "fairlab" / "reading" / "structured.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.Attribute) and ast.unparse(node) in READERS_OF_TEXT), (path.name, node.lineno)
        if isinstance(node, ast.ImportFrom):
            assert node.module not in ("json", "tomllib"), (path.name, node.lineno)


def test_the_readme_shows_the_real_tree() -> None:
    """Every path in the README's tree exists, and every package is in it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(part for part in readme.split("```") if "fairlab/" in part and "presets/" in part and "tests/" in part)
    for package in LEVELS:
        assert f"{package}/" in block, package
    for name in re.findall(r"^(\S+?/?)\s{2,}", block, re.M):
        assert (ROOT / name.strip()).exists() or (ROOT / "fairlab" / name.strip()).exists(), name


def test_the_top_level_is_the_users_card() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    visible = {name for name in top if not name.startswith(".")}
    assert visible <= {
        "README.md",
        "pyproject.toml",
        "app.py",
        "fairlab",
        "pages",
        "assets",
        "tests",
        "LICENSE",
        "CHANGELOG.md",
    }


def test_looking_loads_no_torch_umap_or_numba(tmp_path: Path) -> None:
    """All pages opened in a fresh interpreter: torch would cost 5 s, umap 10."""
    code = (
        "import sys, os; os.environ['FAIRLAB_HOME'] = sys.argv[1]\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('fairlab/ui/frame/main.py', default_timeout=60).run()\n"
        "for name in ('home', 'data', 'launch', 'runs', 'spaces', 'verification', 'fairness', 'compare', 'storage', 'settings', 'help'):\n"
        "    app.switch_page(f'../../../pages/{name}.py').run()\n"
        "    assert not app.exception, (name, app.exception)\n"
        "print(sorted({'torch', 'umap', 'numba', 'sklearn'} & set(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "home")], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.splitlines()[-1] == "[]"


def test_names_read_without_importing_are_those_registered() -> None:
    from fairlab.losses.base import LOSSES
    from fairlab.models.base import ADAPTORS, BACKBONES

    assert list(declared("LOSSES", "losses")) == LOSSES.names()
    assert list(declared("BACKBONES", "models/backbones")) == BACKBONES.names()
    assert list(declared("ADAPTORS", "models/adaptors")) == ADAPTORS.names()


def test_a_worker_has_its_lock_before_it_loads_torch() -> None:
    """So that a second worker of one run leaves at once, and a stop asked for at the start is heard."""
    code = "import sys, fairlab.cli.main, fairlab.jobs.worker; print({'torch', 'umap', 'numba', 'sklearn'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr[-2000:]
