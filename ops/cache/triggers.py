"""The triggers that move the versions of tables: which tables are to have them, and making them so.

`install` runs after each migrate and touches only what differs. The triggers fire always, also for a session with
`session_replication_role = replica`; one that was disabled and enabled again no longer does, by which it is told apart.
The process that applies a subscription (logical replication) fires none of a statement, so its tables have no version.
A table whose trigger had to be made or mended is given a new version, for nobody knows what was written to it
meanwhile.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import Error, connections, router
from django.db.models import Model
from psycopg2.sql import SQL, Composable

from ops.cache import functions, versions
from ops.engine import registry
from ops.engine.lifecycle import trouble
from ops.engine.session import (
    DEADLOCK,
    INSUFFICIENT_PRIVILEGE,
    LOCK_NOT_AVAILABLE,
    DatabaseTrouble,
    Session,
    in_words,
    sqlstate,
)
from ops.engine.shape import comma, ident, quoted
from ops.models import TableVersion, TagVersion

Table = type[Model] | str

NAME = "ops_version"
LOCK_TIMEOUT = 5_000
"""Milliseconds that making a trigger waits for the transactions that write to its table."""

SUBSCRIBED = "a subscription writes to it, which fires no trigger of a statement, so nothing read from it is kept"

NOT_GRANTED = (
    "this role may not make triggers of them, so let the functions' owner GRANT it EXECUTE ON FUNCTION "
    "ops_move_version(), ops_move_tags() and SELECT ON ops_tableversion, then run 'manage.py cache install'"
)
"""What is said where the functions are somebody else's who runs migrations: nobody else may use them."""

PLAIN, PARTITIONED = "r", "p"
OWN = frozenset(model._meta.db_table for model in (TableVersion, TagVersion))
KINDS = frozenset({"smallint", "integer", "bigint", "text", "character varying", "uuid", "boolean"})
"""The types of columns whose values are tags: those of which a value has one text only."""

_EVENTS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
_ROWS = {"INSERT": ("NEW",), "DELETE": ("OLD",), "UPDATE": ("OLD", "NEW"), "TRUNCATE": ()}


class NotInstalled(Exception):
    """A trigger could not be made; the message says on which table, and what to do."""


@dataclass(frozen=True)
class Needs:
    """What a table needs: a version, one for each value of these columns, and by whom that is declared."""

    columns: tuple[str, ...] = ()
    by: tuple[str, ...] = ()

    def and_(self, by: str, columns: Sequence[str] = ()) -> "Needs":
        """Return it with the needs of one more."""
        return Needs(tuple(sorted({*self.columns, *columns})), tuple(dict.fromkeys([*self.by, by])))


@dataclass(frozen=True)
class Trigger:
    """A trigger as it is to be."""

    relation: int
    home: str
    table: str
    name: str
    events: tuple[str, ...]
    function: str = "ops_move_version"
    arguments: tuple[str, ...] = ()

    @property
    def bits(self) -> int:
        """Return what the catalog has as its type: after the statement, for these events."""
        return sum(_EVENTS[event] for event in self.events)

    def create(self) -> Composable:
        """Return the statement that makes it, or makes it anew."""
        rows = SQL("").join(SQL(f" {one} TABLE AS {one.lower()}_rows") for one in _ROWS[self.events[0]])
        tagged = self.function == "ops_move_tags"
        return SQL("CREATE OR REPLACE TRIGGER {} AFTER {} ON {}{} FOR EACH STATEMENT EXECUTE FUNCTION {}({})").format(
            ident(self.name),
            SQL(" OR ").join(map(SQL, self.events)),
            ident(self.home, self.table),
            SQL(" REFERENCING{}").format(rows) if tagged and _ROWS[self.events[0]] else SQL(""),
            ident(self.function),
            comma([ident(one) for one in self.arguments]),
        )


@dataclass(frozen=True)
class Difference:
    """A trigger that is not as it is to be, and what is so: missing, disabled, altered, needless; or a table's trouble.

    `does` is create, drop or nothing.
    """

    does: str
    home: str
    table: str
    why: str
    trigger: str = ""
    wanted: Trigger | None = field(default=None, compare=False)

    @property
    def needless(self) -> bool:
        """Tell whether it is a trigger that nothing needs."""
        return self.wanted is None and bool(self.trigger)

    @property
    def missing(self) -> bool:
        """Tell whether there is no such trigger, as before the first migration."""
        return self.why.endswith("is missing")

    def __str__(self) -> str:
        return f"{self.home}.{self.table}: {self.why}"


_declared: dict[str, Needs] = {}


def declare(*tables: Table, by: str, tags: Mapping[Table, str] | None = None) -> None:
    """Declare, where a module is loaded, that tables are to have versions: for code that reads them itself."""
    for table in tables:
        name = versions.table_name(table)
        _declared[name] = _declared.get(name, Needs()).and_(by)
    for table, column in (tags or {}).items():
        name = versions.table_name(table)
        _declared[name] = _declared.get(name, Needs()).and_(by, [column])


