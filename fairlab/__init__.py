"""FairLab: a lab for fair face recognition by knowledge distillation.

>>> from fairlab import Lab
>>> lab = Lab("~/fairlab-workspace")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlab.api import Lab

__all__ = ["Lab", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Lab, when it is first asked for: `import fairlab` itself stays quick (PEP 562)."""
    if name == "Lab":
        from fairlab.api import Lab

        return Lab
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
