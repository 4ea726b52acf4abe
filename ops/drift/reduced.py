"""What ought to be in a database, by Django's state alone: where no scratch database can be made to replay in.

The recorded migrations are walked one by one, each changes Django's state, and what a model comes to is worked out from
it. Nothing is written and no migration runs; a role that may only read is enough. It sees less than a replay: no view,
function, trigger or type, nothing that RunSQL or RunPython made, and not what is in a check, a condition, an expression
or a default of the database, but whether such a thing is there. What it can't know is taken as it is in the database,
or as Django writes it where it is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration, RunPython, RunSQL
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from ops import clock, sql
from ops.drift import catalog, fielding, graph, reduced_doubt, reduced_names, reduced_spelling
from ops.drift.model import Expected, Made, Node, Objects, Row, key
from ops.drift.reduced_rules import Rules
from ops.drift.reduced_shape import Label, Place, Shapes, World, managed

LACKS = (
    "Reduced mode: what ought to be is taken from Django's own state. Not looked at: what RunSQL and RunPython made, "
    "views, functions, triggers, types; of checks, conditions, expressions and defaults of the database, only whether "
    "they are there."
)


_TEXT = ("character varying", "text")


@dataclass
class _Walk:
    """The state as it is followed, and what it came to so far."""

    world: World
    state: ProjectState
    seen: dict[Label, tuple[dict[str, Any], dict[str, Any], tuple[Any, ...]]] = field(default_factory=dict)
    objects: dict[Label, Objects] = field(default_factory=dict)
    refers: dict[Label, set[Label]] = field(default_factory=dict)
    # Indexes that an old database need not have, though the state says so.
    unsure: set[str] = field(default_factory=set)

    def step(self) -> Objects | dict[str, Any]:
        """Return what became of each object since the last step; None is one that is gone."""
        shapes = Shapes(self.world, self.state.models)
        changed = {label for label, one in self.state.models.items() if self._is_new(label, one)}
        gone = set(self.seen) - set(self.state.models)
        touched = changed | gone
        while more := {label for label, to in self.refers.items() if to & touched} - touched:
            # A column has the type of the key that it refers to, and so has what refers to that column in turn.
            touched |= more
        before: Objects = {}
        after: Objects = {}
        implicit: set[str] = set()
        for label in touched:
            before |= self.objects.pop(label, {})
            self.seen.pop(label, None)
            self.refers.pop(label, None)
        for label in touched & set(self.state.models):
            after |= self._made(shapes, label, implicit)
        self._doubt(before, after, implicit)
        delta: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
        delta.update({name: one for name, one in after.items() if before.get(name) != one})
        return delta

    def _is_new(self, label: Label, one: ModelState) -> bool:
        known = self.seen.get(label)
        if known is None:
            return True
        fields, options, bases = known
        # Fields are never changed in place, but replaced.
        same = fields.keys() == one.fields.keys() and all(fields[name] is given for name, given in one.fields.items())
        return not (same and options == one.options and bases == one.bases)

    def _made(self, shapes: Shapes, label: Label, implicit: set[str]) -> Objects:
        one = self.state.models[label]
        made = shapes.of(label)
        if managed(label, one, self.world.connection):
            rules = Rules(shapes, label)
            made |= rules.make()
            implicit |= rules.implicit
        self.seen[label] = (dict(one.fields), dict(one.options), one.bases)
        self.objects[label] = made
        self.refers[label] = shapes.references(label, one)
        return made

    def _doubt(self, before: Objects, after: Objects, implicit: set[str]) -> None:
        """Note the indexes for LIKE that a column got when it became text: not every Django made them then."""
        new = {name for name in implicit if name not in before and after[name]["kind"] == "index"}
        dropped = self.unsure & (before.keys() - after.keys())
        for name in new:
            one = after[name]
            columns = [before.get(key("column", one["schema"], one["table"], column)) for column in one["columns"]]
            if dropped or any(known and not str(known.get("type")).startswith(_TEXT) for known in columns):
                self.unsure.add(name)


def expect(alias: str, rows: Sequence[Row], why: str) -> Expected:
    """Return what ought to be by Django's state at the recorded migrations, and what each pending one would make.

    `why` is the sentence that says why there is no replay.
    """
    started = clock.monotonic()
    connection = connections[alias]
    loader = graph.Loader(rows)
    loader.build_graph()
    path = catalog.schemas_of(connection) or ["public"]
    have = catalog.read(connection, path)
    walk = _Walk(_world(connection, path, have), ProjectState(real_apps=loader.unmigrated_apps))
    expected = Expected("reduced", notes=[f"{why.rstrip('.')}. {LACKS}"])
    applied = set(loader.applied_migrations)
    first = _with_ancestors(loader, applied)
    keys = graph.order(loader)
    for one in [*(one for one in keys if one in first), *(one for one in keys if one not in first)]:
        if expected.made and one not in first and _is_done(expected):
            _describe(expected, walk, have)
        expected.made.append(_step(walk, loader.graph.nodes[one], one in applied, one in first))
    if _is_done(expected):
        _describe(expected, walk, have)
    else:
        _spell([made for made in expected.made if not (made.recorded or made.implied)], walk)
    have = _elsewhere(connection, expected, path, have)
    done = [loader.graph.nodes[one] for one in keys if one in first]
    _settle(expected, have, reduced_doubt.named(done), walk.unsure)
    expected.base = {name: one for name, one in have.items() if one["kind"] == "schema" or _is_history(one)}
    expected.seconds = clock.monotonic() - started
    return expected


def _is_done(expected: Expected) -> bool:
    """Return whether all that was walked so far is recorded, so that the state is that of the database."""
    return all(one.recorded or one.implied for one in expected.made)


def _with_ancestors(loader: graph.Loader, applied: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return what is recorded, and what that depends on."""
    found: set[tuple[str, str]] = set()
    for one in applied & set(loader.graph.nodes):
        if one not in found:
            found.update(loader.graph.forwards_plan(one))
    return found