def needed(database: str = "default") -> dict[str, Needs]:
    """Return the tables that are to have versions, by name: those that anything cached, reported or done declares."""
    found = dict(_declared)
    for table, by, columns in _declarations(database):
        name = versions.table_name(table)
        if not name.startswith(versions.PSEUDO):
            found[name] = found.get(name, Needs()).and_(by, columns)
    return dict(sorted(found.items()))


def _declarations(database: str) -> Iterator[tuple[Table, str, Sequence[str]]]:
    from ops.cache.registry import everything
    from ops.reports import registry as reports
    from ops.reports.declaring import tables as tables_of

    for cached in everything():
        if cached.database == database:
            for table in cached.table_names():
                yield table, f"cached {cached.name}", ()
            for table, tag in cached.tags.items():
                yield table, f"cached {cached.name}", [tag.column]
    for name in reports.names():
        for table in tables_of(reports.find(name)):
            yield table, f"report {name}", ()
    for name in registry.names():
        job = registry.find(name)
        for table in written_by(job):
            yield table, f"job {name}", ()
    if getattr(settings, "ROOT_URLCONF", ""):
        from ops.web.openapi import endpoints

        for address, endpoint in endpoints():
            for table in endpoint.tables:
                yield table, address, ()
    for table in getattr(settings, "SETWISE_VERSIONED_TABLES", ()):
        yield table, "SETWISE_VERSIONED_TABLES", ()


def written_by(job: Any) -> list[str]:
    """Return the tables that a job writes: its target's, where that is one, and those that it declares besides."""
    target = getattr(job, "target", None)
    tables = [*([target] if target is not None else []), *job.writes]
    return list(dict.fromkeys(versions.table_name(table) for table in tables))


def differences(database: str) -> list[Difference]:
    """Return what of the triggers is not as it is to be; nothing where ops keeps no versions."""
    session = Session(database)
    with trouble("Looking at the triggers of versions"):
        if not functions.installed(session):
            return []
        needs = needed(database)
        names = list(needs)
        relations = session.execute("ops/list_versioned.sql", {"tables": [versions.regclass(name) for name in names]})
        there = {(row[0], row[3]): row for row in session.execute("ops/list_version_triggers.sql")}
    found: list[Difference] = []
    kept: set[tuple[int, str]] = set()
    homes: set[str] = set()
    for place, *told in relations:
        member = _Member(*told)
        columns = needs[names[place - 1]].columns
        if why := member.unfit():
            found.append(Difference("nothing", member.home, member.name, why))
            continue
        homes.add(member.home)
        if member.subscribed:
            found.append(Difference("nothing", member.home, member.name, SUBSCRIBED))
        for column in columns:
            if why := member.unfit_column(column):
                found.append(Difference("nothing", member.home, member.name, why))
        for wanted in member.triggers([one for one in columns if not member.unfit_column(one)]):
            key = (wanted.relation, wanted.name)
            if key in kept:
                continue
            kept.add(key)
            if why := _wrong(wanted, there.get(key)):
                does, why = ("create", why) if member.owned else ("nothing", f"{why}; {member.not_owned()}")
                found.append(Difference(does, member.home, member.name, why, wanted.name, wanted))
    for key, (_, home, table, name, *_, owned, near) in there.items():
        # What is elsewhere may serve a program with another search_path.
        if key not in kept and (near or home in homes):
            why = f"its trigger {name} serves nothing that is declared"
            found.append(Difference("drop" if owned else "nothing", home, table, why, name))
    return found


@dataclass(frozen=True)
class _Member:
    """A table that is to have triggers, or a partition of one."""

    relation: int
    home: str
    name: str
    sort: str
    part: bool
    family: bool
    subscribed: bool
    owned: bool
    owner: str
    kinds: str | None
    """The types of its columns by their names, as JSON; null where it has no column."""

    def unfit(self) -> str:
        """Return why it can have no version, or ''."""
        if self.sort not in (PLAIN, PARTITIONED):
            return "it is no table, so no trigger tells what is written to what it shows; name the tables it reads"
        if self.name in OWN:
            return "it keeps versions itself"
        if self.family:
            return "it has children by inheritance or is one, whose writes its triggers don't hear of"
        return ""

    def unfit_column(self, column: str) -> str:
        """Return why its rows can't be told apart by a column, or ''."""
        kind = json.loads(self.kinds or "{}").get(column)
        if kind is None or "=" in column:
            return f"its rows can't be told apart by {column}, as it has no such column"
        if kind not in KINDS:
            return f"its rows can't be told apart by {column}, which is of type {kind}, not {', '.join(sorted(KINDS))}"
        return ""

    def not_owned(self) -> str:
        """Say what is to be done about a table of somebody else's."""
        return f"the table is {self.owner}'s, so run 'manage.py migrate' as that role"

    def triggers(self, columns: Sequence[str]) -> Iterator[Trigger]:
        """Yield the triggers that it is to have."""
        more = ("partition",) if self.part else ()
        yield Trigger(self.relation, self.home, self.name, NAME, tuple(_EVENTS), arguments=more)
        for column in columns:
            for event in _EVENTS:
                name = f"{NAME}_{event.lower()}_{column}"
                if len(name.encode()) > 63:
                    name = f"{NAME}_{event.lower()}_{hashlib.sha256(column.encode()).hexdigest()[:16]}"
                arguments = (column, *more)
                yield Trigger(self.relation, self.home, self.name, name, (event,), "ops_move_tags", arguments)


