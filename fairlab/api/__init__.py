"""FairLab from Python, e.g. a notebook: `Lab` and its handles; command line and pages make the same calls.

>>> from fairlab import Lab
>>> lab = Lab("~/fairlab-workspace")
>>> study = lab.studies.start("demo_mst_kd", {"seeds": (0, 1, 2)})
>>> study.wait().compare()

`lab` says what there is: data, models, studies, runs, storage, a module each. A handle (data_set, run, model, study) is a
name and a workspace; it reads what it is asked for. The work is done by the rooms below: a new method calls one of them and
has a docstring with an example. May import storage/ and everything below it; only cli/, ui/ and pages/ import `api`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlab.api.lab import Lab

__all__ = ["Lab"]


def __getattr__(name: str) -> Any:
    """Lab, when it is first asked for: it imports pandas and every room (PEP 562)."""
    if name == "Lab":
        from fairlab.api.lab import Lab

        return Lab
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