def _world(connection: BaseDatabaseWrapper, path: Sequence[str], have: Objects) -> World:
    reserved = _ask(connection, "ops/list_reserved_words.sql")

    @cache
    def full_type(text: str) -> str | None:
        from ops.drift.reduced_types import looked_up

        name = looked_up(text)
        found = _ask(connection, "ops/list_type_names.sql", types=[name]) if name else []
        return found[0][1] + "[]" * text.endswith("[]") if found else None

    def schema_of(table: str) -> str:
        return next((schema for schema in path if key("table", schema, table) in have), path[0])

    return World(connection, schema_of, frozenset(word for (word,) in reserved), full_type)


def _ask(connection: BaseDatabaseWrapper, name: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql.load(name).compose(), values)
        return list(cursor.fetchall())


def _step(walk: _Walk, migration: Migration, recorded: bool, first: bool) -> Made:
    """Let a migration change the state, and return what it makes of the objects."""
    node = Node(migration.app_label, migration.name)
    made = Made(node, recorded, implied=first and not recorded, operations=graph.operations_digest(migration))
    try:
        walk.state = migration.mutate_state(walk.state, preserve=False)
        made.delta = dict(walk.step())
    except Exception as exc:
        made.error = f"{type(exc).__name__}: {' '.join(str(exc).split())}"
    operations: list[Operation] = list(graph.operations_of(migration))
    made.python = sum(isinstance(one, RunPython) for one in operations)
    made.python_outcome = "off" if made.python else ""
    made.sql = sum(isinstance(one, RunSQL) for one in operations)
    made.statements = len(made.delta) + made.sql
    return made


def _describe(expected: Expected, walk: _Walk, have: Objects) -> None:
    """Take what the rendered state at the recorded migrations says: models, defaults of Python, and spellings."""
    apps = _spell(expected.made, walk)
    if apps is None:
        expected.notes.append("The models of the recorded state could not be rendered: their defaults are not known.")
        return

    def located(db_table: str) -> tuple[str, str]:
        place = walk.world.place(db_table)
        return place.schema, place.name

    expected.fields, expected.tables = fielding.describe(apps, walk.world.connection, located)
    odd = {place.key for place in _odd(apps, walk)}
    if odd:
        reduced_doubt.without_tables(expected.made, odd)


def _spell(made: list[Made], walk: _Walk) -> Any:
    """Add Django's spellings to the objects of some migrations, by the state as it is now; return its models."""
    try:
        apps = walk.state.apps
        words = dict(reduced_spelling.spellings(apps, walk.world))
    except Exception:
        return None
    finally:
        # A rendered state is changed model by model from then on, which is slow.
        walk.state.__dict__.pop("apps", None)
    for one in made:
        for name, attributes in one.delta.items():
            if attributes is not None and name in words and "definition" not in attributes:
                one.delta[name] = {**attributes, "django": {**attributes.get("django", {}), **words[name]}}
    return apps


def _odd(apps: Any, walk: _Walk) -> list[Place]:
    """Return the tables of ManyToManyFields of a project's own kind, which have other columns than Django's."""
    found = []
    for model in apps.get_models():
        for given in model._meta.local_many_to_many:
            through = given.remote_field.through
            if type(given) is not models.ManyToManyField and through._meta.auto_created:
                columns = {one.column for one in through._meta.local_concrete_fields}
                if columns != {"id", given.m2m_column_name(), given.m2m_reverse_name()}:
                    found.append(walk.world.place(through._meta.db_table))
    return found


def _elsewhere(connection: BaseDatabaseWrapper, expected: Expected, path: Sequence[str], have: Objects) -> Objects:
    """Return what is there with the schemas that models name themselves."""
    named = {one["schema"] for made in expected.made for one in made.delta.values() if one is not None}
    others = sorted(named - set(path))
    return {**have, **catalog.read(connection, others)} if others else have


def _settle(expected: Expected, have: Objects, words: reduced_doubt.Words, unsure: set[str]) -> None:
    """Give objects the names that the database has for them, and leave out what is doubtful."""
    last = {name: one for made in expected.made for name, one in made.delta.items() if one is not None}
    names = reduced_names.lent(last.items(), have, set(expected.objects()))
    for made in expected.made:
        made.delta = reduced_names.renamed(made.delta, names)
    softened = reduced_doubt.soften(
        expected.made, expected.objects(), have, words, {names.get(one, one) for one in unsure}
    )
    softened += reduced_spelling.fill(expected.made, have)
    if softened:
        expected.notes.append(
            "Not looked for (SQL of migrations names them, Django did not always make them, or their type is not "
            f"known): {', '.join(softened)}."
        )


def _is_history(one: dict[str, Any]) -> bool:
    return bool("django_migrations" in (one.get("table"), one["name"]))