def _wrong(wanted: Trigger, there: tuple[Any, ...] | None) -> str:
    """Return what is wrong with a trigger in a few words, or ''."""
    if there is None:
        return f"its trigger {wanted.name} is missing"
    _, _, _, _, function, bits, enabled, count, argument, *_ = there
    told = (wanted.function, wanted.bits, len(wanted.arguments), wanted.arguments[0] if wanted.arguments else None)
    if (function, bits, count, argument) != told:
        return f"its trigger {wanted.name} was altered"
    if enabled == "O":
        return f"its trigger {wanted.name} was disabled for a time, or does not fire for what is replicated"
    return "" if enabled == "A" else f"its trigger {wanted.name} is disabled"


@dataclass
class Installed:
    """What came of installing: what was done, what could not be, and which tables a transaction has kept from it."""

    done: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise NotInstalled where a transaction was in the way."""
        if self.late:
            raise NotInstalled(
                f"The triggers that move the version of {', '.join(self.late)} could not be made, as a transaction "
                f"has held the table for more than {LOCK_TIMEOUT // 1000} seconds: end it ('manage.py doctor' says "
                "what is open for long), then run 'manage.py cache install'; until then nothing read from it is cached."
            )


def install(database: str) -> list[str]:
    """Make the triggers what they are to be; return what was done and what could not be, a sentence each.

    Each table is locked against writes for a moment, with a commit of its own; its version moves. Raise NotInstalled,
    after all others were made, where a transaction keeps one from being made.
    """
    came = _install(database)
    came.check()
    return came.left + came.done


def _install(database: str) -> Installed:
    session = Session(database)
    came = Installed()
    _restore_functions(session, came)
    tables: dict[tuple[str, str], list[Difference]] = {}
    for one in differences(database):
        if one.does == "nothing":
            came.left.append(f"{one}.")
        else:
            tables.setdefault((one.home, one.table), []).append(one)
    for (home, table), ones in tables.items():
        try:
            with session.transaction(lock_timeout=LOCK_TIMEOUT, statement_timeout=0):
                _change(session, home, table, ones)
        except (Error, DatabaseTrouble) as exc:
            cause = exc.__cause__ if isinstance(exc, DatabaseTrouble) else exc
            state = sqlstate(cause) if isinstance(cause, Error) else ""
            if state == INSUFFICIENT_PRIVILEGE:
                came.left += [f"{one}; {NOT_GRANTED}." for one in ones]
            elif state in (LOCK_NOT_AVAILABLE, DEADLOCK):
                came.late += [f"{home}.{table}"] if any(one.wanted for one in ones) else []
            else:
                told = in_words(cause, f"Making the triggers of {home}.{table}") if isinstance(cause, Error) else exc
                raise told from exc
            continue
        came.done += [f"{one}: {'made' if one.wanted else 'dropped'}." for one in ones]
    return came


def _restore_functions(session: Session, came: Installed) -> None:
    with trouble("Looking at the functions of versions"):
        wrong = functions.differing(session) if functions.installed(session) else {}
    came.left += [
        f"function {name} is not what sql/ops defines; it is {owner}'s, so run 'manage.py migrate' as that role."
        for name, owner in wrong.items()
        if owner
    ]
    mine = [name for name, owner in wrong.items() if not owner]
    if mine:
        with trouble("Making the functions of versions"), session.transaction(lock_timeout=0, statement_timeout=0):
            functions.restore(session, mine)
        came.done += [f"function {name} was not what sql/ops defines: made." for name in mine]


def _change(session: Session, home: str, table: str, ones: list[Difference]) -> None:
    for one in ones:
        if one.wanted is None:
            session.execute(SQL("DROP TRIGGER IF EXISTS {} ON {}").format(ident(one.trigger), ident(home, table)))
            continue
        session.execute(one.wanted.create())
        session.execute(
            SQL("ALTER TABLE ONLY {} ENABLE ALWAYS TRIGGER {}").format(ident(home, table), ident(one.trigger))
        )
    if any(one.wanted for one in ones):
        versions.bump(versions.table_name(".".join(quoted(part) for part in (home, table))), database=session.alias)


def after_migrate(using: str, verbosity: int = 1, **kwargs: Any) -> None:
    """Install the triggers when a database has been migrated (a receiver of post_migrate).

    What can't be done is said and does not end the migration, which has been made by then and has other receivers.
    """
    if connections[using].vendor != "postgresql" or not router.allow_migrate_model(using, TableVersion):
        return
    came = _install(using)
    try:
        came.check()
    except NotInstalled as exc:
        came.left.append(str(exc))
    for line in came.left if verbosity else ():
        sys.stderr.write(f"Versions of tables: {line}\n")
    for line in came.done if verbosity >= 2 else ():
        (kwargs.get("stdout") or sys.stdout).write(f"Versions of tables: {line}\n")
