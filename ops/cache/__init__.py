"""Values that are kept until a table they were read from is written to, by whatever road.

`cached(name, tables=.., ttl=..)` wraps a function or a report. The key of a value holds the versions of the tables,
which triggers move within each transaction that writes (ops/cache/versions.py); they are read before the value is
computed, so that a value is never older than its key says. docs/cache.md is the guide.
"""

from typing import TYPE_CHECKING, Any

from ops.cache.registry import BadCached, Tag, UnknownCached, everything, find, names

if TYPE_CHECKING:
    from ops.cache.caching import Cached, cached
    from ops.cache.questions import Answer

__all__ = ["Answer", "BadCached", "Cached", "Tag", "UnknownCached", "cached", "everything", "find", "names"]


def __getattr__(name: str) -> Any:
    """Import what computes when it is asked for: versions and registry, which migrations use, need none of it."""
    if name in ("Answer", "Cached", "cached"):
        from ops.cache import caching

        return getattr(caching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
