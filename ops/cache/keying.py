"""What tells one cached value from another: the arguments and the code, each in a form that means one thing only.

An argument of a type that is not known here is refused instead of guessed: two values that are taken for one would be
answered with each other's results.
"""

import functools
import hashlib
import importlib
import inspect
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import CodeType, MappingProxyType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from ops import sql
from ops.cache.registry import BadCached

Use = str | Callable[..., object]
"""What else a value follows from: a statement of sql/ by its name, or a function."""


class Unkeyable(TypeError):
    """An argument can't be part of a key; the message says which, and what to do."""


_PLAIN = (str, int, float, bytes, Decimal, Fraction, datetime, date, time, timedelta, UUID, ZoneInfo)
# Subclasses of these may hold more than they show: a QueryDict shows the last of its values only.
_MAPPINGS = (dict, OrderedDict, defaultdict, MappingProxyType)


def encode(value: object) -> str:
    """Return a text that two values have in common only if they are equal and of one type.

    A list and a tuple of the same elements are alike, and an enum of texts or numbers and its value, since JSON from a
    shell knows no more; the order of sets and mappings does not count. Raises Unkeyable, naming the type.
    """
    kind = type(value)
    if value is None or isinstance(value, bool):
        return repr(value)
    plain = next((base for base in kind.__mro__ if base in _PLAIN), None)
    if plain is not None:
        # A class of its own may be treated otherwise: HTML that is safe is not escaped, a text of the same letters is.
        own = "" if kind is plain or isinstance(value, Enum) else f"{kind.__module__}.{kind.__qualname__}:"
        return own + plain.__repr__(value)
    if isinstance(value, Enum):
        return f"{kind.__module__}.{kind.__qualname__}.{value.name}"
    if kind in (list, tuple):
        return f"[{','.join(map(encode, value))}]"  # type: ignore[call-overload]  # a list or a tuple
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return f"{kind.__module__}.{kind.__qualname__}[{','.join(map(encode, value))}]"
    if kind in (set, frozenset):
        return f"{{{','.join(sorted(map(encode, value)))}}}"  # type: ignore[call-overload]  # a set
    if kind in _MAPPINGS:
        pairs = sorted(f"{encode(key)}:{encode(one)}" for key, one in value.items())  # type: ignore[attr-defined]  # so
        return f"{{{','.join(pairs)}:}}"
    if is_dataclass(value) and not isinstance(value, type):
        held = ",".join(f"{field.name}={encode(getattr(value, field.name))}" for field in fields(value))
        return f"{kind.__module__}.{kind.__qualname__}({held})"
    raise Unkeyable(kind.__qualname__)


def digest(*parts: str) -> str:
    """Return a short digest of texts, for keys: 32 hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def arguments_of(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """Return the arguments of a call with the defaults filled in, so that one call is one however it is written."""
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as exc:
        raise TypeError(f"{name}{signature}: {exc}.") from None
    bound.apply_defaults()
    return bound


def encode_arguments(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the canonical text of a call's arguments; raise Unkeyable, which names the argument that has none."""
    told = []
    for argument, value in arguments.items():
        try:
            told.append(f"{argument}={encode(value)}")
        except Unkeyable as exc:
            raise Unkeyable(
                f"{name}: the argument {argument!r} holds a {exc}, which can't be part of a cache's key; pass plain "
                f"values (such as a row's id), or give cached(.., key=..) a function that returns some."
            ) from None
    return f"({', '.join(told)})"


def code_digest(function: Callable[..., object], version: str, uses: tuple[Use, ...], *more: str) -> str:
    """Return the digest of what a function does: its code, a version by hand, the statements and functions it uses.

    Comments and layout don't count; nor does what it calls, unless `uses` names it. Constants do, of its module and of
    the function that it was made in.
    """
    parts = [version, *more, *_code(function)]
    for use in uses:
        parts += [sql.load(use).digest] if isinstance(use, str) else _code(use)
    return digest(*parts)


def plain_function(function: Callable[..., object]) -> Any:
    """Return the Python function under partials, methods and wrappers, or raise BadCached where there is none."""
    found: Any = inspect.unwrap(function)
    while not hasattr(found, "__code__"):
        if isinstance(found, functools.partial):
            found = inspect.unwrap(found.func)
        elif hasattr(found, "__func__"):
            found = inspect.unwrap(found.__func__)
        else:
            raise BadCached(f"{function!r} is no Python function, so a change of it can't be seen; wrap it in one.")
    return found


def _code(function: Callable[..., object]) -> list[str]:
    plain = plain_function(function)
    parts = [*_code_object(plain.__code__), _defaults(plain.__defaults__), _defaults(plain.__kwdefaults__)]
    parts += _constants(plain)
    if isinstance(function, functools.partial):
        parts += [encode(function.args), encode(function.keywords)]
    return parts


def _constants(plain: Any) -> list[str]:
    """Return the plain values that a function finds outside of itself, as far as none of them can be altered."""
    found = {}
    for name, cell in zip(plain.__code__.co_freevars, plain.__closure__ or (), strict=True):
        with suppress(ValueError):  # of a name that is given its value later on
            found[f"closure {name}"] = cell.cell_contents
    for name in sorted(_names(plain.__code__)):
        if name in plain.__globals__:
            found[f"global {name}"] = plain.__globals__[name]
    return [f"{name}={encode(value)}" for name, value in found.items() if _is_constant(value)]


def _is_constant(value: object) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_constant, value))
    return value is None or type(value) in (bool, *_PLAIN) or isinstance(value, Enum)


def _names(code: CodeType) -> set[str]:
    """Return the names that a code object asks its module for, and those within it."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


@functools.cache
def sources_digest(package: str) -> str:
    """Return the digest of the files of a package: of all that computes, where that is more than one function."""
    (home, *_) = importlib.import_module(package).__path__
    return digest(*(path.read_text(encoding="utf-8") for path in sorted(Path(home).rglob("*.py"))))


def _defaults(held: object) -> str:
    try:
        return encode(held)
    except Unkeyable:
        return ""  # of no plain type; an argument of it would be refused as well


def _code_object(code: CodeType) -> list[str]:
    """Return what a code object does, not where it stands."""
    parts = [code.co_code.hex(), *code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts += _code_object(constant)
        elif isinstance(constant, frozenset):
            parts += sorted(map(repr, constant))
        else:
            parts.append(repr(constant))
    return parts
