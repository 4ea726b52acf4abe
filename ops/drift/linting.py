"""What a linter says of the migrations that are not applied yet: squawk, on the SQL that they will send.

squawk (PyPI squawk-cli, a program without dependencies; the extra `lint`) reads SQL, so it sees RunSQL as well as what
Django composes, and it knows what each version of PostgreSQL locks. django-migration-linter was the other choice: it
tells whether old code can still run, in fewer rules, and nothing of locks. A project's own `.squawk.toml` is heeded.
"""

import json
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor

from ops.engine.session import Session

INSTALL = "Pending migrations are not linted: 'pip install setwise[lint]' brings squawk."

# Not for Django: types and names are the framework's choice, `safe_migrate` sets the timeouts, and each migration is
# sent once, in its own transaction.
NOT_OURS = frozenset({
    "prefer-text-field", "prefer-big-int", "prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-identity",
    "prefer-timestamp-tz", "prefer-robust-stmts", "require-lock-timeout", "require-statement-timeout",
    "transaction-nesting", "ban-uncommitted-transaction", "syntax-error",
})  # fmt: skip

_TARGET = re.compile(
    r"^\s*(?:ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?|CREATE\s+(?:UNIQUE\s+)?INDEX\s.*?\sON\s+|"
    r'DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?)((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)',
    re.IGNORECASE | re.DOTALL,
)
_CREATED = re.compile(
    r'^\s*CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)', re.IGNORECASE
)


@dataclass(frozen=True)
class Complaint:
    """What the linter says of one statement of a pending migration."""

    migration: str
    rule: str
    message: str
    advice: str
    statement: str

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class Sent:
    """What a pending migration will send; `trouble` where that can't be told without running it."""

    migration: str
    statements: tuple[str, ...]
    atomic: bool
    trouble: str = ""


def program() -> str | None:
    """Return the path of squawk, that of this environment first; None where it is not installed."""
    return shutil.which("squawk", path=sysconfig.get_path("scripts")) or shutil.which("squawk")


def lint(alias: str) -> tuple[list[Complaint], list[str]]:
    """Lint the migrations that are pending in a database; return what is said of them, and notes.

    Nothing is said where no migration is applied yet: no table is in use then.
    """
    executor = MigrationExecutor(connections[alias])
    pending = [migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    if not pending or not executor.loader.applied_migrations:
        return [], []
    squawk = program()
    if squawk is None:
        return [], [INSTALL]
    with _reading_only(alias):
        sent = list(_sent(alias, executor, pending))
    notes = [f"{one.migration} is not linted: {one.trouble}." for one in sent if one.trouble]
    found, more = complaints(squawk, sent, Session(alias).version // 10_000)
    return found, notes + more


@contextmanager
def _reading_only(alias: str) -> Iterator[None]:
    """Keep an operation of somebody's own, which runs statements by itself, from writing."""
    session = Session(alias)
    before = session.execute("ops/set_default_read_only.sql", {"read_only": "on"})[0][0]
    try:
        yield
    finally:
        session.execute("ops/set_default_read_only.sql", {"read_only": before})


def _sent(alias: str, executor: MigrationExecutor, pending: Sequence[Migration]) -> Iterator[Sent]:
    loader = executor.loader
    applied = [key for key in loader.graph.nodes if key in loader.applied_migrations]
    state = loader.project_state(applied) if applied else loader.project_state()
    for migration in pending:
        before = state.clone()
        try:
            with connections[alias].schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
                state = migration.apply(state, editor, collect_sql=True)
            statements = tuple(map(str, editor.collected_sql))
            yield Sent(str(migration), statements, migration.atomic)
        except Exception as exc:
            state = migration.mutate_state(before, preserve=False)
            yield Sent(str(migration), (), migration.atomic, f"its SQL can't be told beforehand ({_words(exc)})")


def _words(exc: Exception) -> str:
    return " ".join(str(exc).split()).rstrip(".") or type(exc).__name__


def complaints(squawk: str, sent: Sequence[Sent], major: int) -> tuple[list[Complaint], list[str]]:
    """Hand statements to squawk as one file; return what it says of tables that are in use, and notes.

    In one file, for it is to know which tables the migrations before have made.
    """
    lines: list[str] = []
    of_line: list[tuple[str, str]] = []
    created: set[str] = set()
    for one in sent:
        opening, closing = ("BEGIN;", "COMMIT;") if one.atomic else ("", "")
        for statement in (opening, *one.statements, closing):
            if made := _CREATED.match(statement):
                created.add(made[1])
            for line in statement.splitlines() or [""]:
                lines.append(line)
                of_line.append((one.migration, statement))
    said, trouble = _run(squawk, "\n".join(lines) + "\n", major)
    if trouble:
        return [], [trouble]
    found: dict[tuple[str, str, str], Complaint] = {}
    notes: list[str] = []
    for each in said:
        migration, statement = of_line[min(each["line"], len(of_line) - 1)]
        if each["rule_name"] == "syntax-error":
            notes = [f"Pending migrations are linted no further: squawk does not understand {migration}."]
        target = _TARGET.match(statement)
        if each["rule_name"] in NOT_OURS or (target and target[1] in created):
            continue
        complaint = Complaint(migration, each["rule_name"], each["message"], each.get("help") or "", statement)
        found.setdefault((migration, complaint.rule, statement), complaint)
    return list(found.values()), notes


def _run(squawk: str, text: str, major: int) -> tuple[list[dict[str, Any]], str]:
    """Run squawk; return what it said, or why that is not known."""
    words = [squawk, "--reporter", "json", "--pg-version", str(major), "--stdin-filepath", "pending.sql"]
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=False)
        said: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    except (OSError, subprocess.TimeoutExpired, json.JSONDecodeError) as exc:
        return [], f"Pending migrations are not linted: {squawk} failed ({_words(exc)})."
    if done.returncode not in (0, 1):
        return (
            [],
            f"Pending migrations are not linted: {squawk} ended with {done.returncode} ({_words_of(done.stderr)}).",
        )
    return said, ""


def _words_of(text: str) -> str:
    return " ".join(text.split())[:200].rstrip(".") or "without a word"
