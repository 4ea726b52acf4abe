"""What keeps migrations from working, found beforehand: by system checks, and by the doctor by the same code.

Three kinds: what the names of files tell is a check before every command; whether they load, which imports them all,
one of `check --deploy`; what the history tells needs its database, is an error where migrate must not start, and is
looked at by `check --database` and by migrate itself.
"""

from collections.abc import Iterator

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections, router

from ops.doctor import Finding, finding
from ops.drift import files, files_reading, graph, history, history_findings_table
from ops.drift.graph import Graph
from ops.drift.history_findings_case import Case
from ops.drift.model import Choices, Expected
from ops.drift.model import Finding as Found


def of_names() -> Iterator[Finding]:
    """Find what the folders of migrations tell by the names in them: this reads no file."""
    for trouble in files.named():
        if trouble.kind == "package":
            yield finding("W050", trouble.found)
        elif trouble.kind == "case":
            yield finding("W051", trouble.found)
        elif trouble.kind in ("name", "pyc"):
            yield finding("W052", trouble.found)


def of_texts() -> Iterator[Finding]:
    """Find that the migrations do not load, or have two ends, and which file that is by; without a database."""
    loaded = graph.load(DEFAULT_DB_ALIAS, ())
    if loaded.failure is None and not loaded.conflicts:
        return  # their text is read, which takes a second, only to explain what is wrong
    found = files.scan()
    broken = {one.app for one in found if one.stops}
    if loaded.failure is not None and not broken:
        yield finding("E050", f"The migrations do not load: {loaded.failure.words}.")
    for trouble in found:
        if trouble.stops:
            yield finding("E050", trouble.found)
        elif trouble.kind == "leaves" and trouble.app not in broken:
            yield finding("E051", trouble.found)


def of_database(alias: str) -> Iterator[Finding]:
    """Find what keeps migrate from recording what it does; where there is no history yet, nothing does."""
    try:
        known = history.read(connections[alias])
    except (history.HistoryLocked, ProgrammingError):
        return  # what can't be looked at now is no reason to keep migrate from starting
    if not known.may_read:
        return  # who may not read it does not migrate
    case = Case(known, Graph(), Expected("reduced"), {}, {}, Choices())
    for one in history_findings_table.find(case):
        if one.severity == "error" and one.code in ("D01", "H15", "H18"):
            yield finding("E052", one.found, _mends(alias, one))
    yield from _shadowed(alias, known)
    yield from _without_migrations(alias, known)


def _shadowed(alias: str, known: history.History) -> Iterator[Finding]:
    """Find a history further back in the search_path that is the one of the tables that Django sees.

    One that has tables of its own beside it is another tenant's, or the public one of all tenants. Outside of the
    search_path it is looked for only where nothing at all is in it, and one other schema has everything.
    """
    ours = {name for schema, name in known.tables if schema == known.schema}
    models = {model._meta.db_table for model in apps.get_models() if model._meta.managed}
    for other in known.others:
        theirs = {name for schema, name in known.tables if schema == other.schema}
        more = {row.node for row in other.rows or ()} - set(known.nodes)
        lost = other.place is None and not known.rows and not ours - {history.TABLE} and len(known.others) == 1
        if (other.place is not None or lost) and more and theirs & models and not ours & models:
            reads = f"reads {known.schema}.django_migrations ({len(known.rows):,} rows)"
            yield finding(
                "E053",
                f"Django {reads if known.exists else f'would make django_migrations in {known.schema}'}, and the "
                f"tables are in "
                f"{other.schema}, whose django_migrations records {len(more):,} more.",
            )


def told(alias: str) -> str:
    """Return what was looked at, for the doctor."""
    with_files = [place for place in files_reading.folders() if place.path is not None and place.path.is_dir()]
    number = sum(len(files_reading.names(place.path)) for place in with_files if place.path is not None)
    rows = len(history.read(connections[alias]).rows)
    return f"{number:,} files of {len(with_files):,} apps, {rows:,} recorded"


def _mends(alias: str, one: Found) -> str:
    if one.refused:
        return f"{one.refused[0].lower()}{one.refused[1:]}".rstrip(".")
    more = "" if alias == "default" else f" --database {alias}"
    return f"run 'manage.py repair_migrations{more} --only {one.code} --apply'"


def _without_migrations(alias: str, known: history.History) -> Iterator[Finding]:
    """Find apps whose models have neither migrations nor tables, where other apps are migrated."""
    if not known.rows:
        return
    there = {name for _, name in known.tables}
    for place in files_reading.folders():
        if place.error or (place.path is not None and place.path.is_dir() and files_reading.names(place.path)):
            continue
        missing = [
            model._meta.db_table
            for model in apps.get_app_config(place.app).get_models(include_auto_created=True)
            if model._meta.managed and not model._meta.proxy and not model._meta.swapped
            if router.allow_migrate_model(alias, model) and model._meta.db_table not in there
        ]
        if missing:
            yield finding(
                "W053", f"App {place.app} has no migrations, and its tables are missing: {', '.join(missing)}."
            )
