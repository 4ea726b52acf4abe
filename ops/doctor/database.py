"""What can be told of the database: server and role, migrations, indexes, who is in the way, and the clock.

All is read from the catalog and from the server's statistics; no table of the project is read.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import Error, connections, router
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model, UniqueConstraint

from ops import clock
from ops.doctor import Finding, Site, finding, versions
from ops.doctor.settings import APART, of_check
from ops.engine import registry
from ops.engine.session import Session, in_words

IDLE = 300.0
"""Seconds for which a transaction may be idle; a prompt's is not open while it waits."""

BUSY = 6 * 3600.0
"""Seconds for which one may be at work: a base backup or a dump takes hours."""

HELD = 10 * 2**30
"""Bytes of WAL by which the reader of a replication slot may be behind."""

AGE = 1_000_000_000
"""Transaction ids; autovacuum begins to freeze at a fifth of that, the server stops at twice that."""

FULL = 0.9
"""The share of the server's connections from which on they are nearly used up."""


def unreachable(alias: str) -> str:
    """Connect to a database; return why that can't be had, in a sentence, or ''."""
    if connections[alias].vendor != "postgresql":
        return f"Database {alias!r} is {connections[alias].vendor}, and ops keeps its runs in PostgreSQL"
    try:
        connections[alias].ensure_connection()
    except Error as exc:
        return str(in_words(exc, f"Looking at database {alias!r}"))
    return ""


def pending(alias: str) -> list[str]:
    """Return the migrations that are not applied, as `app.name`; none where the role may not read which are."""
    if not Session(alias).execute("ops/find_migrations.sql")[0][0]:
        return []
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def look(site: Site, behind: list[str]) -> Iterator[Finding]:
    """Find what is wrong with the database; `behind` are the migrations that are not applied."""
    from ops.checks import databases_are_fit

    session = Session(site.alias)
    before = clock.now()
    (row,) = session.execute("ops/find_server.sql")
    now, version, role, recovering, writable, durable, synchronous, vacuums, used, most, eldest, age = row
    yield from _clock(site, now, before)
    site.told["database"] = (
        f"PostgreSQL {version.split()[0]} as {role}, {used} of {most} connections, clock within "
        f"{abs((now - clock.now()).total_seconds()):.1f} s"
    )
    yield from (of_check(message) for message in databases_are_fit([site.alias]))
    if behind:
        yield finding("E040", f"Not applied in database {site.alias!r}: {', '.join(behind)}.", _migrate(site.alias))
    if recovering or not writable:
        why = "it is a standby" if recovering else f"default_transaction_read_only is on for {role}"
        yield finding("E041", f"The server of {site.alias!r} takes no writes: {why}.")
    embedded = getattr(settings, "EMBEDDED", None) is not None
    if embedded:
        yield finding("I001", "PostgreSQL or Redis is the embedded one.")
    if not durable and not embedded:
        yield finding("E042", "fsync or full_page_writes is off.")
    if not synchronous:
        yield finding("W040", "synchronous_commit is off.", f'in psql: ALTER ROLE "{role}" SET synchronous_commit = on')
    if not vacuums:
        yield finding("E043", "autovacuum or track_counts is off.")
    if age > AGE:
        yield finding("E044", f"Database {eldest!r} is {age:,} transactions old.")
    if used >= FULL * most:
        yield finding("W044", f"{used} of {most} connections are used.")
    yield from _timeouts(session, role)
    yield from _in_the_way(session)
    labels = {one.partition(".")[0] for one in behind}
    yield from _indexes(site, session, labels)
    if "ops" not in labels:
        yield from versions.look(site, _migrate(site.alias))


def _migrate(alias: str) -> str:
    return "manage.py migrate" if alias == "default" else f"manage.py migrate --database {alias}"


def _clock(site: Site, now: datetime, before: datetime) -> Iterator[Finding]:
    apart = max((before - now).total_seconds(), (now - clock.now()).total_seconds())
    if apart > APART:
        yield finding(
            "E046",
            f"It is {clock.shown(clock.now())} on this host and {clock.shown(now)} on the database server: "
            f"{apart:,.0f} s apart.",
        )


def _timeouts(session: Session, role: str) -> Iterator[Finding]:
    for name, milliseconds in session.execute("ops/list_timeouts.sql"):
        yield finding("W041", f"{name} is {milliseconds:,} ms.", f'in psql: ALTER ROLE "{role}" SET {name} = 0')


def _in_the_way(session: Session) -> Iterator[Finding]:
    for pid, prepared, role, application, state, seconds in session.execute(
        "ops/list_open_transactions.sql", {"idle": IDLE, "busy": BUSY}
    ):
        since = f"for {seconds / 60:,.0f} min"
        if prepared is not None:
            yield finding(
                "W042",
                f"Prepared transaction {prepared!r} of {role} is open {since}.",
                f"in psql: ROLLBACK PREPARED '{prepared}'",
            )
        else:
            yield finding(
                "W042",
                f"Session {pid} of {role} ({application or 'no name'}) is {state} {since}.",
                f"look who it is, then SELECT pg_terminate_backend({pid})",
            )
    for name, active, status, held in session.execute("ops/list_replication_slots.sql", {"most": HELD}):
        what = "is read, but far behind" if active else "is read by nobody"
        yield finding(
            "W043",
            f"Replication slot {name!r} {what}; it holds back {held / 2**20:,.0f} MB of WAL ({status or 'none'}).",
            "mend its reader" if active else f"start its reader, or SELECT pg_drop_replication_slot('{name}')",
        )


def _indexes(site: Site, session: Session, behind: set[str]) -> Iterator[Finding]:
    for relation, name in session.execute("ops/list_invalid_indexes.sql"):
        yield finding("W046", f"Index {name} of {relation} is invalid.", f"in psql: REINDEX INDEX CONCURRENTLY {name}")
    for (relation,) in session.execute("ops/list_unvacuumed.sql"):
        yield finding(
            "W047",
            f"autovacuum_enabled is off for {relation}.",
            f"in psql: ALTER TABLE {relation} RESET (autovacuum_enabled)",
        )
    models = {model._meta.db_table: model for model in _models(site.alias) if model._meta.app_label not in behind}
    with connections[site.alias].schema_editor(collect_sql=True, atomic=False) as editor:
        for relation, names in session.execute("ops/list_index_names.sql", {"tables": sorted(models)}):
            yield from _missing(models[relation], set(names), editor)


def _missing(model: type[Model], names: set[str], editor: Any) -> Iterator[Finding]:
    table = model._meta.db_table
    for constraint in model._meta.constraints:
        if isinstance(constraint, UniqueConstraint) and constraint.name not in names:
            made = constraint.create_sql(model, editor)
            yield finding("E045", f"Table {table} lacks the constraint {constraint.name}.", f"in psql: {made}")
    for index in model._meta.indexes:
        if index.name not in names:
            yield finding(
                "W045", f"Table {table} lacks the index {index.name}.", f"in psql: {index.create_sql(model, editor)}"
            )


def _models(alias: str) -> Iterator[type[Model]]:
    """Yield the models of ops, of Celery's tables, and of every app that a job writes to."""
    labels = {"ops", "django_celery_beat", "django_celery_results"}
    # A job whose target depends on its parameters has none of its own.
    targets = [getattr(registry.find(name), "target", None) for name in registry.names()]
    labels |= {target._meta.app_label for target in targets if target is not None}
    for label in sorted(labels):
        if label in apps.app_configs:
            for model in apps.get_app_config(label).get_models():
                if model._meta.managed and router.allow_migrate_model(alias, model):
                    yield model
