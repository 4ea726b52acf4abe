"""The words of drift: objects of a catalogue, what migrations make of them, findings, and the steps of a repair.

An object is named by a key, `kind schema.name`, with the table before the name of what belongs to one: `table
public.shop_product`, `column public.shop_product.price`, `index public.prod_low`. Names are quoted as SQL quotes them
where they have to be. Its attributes are plain JSON, so that a snapshot may be kept in a file.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Attributes = dict[str, Any]
Objects = dict[str, Attributes]
"""Objects by key; each has at least `kind`, `schema` and `name`, and `table` where it belongs to one."""

Severity = Literal["error", "warning", "info"]
Mode = Literal["replayed", "cached", "reduced"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")


def quoted(name: str) -> str:
    """Return a name as SQL writes it: in double quotes where it has to be."""
    return name if _PLAIN.match(name) else '"' + name.replace('"', '""') + '"'


def key(kind: str, *names: str) -> str:
    """Return the key of an object: its kind, then its schema, table and name, as far as it has them."""
    return f"{kind} {'.'.join(quoted(name) for name in names)}"


def digest(value: Any) -> str:
    """Return the SHA-256 of what JSON can hold, whatever the order of its names."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Node:
    """A migration, by its app's label and its name."""

    app: str
    name: str

    def __str__(self) -> str:
        return f"{self.app}.{self.name}"


@dataclass(frozen=True)
class Row:
    """A row of django_migrations; its id is None where that column is gone."""

    id: int | None
    app: str
    name: str
    applied: datetime | None

    @property
    def node(self) -> Node:
        return Node(self.app, self.name)


@dataclass
class Made:
    """What one migration made of the scratch database, in the order of the replay."""

    node: Node
    # Whether the database has recorded it; an ancestor of a recorded one is replayed as well, and is then `implied`.
    recorded: bool
    implied: bool = False
    # What each object that it touched became; None is an object that it dropped.
    delta: dict[str, Attributes | None] = field(default_factory=dict)
    # Statements that it sent, so that 0 is a migration that changes Django's state only.
    statements: int = 0
    # How many RunPython it has, and what became of them: "" (none), "ran", "off", or why one failed.
    python: int = 0
    python_outcome: str = ""
    # How many RunSQL it has; and why the replay of the whole migration failed: what it makes is then unprovable.
    sql: int = 0
    error: str = ""
    # Hash of its operations without its name, to tell a renamed file.
    operations: str = ""


@dataclass
class Field:
    """What Django's state at the recorded migrations says of a column."""

    model: str
    name: str
    null: bool
    # The default of Python as a literal of SQL; None where it has none, or one that is made anew for each row.
    default: str | None = None
    # Why there is no such literal although the field has a default: "callable", say.
    default_trouble: str = ""
    m2m: bool = False


@dataclass
class Expected:
    """What ought to be at the recorded migrations, and what each of them, and each pending one, makes of it."""

    mode: Mode
    made: list[Made] = field(default_factory=list)
    fields: dict[str, Field] = field(default_factory=dict)
    # By the key of a table: the model's label, and whether it is a table that a ManyToManyField made for itself.
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    # What could not be proven, and why: the reason of the reduced mode, extensions that scratch can't have, and so on.
    notes: list[str] = field(default_factory=list)
    # Hash of all that the snapshot depends on (recorded set, files, versions); "" in reduced mode.
    key: str = ""
    seconds: float = 0.0
    # What is there before the first migration: the schemas of the search_path and django_migrations.
    base: Objects = field(default_factory=dict)
    # Keys of tables of which an operation failed in the replay: what is expected of them is not proven; "*" is any.
    doubtful: list[str] = field(default_factory=list)

    def objects(self, upto: Node | None = None) -> Objects:
        """Return the objects at the recorded migrations, or right after one, pending ones before it included."""
        found: Objects = dict(self.base)
        for one in self.made:
            if upto is None and not (one.recorded or one.implied):
                break
            for name, attributes in one.delta.items():
                if attributes is None:
                    found.pop(name, None)
                else:
                    found[name] = attributes
            if one.node == upto:
                break
        return found

    def makers(self, name: str) -> list[Made]:
        """Return the migrations that touched an object, in order."""
        return [one for one in self.made if name in one.delta]


@dataclass
class Difference:
    """One object that is not as it ought to be: missing (`have` is None), extra (`want` is None), or other."""

    key: str
    want: Attributes | None
    have: Attributes | None
    # The attributes that differ, for one that is there.
    attributes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class HistoryChange:
    """One change of django_migrations; `applied` None is now, `id` names the row where a name is there twice."""

    what: Literal["insert", "rename", "delete"]
    node: Node
    applied: datetime | None = None
    new_name: str = ""
    id: int | None = None


PHASES = (
    "history table", "schema", "extension", "type", "function", "sequence", "table", "column", "constraint", "index",
    "foreign key", "view", "trigger", "other", "sequence value", "validate", "history",
)  # fmt: skip
"""The order of steps, as pg_dump has it; what fails for want of another is tried again after the others."""


