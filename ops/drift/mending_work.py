"""What the parts of a mending share: the asked-for object, names of helpers, and steps with their undo."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ops.drift import comparing, making_words
from ops.drift.making_words import literal, qualified
from ops.drift.measuring import Measure
from ops.drift.model import Attributes, Choice, Choices, Expected, Objects, Step, digest, key

PREFIX = "setwise_"
"""What a repair makes for a while, or keeps under another name, begins so."""

SMALL = 10_000
"""A table of so few rows is written anew in a moment; a larger one only where that is allowed."""

# Constants, and types that something is cast to: words that are no names of columns.
_CONSTANT = re.compile(r"""'(?:[^']|'')*'|::(?:"[^"]+"|[\w.])+(?: varying| precision| with(?:out)? time zone)?""")


@dataclass
class Mended:
    """The steps that bring an object to what it ought to be; with `refused`, what is left to a person and why."""

    steps: list[Step] = field(default_factory=list)
    refused: str = ""
    choices: list[Choice] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, other: "Mended") -> None:
        """Add what another found, a step that is there already left out; the first refusal stays."""
        self.steps += [one for one in other.steps if one not in self.steps]
        if other.refused and other.refused not in self.refused:
            self.refused = f"{self.refused} {other.refused}".strip()
        self.choices += [one for one in other.choices if one not in self.choices]
        self.notes += [one for one in other.notes if one not in self.notes]


@dataclass(frozen=True)
class Work:
    """One object that is to be mended, and all that is known of it."""

    key: str
    want: Objects
    have: Objects
    code: str
    measure: Measure
    choices: Choices
    expected: Expected | None = None
    # The attributes that are to be set right, all of them where none is named.
    only: tuple[str, ...] = ()

    @cached_property
    def ought(self) -> Attributes:
        """Return what the object ought to be, by Django's spelling where no server was asked for its own."""
        one = self.want[self.key]
        return {**one, **{name: value for name, value in one.get("django", {}).items() if one.get(name) is None}}

    @cached_property
    def objects(self) -> Objects:
        """Return all objects as they ought to be, this one by Django's spelling too."""
        return {**self.want, self.key: self.ought}

    @property
    def differing(self) -> list[str]:
        """Return the attributes in which what is there differs."""
        found = comparing.differing(self.want[self.key], self.have[self.key])
        return [name for name in found if name in self.only] if self.only else found

    @property
    def found(self) -> Attributes | None:
        """Return what is there under its name."""
        return self.have.get(self.key)

    @property
    def table(self) -> str:
        """Return the key of the table that it belongs to."""
        return table_of(self.ought)

    @property
    def fresh(self) -> bool:
        """Say whether its table is missing, so that nobody writes to it while it is made."""
        return self.table not in self.have and self.view not in self.have

    @property
    def partitioned(self) -> bool:
        """Say whether its table is divided, which rules out what is made CONCURRENTLY or NOT VALID."""
        return bool(self.have.get(self.table, {}).get("partition_key"))

    @property
    def redefined(self) -> bool:
        """Say whether the operator wants it to be as the migrations say, by its name, with table or schema or not."""
        one = self.ought
        whole = self.key.removeprefix(f"{one['kind']} ")
        names = {one["name"], f"{one['schema']}.{one['name']}", whole, self.key, f"{one.get('table')}.{one['name']}"}
        return bool(names & set(self.choices.redefine))

    @property
    def new_columns(self) -> list[str]:
        """Return the columns that the object is over, be it in an expression, and that its table does not have yet."""
        return [str(one["name"]) for one in self._lacking if over(self.ought, str(one["name"]))]

    @property
    def added(self) -> list[Attributes]:
        """Return the columns that its table does not have yet, computed ones last, if the object is over any."""
        found = self._lacking if self.new_columns else []
        return sorted(found, key=lambda one: bool(one.get("generated")))

    @cached_property
    def _lacking(self) -> list[Attributes]:
        if self.fresh:
            return []
        mine = (name for name in parts_of(self.want, self.table) if self.want[name]["kind"] == "column")
        return [self.want[name] for name in mine if name not in self.have]

    @property
    def view(self) -> str:
        """Return the key of the materialized view that it belongs to, if it is one."""
        return key("materialized view", self.ought["schema"], self.ought.get("table") or self.ought["name"])

    def of(self, name: str) -> "Work":
        """Return the work on another object."""
        return replace(self, key=name, only=())

    def step(
        self,
        title: str,
        sql: Iterable[str],
        undo: Iterable[str] = (),
        *,
        phase: str = "",
        transactional: bool = True,
        needs: Sequence[str] = (),
    ) -> Step:
        """Return a step on the object."""
        return Step(
            code=self.code,
            object=self.key,
            # An index of a view comes after it.
            phase=phase or ("view" if self.view in self.want else making_words.phase(self.ought)),
            title=title,
            sql=list(sql),
            undo=list(undo),
            transactional=transactional,
            needs=list(needs),
        )

    def small(self) -> bool:
        """Say whether its table has so few rows that it may be written anew."""
        rows = self.measure.rows(self.have[self.table])
        return rows.exact and rows.count is not None and rows.count <= SMALL

    def empty(self) -> bool | None:
        """Say whether its table has no rows; None where that can't be read."""
        rows = self.measure.rows(self.have[self.table])
        return None if rows.count is None else rows.exact and rows.count == 0


