"""The cached functions that there are, by name, and how the rows of a table are told apart by tags.

This module knows nothing of how values are kept, so that whatever asks what is cached (triggers, checks, commands) can
import it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Model

if TYPE_CHECKING:
    from ops.cache.caching import Cached

Table = type[Model] | str
"""A model, or a table's name."""


class UnknownCached(LookupError):
    """No function is cached by this name; the message lists those that are."""


class BadCached(Exception):
    """A declaration of `cached(..)` can't be; the message says what to change."""


@dataclass(frozen=True)
class Tag:
    """Rows of a table that share the value of a column, such as a partner's orders.

    `of` gets the arguments of the cached function and returns the values whose rows it reads: those alone count, and
    a write to other rows leaves the value as it is.
    """

    column: str
    of: Callable[..., Iterable[object]]


_registered: dict[str, "Cached[Any]"] = {}


def register(cached: "Cached[Any]") -> None:
    """Make a cached function known by its name; raise BadCached where another one has it."""
    other = _registered.get(cached.name)
    if other is not None:
        raise BadCached(
            f"{cached.origin} is to be cached as {cached.name!r}, as {other.origin} is; give one another name."
        )
    _registered[cached.name] = cached


def find(name: str) -> "Cached[Any]":
    """Return the cached function of a name; raise UnknownCached, which lists those there are."""
    try:
        return _registered[name]
    except KeyError:
        there = ", ".join(names()) or "none"
        raise UnknownCached(f"Nothing is cached by the name {name!r}; there is: {there}.") from None


def names() -> list[str]:
    """Return the names there are, in their order."""
    return sorted(_registered)


def everything() -> list["Cached[Any]"]:
    """Return all cached functions, in the order of their names."""
    return [_registered[name] for name in names()]