@dataclass
class Step:
    """One thing that a repair does: statements that commit together with their line in the audit, or rows of history.

    A step that is not `transactional` has one statement (CONCURRENTLY) and commits by itself; the catalogue tells
    afterwards whether it worked. `undo` are the statements that take it back without loss, none where nothing can.
    """

    code: str
    object: str
    phase: str
    title: str
    sql: list[str] = field(default_factory=list)
    undo: list[str] = field(default_factory=list)
    transactional: bool = True
    history: list[HistoryChange] = field(default_factory=list)
    # Keys that have to exist by now, or the step is left out: a row is recorded only when its objects are there.
    needs: list[str] = field(default_factory=list)


@dataclass
class Choice:
    """A way out of a refusal that a person has to take: the option to give, and what it will do."""

    option: str
    words: str


@dataclass
class Finding:
    """One thing that is wrong, what it breaks, and what will be done about it, or why not."""

    code: str
    severity: Severity
    object: str
    found: str
    breaks: str = ""
    action: str = ""
    # Empty where nothing is done: extras, and what is refused.
    steps: list[Step] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    # Why it is left to a person, in a sentence; "" where it is repaired or where nothing need be done.
    refused: str = ""
    # The migration that made the object, as `app.name`.
    migration: str = ""
    # Keys of objects that this finding speaks for: those who look later say nothing of them.
    claims: list[str] = field(default_factory=list)

    @property
    def sql(self) -> list[str]:
        """Return the statements of all steps, those of history in words of SQL too."""
        return [statement for step in self.steps for statement in (*step.sql, *map(told, step.history))]

    def as_json(self) -> dict[str, Any]:
        """Return the finding as `--json` prints it."""
        return {
            "code": self.code, "severity": self.severity, "object": self.object, "found": self.found,
            "breaks": self.breaks, "action": self.action, "sql": self.sql, "refused": self.refused,
            "migration": self.migration,
            "choices": [{"option": one.option, "words": one.words} for one in self.choices],
        }  # fmt: skip


@dataclass(frozen=True)
class Choices:
    """What the operator decided: each option of the command that answers a refusal."""

    # --rename OLD=NEW by column or table key-less names: `shop_category.slug=handle` renames slug to handle.
    rename: tuple[str, ...] = ()
    # --value TABLE.COLUMN=LITERAL, for a NOT NULL column that is made again on a table with rows.
    value: dict[str, str] = field(default_factory=dict)
    # --allow-rewrite: types may be changed where that rewrites the table, and nothing is lost by it.
    allow_rewrite: bool = False
    # --record APP.NAME: it was applied, though that can't be proven (RunPython).
    record: tuple[str, ...] = ()
    # --unrecord-all: the whole history was faked on an empty database.
    unrecord_all: bool = False
    # --record-history: history is empty, and the state found is to be recorded.
    record_history: bool = False
    # --prune APP.NAME: this ghost is known to be of no use.
    prune: tuple[str, ...] = ()
    # --identity: serial columns become identity columns.
    identity: bool = False
    # --redefine NAME: what somebody may have changed on purpose (a function, view or trigger; a column that allows no
    # nulls any more) is made what it ought to be.
    redefine: tuple[str, ...] = ()
    # --ignore CODE:OBJECT (or a line of the baseline file): known, and left so.
    ignore: tuple[str, ...] = ()


@dataclass
class RepairPlan:
    """All that was found in one database, and what it was found by."""

    alias: str
    mode: Mode
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Hash of the catalogue and the history as they were read: apply refuses where they are no longer so.
    snapshot: str = ""
    expected: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    # Migrations that are not applied, as `app.name`: no drift; and what the linter says of them.
    pending: list[str] = field(default_factory=list)
    lint: list[dict[str, Any]] = field(default_factory=list)
    # How many tables the recorded migrations ought to have made.
    tables: int = 0
    # The options by which only a part was looked for; "" where all was.
    asked: str = ""
    # Tables with what pending migrations do to them (preflight.Touched): what a migration will cost.
    touched: list[Any] = field(default_factory=list)

    def worth(self, least: Severity = "warning") -> list[Finding]:
        """Return the findings of at least so much weight."""
        return [one for one in self.findings if SEVERITIES.index(one.severity) <= SEVERITIES.index(least)]


def told(change: HistoryChange) -> str:
    """Return a change of history as the statement that it comes to."""
    app, name, new = (text.replace("'", "''") for text in (change.node.app, change.node.name, change.new_name))
    of = f"app = '{app}' AND name = '{name}'" + (f" AND id = {change.id}" if change.id is not None else "")
    if change.what == "insert":
        when = f"'{change.applied.isoformat()}'" if change.applied else "now()"
        return f"INSERT INTO django_migrations (app, name, applied) VALUES ('{app}', '{name}', {when})"  # noqa: S608 - shown only
    if change.what == "rename":
        return f"UPDATE django_migrations SET name = '{new}' WHERE {of}"  # noqa: S608 - shown only
    return f"DELETE FROM django_migrations WHERE {of}"  # noqa: S608 - shown only


def unclaimed(differences: Iterable[Difference], findings: Iterable[Finding]) -> list[Difference]:
    """Return the differences of which no finding speaks yet."""
    claimed = {name for one in findings for name in one.claims}
    return [one for one in differences if one.key not in claimed]
