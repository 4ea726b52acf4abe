"""What SQL and Python of migrations name, of which Django's state does not know what they did.

A state says what Django believes; a RunSQL beside it may have dropped an index, or given a column another type. What
such statements name, and is not as the state says, is doubtful: nothing is said of it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from django.db.migrations import Migration, RunPython, RunSQL

from ops.drift.graph import operations_of
from ops.drift.model import Attributes, Made, Objects
from ops.drift.reduced_names import table_of

_DDL = re.compile(r"\b(CREATE|ALTER|DROP|RENAME|COMMENT)\b", re.IGNORECASE)
# What may change a column of a table that it names; and what may take an index or a constraint from it.
_OF_TABLE = re.compile(r"\b(?:CREATE|ALTER|DROP)\s+TABLE\b", re.IGNORECASE)
_TAKING = re.compile(r"\b(?:(?:CREATE|DROP)\s+TABLE|DROP\s+(?:INDEX|CONSTRAINT))\b", re.IGNORECASE)
# Where a name is put in: {table}, %s, %(table)s.
_BLANK = re.compile(r"\{\w*\}|%\(\w+\)s|%s")
# By what words a statement may change an attribute of a column.
_OF_COLUMN = {
    "type": frozenset({"type"}),
    "collation": frozenset({"collate", "collation"}),
    "not_null": frozenset({"null"}),
    "default": frozenset({"default", "nextval"}),
    "identity": frozenset({"identity", "serial", "bigserial", "sequence", "nextval"}),
    "generated": frozenset({"generated", "expression"}),
    "comment": frozenset({"comment"}),
}
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


@dataclass(frozen=True)
class _Statement:
    words: frozenset[str]
    # Whether names are put into it, so that it may be of any table.
    blank: bool
    # Whether it changes a table itself, and whether it may take something from it.
    of_table: bool
    taking: bool


@dataclass
class Words:
    """The statements of migrations that change a schema, by their words."""

    statements: list[_Statement] = field(default_factory=list)

    def add(self, texts: Iterable[str], *, blanks: bool = False) -> None:
        """Take statements; `blanks` says that names are put into them where it can't be seen."""
        for text in (part for whole in texts for part in whole.split(";")):
            if _DDL.search(text):
                words = frozenset(word.lower() for word in _WORD.findall(text))
                blank, of_table = blanks or bool(_BLANK.search(text)), bool(_OF_TABLE.search(text))
                self.statements.append(_Statement(words, blank, of_table, bool(_TAKING.search(text))))

    def of_column(self, one: Attributes) -> set[str]:
        """Return the attributes of a column that a statement may have changed."""
        name, table = one["name"].lower(), one["table"].lower()
        return {
            attribute
            for said in self.statements
            if name in said.words and (said.blank or (said.of_table and table in said.words))
            for attribute, words in _OF_COLUMN.items()
            # Every table has an id: what SQL for any table makes of one can't be told.
            if not words.isdisjoint(said.words) and (attribute != "identity" or table in said.words)
        }

    def has_rule(self, one: Attributes) -> bool:
        """Return whether a statement names an index or a constraint, or changes its table."""
        if one["kind"] not in ("index", "constraint"):
            return False
        name, table = one["name"].lower(), one["table"].lower()
        return any(name in said.words or (said.taking and table in said.words) for said in self.statements)


def named(migrations: Iterable[Migration]) -> Words:
    """Return the words of all statements of migrations that change a schema."""
    found = Words()
    for migration in migrations:
        for operation in operations_of(migration):
            if isinstance(operation, RunSQL):
                found.add(_texts(operation.sql))
            elif isinstance(operation, RunPython):
                # An f-string is in pieces, of which each is a constant by itself.
                found.add([" ".join(_constants(getattr(operation.code, "__code__", None)))], blanks=True)
            elif not type(operation).__module__.startswith("django."):
                # An operation of the project's own: what it was given is all that can be read.
                found.add(_texts(list(vars(operation).values())))
    return found


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _constants(code: Any) -> Iterable[str]:
    """Yield the texts in a function, those of functions within it too."""
    if isinstance(code, CodeType):
        for one in code.co_consts:
            if isinstance(one, CodeType):
                yield from _constants(one)
            else:
                yield from _texts(one)


def soften(made: list[Made], wanted: Objects, have: Objects, words: Words, unsure: set[str]) -> list[str]:
    """Take out of the deltas what is doubtful and not as it is said to be; return the keys that this was done to.

    `wanted` is what ought to be; `unsure` are keys of what Django makes by itself and did not always make.
    """
    softened: set[str] = set()
    for one in made:
        for name, attributes in list(one.delta.items()):
            if attributes is None:
                continue
            if name in wanted and name not in have and (name in unsure or words.has_rule(attributes)):
                del one.delta[name]
                softened.add(name)
            elif attributes["kind"] == "column" and name in have:
                one.delta[name] = _plain(attributes, have[name], words.of_column(attributes))
    return sorted(softened)


def _plain(one: Attributes, there: Attributes, doubtful: set[str]) -> Attributes:
    """Return a column without what a statement may have changed, and that is not as it is said to be."""
    return {name: value for name, value in one.items() if name not in doubtful or there.get(name) == value}


def without_tables(made: list[Made], tables: set[str]) -> None:
    """Take tables, and all that belongs to them, out of the deltas."""
    for one in made:
        one.delta = {
            name: attributes
            for name, attributes in one.delta.items()
            if attributes is None or table_of(attributes) not in tables
        }
