"""The experiments that come with FairLab: one TOML a file, holding only what differs from the defaults.

Or from another preset: `extends = "its name"` as the first line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairlab.errors import FairLabError
from fairlab.reading.structured import parse_toml
from fairlab.settings.study import Settings, Study, laid_over, parse

FOLDER = Path(__file__).parent


def preset_names() -> list[str]:
    """Names of the presets, in the order in which they are offered."""
    return sorted((path.stem for path in FOLDER.glob("*.toml")), key=lambda name: load_preset(name).order)


def load_preset(name: str) -> Study:
    """A preset by name. Raises FairLabError for an unknown name or a bad file."""
    known = _known()
    if name not in known:
        raise FairLabError(f"there is no preset {name!r}; choose one of: {', '.join(known)}")
    return load_study(FOLDER / f"{name}.toml")


def _known() -> list[str]:
    """Names, not paths: one that is not among them may be anything, e.g. too long for a file."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_study(path: Path) -> Study:
    """A study from a TOML file: the defaults, or the preset that it extends, changed by what the file says."""
    values = _plain_defaults()
    for changes in _chain(path):
        values = laid_over(values, changes)
    return parse(Study, values, str(path.name))


def _chain(path: Path, above: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What the file says, after what the presets say that it extends."""
    try:
        values = parse_toml(path.read_bytes(), str(path))
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error
    name = values.pop("extends", None)
    if name is None:
        return [values]
    if name in above or name not in _known():
        raise FairLabError(f"{path.name} extends {name!r}, which is not a preset or extends this one")
    return [*_chain(FOLDER / f"{name}.toml", (*above, name)), values]


def _plain_defaults() -> dict[str, Any]:
    """Defaults of the nested settings, so that a preset that changes one field keeps its neighbours'."""
    return {
        name: field.get_default().model_dump()
        for name, field in Study.model_fields.items()
        if isinstance(field.get_default(), Settings)
    }
