"""Load rows into a model: from a file or from Python, planned, exactly once, every record accounted for, revertible.

`upsert` is a run of the engine; `upsert_one` is one row in one round trip, without one.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ops.load.api import Loaded, upsert
    from ops.load.reading import BadInput, Layout
    from ops.load.single import upsert_one

__all__ = ["BadInput", "Layout", "Loaded", "upsert", "upsert_one"]

_HOMES = {"BadInput": "reading", "Layout": "reading", "Loaded": "api", "upsert": "api", "upsert_one": "single"}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: ops.jobs imports this package before the models are ready."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