def table_of(one: Attributes) -> str:
    """Return the key of the table of an object, or of itself."""
    return key("table", one["schema"], one.get("table") or one["name"])


def helper(what: str, *names: str) -> str:
    """Return the name of something that a repair makes for a while, or keeps; of the same thing it is the same."""
    name = f"{PREFIX}{what}_{'_'.join(names)}"
    if len(name.encode()) <= 63:
        return name
    short = name.encode()[:50].decode(errors="ignore")
    return f"{short}_{digest(name)[:12]}"


def relation(one: Attributes) -> str:
    """Return the table of an object, or itself, as SQL names it."""
    return qualified(one["schema"], one.get("table") or one["name"])


def guarded(table: str, condition: str, statement: str, words: str) -> str:
    """Return a statement that is only done while no row of a table fulfils a condition."""
    there = f"EXISTS (SELECT 1 FROM {table} WHERE {condition})"  # noqa: S608 - composed of quoted names
    return (
        f"DO $setwise$ BEGIN LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; "
        f"IF {there} THEN RAISE EXCEPTION USING MESSAGE = {literal(words)}; END IF; {statement}; END $setwise$"
    )


def altering(one: Attributes, what: str) -> str:
    """Return ALTER TABLE on the table of an object."""
    return f"ALTER TABLE {relation(one)} {what}"


def samples(found: Sequence[str]) -> str:
    """Return a few rows as a message names them."""
    return f" ({'; '.join(found)})" if found else ""


def over(one: Attributes, name: str) -> bool:
    """Say whether what belongs to a table is over a column of it, by its columns, an expression or a predicate."""
    return name in [*(one.get("columns") or []), *(one.get("include") or [])] or mentions(own_text(one), name)


def own_text(one: Attributes) -> str:
    """Return what an object says in SQL of the columns that it is over, where its other attributes don't tell them."""
    one = {**one, **{name: value for name, value in one.get("django", {}).items() if one.get(name) is None}}
    if one["kind"] == "constraint" and one.get("contype") != "x":
        return ""
    if one["kind"] == "column":
        return str(one.get("expression") or "")
    text = str(one.get("definition") or "")
    if one["kind"] == "index":
        return text[text.find(" USING ") :]
    return " ".join([text, *(str(one[part]) for part in ("using", "check") if one.get(part))])


def mentions(text: str, name: str) -> bool:
    """Say whether an expression names a column; constants and functions are none."""
    if name not in text:
        return False
    bare = re.escape(name)
    doubled = re.escape(name.replace('"', '""'))
    return bool(re.search(rf'"{doubled}"|(?<![\w"$]){bare}(?![\w"$(])', _CONSTANT.sub("", text)))


def parts_of(objects: Objects, table: str) -> list[str]:
    """Return the keys of all that belongs to a table: columns, constraints, indexes, triggers and more."""
    return [name for name, one in objects.items() if one.get("table") and table_of(one) == table]


def comment(work: Work, what: str) -> Step:
    """Return the step that sets the comment of an object as it ought to be."""
    now = (work.found or {}).get("comment")

    def said(text: str | None) -> str:
        return f"COMMENT ON {what} IS {literal(text) if text else 'NULL'}"

    return work.step("set the comment", [said(work.ought.get("comment"))], [said(now)], phase="other")
