"""The replay itself: in the process of `child.py`, against the scratch database, one migration after the other.

First what is recorded and what that needs, then what is pending. After each the catalogue is read, and what it has
made, changed and dropped is kept. What fails is told, and the others go on: of a recorded migration its other
operations, of pending ones those that do not depend on it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.signals import connection_created
from django.db.migrations import Migration, RunPython, RunSQL
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from django.db.transaction import atomic

from ops import sql
from ops.drift import artifact, catalog, deriving, fielding, graph, lending, sandbox
from ops.drift.catalog_kept import Kept
from ops.drift.model import Attributes, Expected, Made, Node, Objects, Row, key

_RENAMES = re.compile(r"\b(RENAME|SET\s+SCHEMA|DO)\b", re.IGNORECASE)
_OF_TRANSACTIONS = ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO", "SET CONSTRAINTS")


class _Again(Exception):
    """Something is wanting that the real database has and no migration makes: it is made now, and all tried again."""


def said(exc: BaseException) -> str:
    """Return an exception in a line."""
    return f"{type(exc).__name__}: {' '.join(str(exc).split())}".rstrip(": ")


def changes(before: Objects, after: Objects) -> dict[str, Attributes | None]:
    """Return the objects that are new or other than before, and a None for each that is gone."""
    found: dict[str, Attributes | None] = {name: one for name, one in after.items() if before.get(name) != one}
    return found | {name: None for name in before if name not in after}


class Replay:
    """One replay: the state of Django's models, and the catalogue as it was read last."""

    def __init__(self, connection: BaseDatabaseWrapper, request: Mapping[str, Any]) -> None:
        self.connection = connection
        self.alias = connection.alias
        self.request = request
        self.expected = Expected(mode="replayed")
        self.rows = [Row(None, app, name, None) for app, name in request["rows"]]
        self.loader = graph.Loader(self.rows)
        self.loader.build_graph()
        self.state = ProjectState(real_apps=self.loader.unmigrated_apps)
        self.loan = lending.Loan(connection, request, self.loader)
        self.seen: Objects = {}
        self.kept = Kept()
        self.reading = False
        self.failed: set[graph.Key] = set()
        self.made = Made(Node("", ""), recorded=False)
        self._python = RunPython.database_forwards

    def run(self) -> Expected:
        """Replay all; return what ought to be."""
        self._begin()
        first, pending = deriving.ordered(self.loader)
        with self._watched():
            for one in first:
                self._migrate(one, recorded=one in self.loader.applied_migrations, implied=True)
            self._describe()
            for one in pending:
                self._migrate(one, recorded=False)
            if pending:
                self._describe_later()
        self.expected.base |= self.loan.needed(self.seen)
        self.expected.notes += self.loan.notes
        self.expected.doubtful = list(dict.fromkeys(self.expected.doubtful))
        return self.expected

    def _begin(self) -> None:
        """Make what is there before the first migration."""
        empty = catalog.read(self.connection, None)
        for name in self.request["path"]:
            self.loan.schema(name)
        recorder = MigrationRecorder(self.connection)
        recorder.ensure_schema()
        recorder.migration_qs.bulk_create([recorder.Migration(app=one.app, name=one.name) for one in self.rows])
        self.seen = catalog.read(self.connection, None)
        self.expected.base = {name: one for name, one in changes(empty, self.seen).items() if one is not None}

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Count statements, and let RunPython run as the replay lets it."""

        def python(operation: RunPython, app_label: str, editor: Any, old: Any, new: Any) -> None:
            self._run_python(operation, app_label, editor, old, new)

        RunPython.database_forwards = python  # type: ignore[method-assign, assignment] # this process is for the replay alone
        try:
            with sandbox.closed(), self.connection.execute_wrapper(self._count), self._defaults():
                yield
        finally:
            RunPython.database_forwards = self._python  # type: ignore[method-assign] # as it was

    def _count(self, execute: Callable[..., Any], statement: Any, params: Any, many: bool, context: Any) -> Any:
        if not self.reading and not str(statement).startswith(_OF_TRANSACTIONS):
            self.made.statements += 1
            if _RENAMES.search(str(statement)):
                # Definitions of other tables name what is renamed.
                self.kept.forget()
        return execute(statement, params, many, context)

    @contextmanager
    def _defaults(self) -> Iterator[None]:
        """Let a column be added without its default where that can't be computed: scratch has no rows to give it to."""
        original = BaseDatabaseSchemaEditor.effective_default

        def computed(editor: BaseDatabaseSchemaEditor, field: Any) -> Any:
            if not callable(field.default):
                return original(editor, field)
            try:
                with self._savepoint():
                    return original(editor, field)
            except Exception as exc:
                self.expected.notes.append(f"{self.made.node}: the default of {field} can't be computed: {said(exc)}")
                return None

        BaseDatabaseSchemaEditor.effective_default = computed  # type: ignore[method-assign, assignment] # as for RunPython
        try:
            yield
        finally:
            BaseDatabaseSchemaEditor.effective_default = original  # type: ignore[method-assign] # as it was

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        """Take back what fails, where there is a transaction to go on with."""
        with atomic(self.alias) if self.connection.in_atomic_block else ExitStack():
            yield

    def _run_python(self, operation: RunPython, app_label: str, editor: Any, old: Any, new: Any) -> None:
        if operation.code is RunPython.noop:
            return
        if not self.request["run_python"]:
            self.made.python_outcome = self.made.python_outcome or "off"
            return
        try:
            with self._savepoint():
                self._python(operation, app_label, editor, old, new)
                if self.connection.in_atomic_block:
                    # Rows that point nowhere fail here, rather than at the commit and the whole migration with them.
                    self.connection.check_constraints()
        except (Exception, SystemExit) as exc:
            self._again(exc)
            outcome = said(exc)
        else:
            outcome = "ran"
        if self.made.python_outcome in ("", "ran"):
            self.made.python_outcome = outcome

    def _again(self, exc: BaseException) -> None:
        """Raise _Again where it may help to make what the real database has besides what migrations make."""
        if self.loan.helps(exc):
            raise _Again from exc

    def _migrate(self, one: graph.Key, *, recorded: bool, implied: bool = False) -> None:
        migration = self.loader.graph.nodes[one]
        pending = not (recorded or implied)
        self._new(migration, one, recorded=recorded, implied=implied and not recorded)
        self.expected.made.append(self.made)
        waited = [parent.key for parent in self.loader.graph.node_map[one].parents if parent.key in self.failed]
        if pending and waited:
            self.made.error = f"It was not replayed: it comes after {'.'.join(waited[0])}, which failed or was not."
            self.failed.add(one)
            return
        before = self.state.clone()
        try:
            self._apply(migration, pending=pending)
        except _Again:
            self.state = before.clone()
            self.loan.lend()
            self.seen = self._read()
            self._new(migration, one, recorded=recorded, implied=implied and not recorded)
            self.expected.made[-1] = self.made
            try:
                self._apply(migration, pending=pending)
            except Exception as exc:
                self._fail(one, exc, before, pending=pending)
        except Exception as exc:
            self._fail(one, exc, before, pending=pending)
        self._snapshot()

    def _new(self, migration: Migration, one: graph.Key, *, recorded: bool, implied: bool) -> None:
        found = list(graph.operations_of(migration))
        self.made = Made(
            Node(*one),
            recorded=recorded,
            implied=implied,
            python=sum(isinstance(each, RunPython) and each.code is not RunPython.noop for each in found),
            sql=sum(isinstance(each, RunSQL) for each in found),
            operations=graph.operations_digest(migration),
        )

    def _fail(self, one: graph.Key, exc: Exception, before: ProjectState, *, pending: bool) -> None:
        self.made.error = said(exc)
        self.failed.add(one)
        if pending:
            self.state = before
        else:
            self.expected.doubtful.append("*")

    def _apply(self, migration: Migration, *, pending: bool) -> None:
        """Apply a migration as Django does, but that what fails of a recorded one is passed over."""
        if "apps" not in self.state.__dict__:
            # Render all at once; operations then render again only what they change.
            _ = self.state.apps
        with self.connection.schema_editor(atomic=bool(migration.atomic)) as editor:
            for operation in migration.operations:
                self._operate(migration, operation, editor, pending=pending)
            if not pending:
                self._settle(editor)

    def _operate(self, migration: Migration, operation: Operation, editor: Any, *, pending: bool) -> None:
        old = self.state.clone()
        operation.state_forwards(migration.app_label, self.state)
        deferred = list(editor.deferred_sql)
        own = operation.atomic or (migration.atomic and operation.atomic is not False)
        try:
            with atomic(self.alias) if editor.atomic_migration or own else ExitStack():
                operation.database_forwards(migration.app_label, editor, old, self.state)
        except Exception as exc:
            self._again(exc)
            extension = lending.extension_of(operation)
            if extension:
                self.loan.notes.append(f"The scratch database can't have the extension {extension}: {said(exc)}")
            elif pending:
                raise
            else:
                editor.deferred_sql = deferred
                self._note(f"{operation.describe()}: {said(exc)}")
                self.expected.doubtful += self._touched(operation, migration.app_label, old)

    def _settle(self, editor: Any) -> None:
        """Run what Django keeps for the end of a migration, each by itself."""
        for statement in editor.deferred_sql:
            try:
                with self._savepoint():
                    editor.execute(statement, None)
            except Exception as exc:
                self._again(exc)
                self._note(f"{statement}: {said(exc)}")
        editor.deferred_sql = []

    def _note(self, words: str) -> None:
        self.made.error = f"{self.made.error}; {words}" if self.made.error else words

    def _snapshot(self) -> None:
        if not self.made.statements:
            return
        now = self._read()
        # What a migration has left behind that failed as a whole is nobody's.
        if (self.made.node.app, self.made.node.name) not in self.failed:
            self.made.delta = changes(self.seen, now)
        self.seen = now

    def _read(self) -> Objects:
        """Return the catalogue; what reads it is no statement of the migration's."""
        self.reading = True
        try:
            return catalog.read(self.connection, None, kept=self.kept)
        finally:
            self.reading = False

    def _touched(self, operation: Operation, app_label: str, old: ProjectState) -> list[str]:
        """Return the keys of tables that an operation should have touched that failed; "*" where that isn't known."""
        if isinstance(operation, RunSQL):
            return lending.named_in(operation, self.seen)
        names = {getattr(operation, one, None) for one in ("model_name", "name", "old_name", "new_name")}
        models = {(app_label, name.lower()) for name in names if isinstance(name, str)}
        tables = {
            state.apps.get_model(*model)._meta.db_table
            for state in (old, self.state)
            for model in models & set(state.models)
        }
        return [key("table", *(self._located(one) or (self._first(), one))) for one in sorted(tables)] or ["*"]

    def _first(self) -> str:
        return next(iter(self.request["path"]), "public")

    def _located(self, db_table: str) -> tuple[str, str] | None:
        schema, table = fielding.named(db_table)
        for one in [schema] if schema else self.request["path"]:
            if key("table", one, table) in self.seen:
                return one, table
        return None

    def _describe(self) -> None:
        """Keep what the state says of columns and tables at the recorded migrations."""
        found = fielding.describe(self.state.apps, self.connection, self._located)
        self.expected.fields, self.expected.tables = found

    def _describe_later(self) -> None:
        """Keep what the state says of columns that pending migrations make: what is half done is brought to its end."""
        later, _ = fielding.describe(self.state.apps, self.connection, self._located)
        self.expected.fields = {**later, **self.expected.fields}


def replay(request: Mapping[str, Any]) -> dict[str, Any]:
    """Replay the migrations in the scratch database that the settings of this process point to."""

    def begin(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        if connection.alias == request["alias"]:
            with connection.cursor() as cursor:
                cursor.execute(sql.load("ops/set_unlimited_session.sql").compose())
                cursor.execute(
                    sql.load("ops/set_scratch_session.sql").compose(), {"search_path": request["search_path"]}
                )

    connection_created.connect(begin)
    connection = connections[request["alias"]]
    connection.ensure_connection()
    return artifact.plain(Replay(connection, request).run())
