"""The only door to `sql/`: statements with a contract that is checked when they are loaded.

A file holds one statement under a header of comments:

    -- What it does, in a sentence or a few.
    -- params: after, upto
    -- idents: staging_table
    -- returns: inserted, updated

`params` are the values (`%(name)s`), `idents` the identifiers (`{name}`, quoted by psycopg2), `returns` the
columns of the result. A line that does not apply is left out; one that ends with a comma goes on in the next. Literal
braces and percent signs are doubled.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from django.apps import apps
from psycopg2 import sql

_HERE = Path(__file__).resolve().parent
# In a checkout sql/ lies beside ops/; a wheel of ops carries its own statements inside.
ROOT = _HERE.parent / "sql" if (_HERE.parent / "sql" / "ops").is_dir() else _HERE / "_sql"

_FIELD = re.compile(r"^(params|idents|returns):\s*(.*)$")
_PARAM = re.compile(r"%(?:\((\w+)\)s|(%)|(.?))")
_IDENT = re.compile(r"\{\{|\}\}|\{(\w*)\}")
_QUOTED = re.compile(r"(\$\w*\$).*?\1|'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
# Comments are matched as well, or an apostrophe in one would be taken for the beginning of a string.
_KEPT = re.compile(r"(\$\w*\$).*?\1|'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)


class BrokenStatement(Exception):
    """A file in sql/ is missing, or its header and its body disagree."""


@dataclass(frozen=True)
class Statement:
    """One statement of sql/, with the contract of its header."""

    name: str
    summary: str
    params: tuple[str, ...]
    idents: tuple[str, ...]
    returns: tuple[str, ...]
    body: str
    text: str = ""

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the body, without comments and layout: what a run was started under."""
        kept: list[str] = []

        def keep(match: re.Match[str]) -> str:
            if match.group().startswith(("--", "/*")):
                return " "
            kept.append(match.group())
            return f"\0{len(kept) - 1}\0"

        text = " ".join(_KEPT.sub(keep, self.body).split())
        return hashlib.sha256("\n".join([text, *kept]).encode()).hexdigest()

    def compose(self, **idents: str | tuple[str, ...]) -> sql.Composed:
        """Fill in identifiers (a tuple is a qualified name); raise BrokenStatement unless all and only those named."""
        if set(idents) != set(self.idents):
            raise BrokenStatement(f"{self.name}: wants identifiers {list(self.idents)}, got {sorted(idents)}.")
        quoted: Mapping[str, Any] = {
            name: sql.Identifier(*([value] if isinstance(value, str) else value)) for name, value in idents.items()
        }
        return sql.SQL(self.body).format(**quoted)


def without_quoted(body: str) -> str:
    """Return a statement with what is quoted, commented or the body of a function replaced by a blank."""
    return _QUOTED.sub(" ", body)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _read(name: str, header: list[str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Return the lines of a header that say what the statement does, and its fields."""
    fields: dict[str, tuple[str, ...]] = {}
    summary: list[str] = []
    going_on = ""
    for line in header:
        match = _FIELD.match(line)
        if match is None and going_on:
            fields[going_on] += _names(line)
        elif match is None:
            summary.append(line)
        elif match[1] in fields:
            raise BrokenStatement(f"{name}: says {match[1]!r} twice; join the two lines.")
        else:
            fields[match[1]] = _names(match[2])
            going_on = match[1]
        if not line.endswith(","):
            going_on = ""
    return summary, fields


def parse(name: str, text: str) -> Statement:
    """Read one file's text; raise BrokenStatement where header and body disagree."""
    lines = text.splitlines()
    header: list[str] = []
    for line in lines:
        if not line.startswith("--"):
            break
        header.append(line[2:].strip())
    summary, fields = _read(name, header)
    if not any(summary):
        raise BrokenStatement(f"{name}: has no first line that says what it does; begin it with '-- <sentence>.'.")
    body = "\n".join(lines[len(header) :]).strip().removesuffix(";").strip()
    if not body:
        raise BrokenStatement(f"{name}: has no statement under its header.")
    if ";" in _QUOTED.sub(" ", body):
        raise BrokenStatement(f"{name}: holds more than one statement; give each a file of its own.")
    params: set[str] = set()
    for match in _PARAM.finditer(body):
        if match[1]:
            params.add(match[1])
        elif not match[2]:
            raise BrokenStatement(f"{name}: a lone percent sign before {match[3]!r}; write %% for a percent sign.")
    idents = {match[1] for match in _IDENT.finditer(body) if match[1] is not None}
    for field, found in (("params", params), ("idents", idents)):
        stated = set(fields.get(field, ()))
        if stated != found:
            wrong = ", ".join(sorted(stated ^ found))
            raise BrokenStatement(f"{name}: header and body disagree on {field}: {wrong}; mend the '-- {field}:' line.")
    return Statement(
        name=name,
        summary=" ".join(summary).strip(),
        params=fields.get("params", ()),
        idents=fields.get("idents", ()),
        returns=fields.get("returns", ()),
        body=body,
        text=text,
    )


_instead: ContextVar[Mapping[str, Statement]] = ContextVar("instead", default=MappingProxyType({}))


@contextmanager
def using(statements: Mapping[str, Statement]) -> Iterator[None]:
    """Let `load` return these statements instead of the files' within this context."""
    token = _instead.set(statements)
    try:
        yield
    finally:
        _instead.reset(token)


def load(name: str) -> Statement:
    """Return the statement `<app label>/<file>.sql`, e.g. `load("billing/price_subscriptions.sql")`.

    It lies in `sql/` beside ops, or in the directory `sql` of the app with that label.
    """
    instead = _instead.get().get(name)
    return instead if instead is not None else _load(name)


def _path(name: str) -> Path:
    path = ROOT / name
    label, _, rest = name.partition("/")
    if not path.exists() and apps.apps_ready and label in apps.app_configs:
        own = Path(apps.get_app_config(label).path) / "sql" / rest
        if own.exists():
            return own
    return path


@cache
def _load(name: str) -> Statement:
    path = _path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise BrokenStatement(
            f"{name}: no such file, neither {path} nor in the directory 'sql' of an app "
            f"with that label; check the name."
        ) from exc
    return parse(name, text)


def names() -> Iterator[str]:
    """Yield the name of every statement there is."""
    for path in sorted(ROOT.rglob("*.sql")):
        yield path.relative_to(ROOT).as_posix()


def for_migration(*files: str) -> list[tuple[str, dict[str, object]]]:
    """Return statements without identifiers as `migrations.RunSQL` takes them."""
    return [(load(name).body.replace("{{", "{").replace("}}", "}"), {}) for name in files]
