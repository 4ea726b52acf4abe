"""The project's migrations as files, held against the rows that are recorded: a graph, or why there is none.

Nothing here reads or writes a database: the rows are given, so that any history can be tried, one with duplicates and
one that no server would take.
"""

import functools
import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

from django.db import migrations
from django.db.migrations import Migration, RunPython, RunSQL
from django.db.migrations.exceptions import BadMigrationError, CircularDependencyError, NodeNotFoundError
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import Field

from ops.drift.model import Node, Row, digest

Key = tuple[str, str]
Kind = Literal["missing", "circular", "bad", "import", "dependency"]

# Statements that leave an object in the catalogue, which can be seen; of others nothing remains to be proven by.
_LASTING = re.compile(r"\s*(?:--[^\n]*\n\s*)*(CREATE|ALTER|DROP|COMMENT|GRANT|REVOKE)\b", re.IGNORECASE)
_DJANGO = str(Path(migrations.__file__).parent)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
# A default that is computed when the file is imported, as timezone.now() is by whom meant timezone.now.
_COMPUTED = re.compile(r"\bdefault\s*=\s*[\w.]+\(")


class Loader(MigrationLoader):
    """Django's loader, over rows that are given instead of those of a connection; `build_graph` loads it."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[Key, Any] = {(row.app, row.name): row for row in rows}
        self._applied: dict[Key, Any] = dict(self._rows)
        self.disk_migrations: dict[Key, Migration] = {}
        super().__init__(None, load=False)

    @property
    def applied_migrations(self) -> dict[Key, Any]:
        """Return what is recorded, and what Django takes for recorded because all that it replaces is."""
        return self._applied

    @applied_migrations.setter
    def applied_migrations(self, _nothing: dict[Key, Any]) -> None:
        # Without a connection Django takes it that nothing is applied.
        self._applied = dict(self._rows)


@dataclass(frozen=True)
class Known:
    """A migration that has a file: its place in the graph, and what the history says of it."""

    node: Node
    parents: tuple[Node, ...] = ()
    replaces: tuple[Node, ...] = ()
    path: str = ""
    # Hash of its operations without its name.
    operations: str = ""
    # Whether Django takes it for applied: it has a row, or it replaces others that all have one.
    recorded: bool = False
    # It has no row, and one that depends on it has.
    implied: bool = False
    # Whether it has operations of which no object remains that could prove them: RunPython, RunSQL that moves rows.
    unseen: tuple[str, ...] = ()
    atomic: bool = True

    @property
    def pending(self) -> bool:
        return not (self.recorded or self.implied)


@dataclass(frozen=True)
class Failure:
    """Why the graph does not load: which migration, which file, and the sentence."""

    kind: Kind
    words: str
    node: Node | None = None
    path: str = ""


@dataclass
class Graph:
    """The migrations in the order in which Django would apply them to an empty database."""

    nodes: dict[Node, Known] = field(default_factory=dict)
    # All that have a file, those too that a squash has taken out of the graph.
    disk: dict[Node, Known] = field(default_factory=dict)
    # By the app: its leaves, where it has more than one.
    conflicts: dict[str, list[str]] = field(default_factory=dict)
    migrated: set[str] = field(default_factory=set)
    # Installed apps without migrations, or with none that can be found.
    unmigrated: set[str] = field(default_factory=set)
    failure: Failure | None = None

    @functools.cached_property
    def replaced(self) -> dict[Node, Node]:
        """Return the migrations that a squash says it replaces, each with that squash."""
        return {old: known.node for known in self.disk.values() for old in known.replaces}

    def children(self, node: Node) -> list[Node]:
        """Return the migrations that name one as their parent."""
        return self._children.get(node, [])

    @functools.cached_property
    def _children(self) -> dict[Node, list[Node]]:
        found: dict[Node, list[Node]] = {}
        for known in self.nodes.values():
            for parent in known.parents:
                found.setdefault(parent, []).append(known.node)
        return found

    def ancestors(self, node: Node) -> list[Node]:
        """Return all that have to be applied before a migration, in the order of the graph."""
        found: set[Node] = set()
        waiting = [node]
        while waiting:
            known = self.nodes.get(waiting.pop())
            new = set(known.parents) - found if known else set()
            found |= new
            waiting += new
        return [one for one in self.nodes if one in found]

    def ghosts(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows of which no file is left."""
        return [row for row in rows if row.node not in self.disk]


# Two thirds of all that operations are made of, told at once.
_SIMPLE = frozenset({str, int, float, bool, type(None)})


def _plain(value: Any, module: str) -> Any:
    """Return what an operation was made of as JSON can hold it, without the name of its migration's module."""
    if type(value) in _SIMPLE:
        return value
    if isinstance(value, str | int | float):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {str(_plain(name, module)): _plain(one, module) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, module) for one in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(one, module) for one in value), key=repr)
    if isinstance(value, Operation):
        # Some operations keep others in their arguments.
        return [type(value).__name__, *(_plain(one, module) for one in value.deconstruct()[1:])]
    if isinstance(value, Field):
        path, args, kwargs = value.deconstruct()[1:]
        if "default" in kwargs and not callable(kwargs["default"]) and _computes(module):
            # It may be another one in each process; a literal is told by the file itself.
            del kwargs["default"]
        return _plain([path, args, kwargs], module)
    if isinstance(value, functools.partial):
        return _plain([value.func, value.args, value.keywords], module)
    if inspect.isroutine(value) or inspect.isclass(value):
        return _routine(value, module)
    if hasattr(value, "deconstruct"):
        return _plain(value.deconstruct(), module)
    return [type(value).__qualname__, _ADDRESS.sub("", repr(value))]


@functools.cache
def _computes(module: str) -> bool:
    """Tell whether the text of a migration's module calls something for a default."""
    try:
        return bool(_COMPUTED.search(inspect.getsource(sys.modules[module])))
    except (KeyError, OSError, TypeError):
        return False


def _routine(value: Any, module: str) -> list[str]:
    """Return a function or class by its name; one of the migration's own file by its text too."""
    name = getattr(value, "__qualname__", repr(value))
    if getattr(value, "__module__", None) != module:
        return [getattr(value, "__module__", None) or "", name]
    try:
        return [name, inspect.getsource(value)]
    except (OSError, TypeError):
        return [name]


# Each look at the files makes migrations anew, of the same classes: a fifth of a cached check of 200 tables.
_digests: WeakKeyDictionary[type[Migration], str] = WeakKeyDictionary()


def operations_digest(migration: Migration) -> str:
    """Return the hash of a migration's operations, the same whatever its file is called."""
    kind = type(migration)
    own = migration.operations == list(kind.operations)
    if own and kind in _digests:
        return _digests[kind]
    found = digest([_plain(operation, kind.__module__) for operation in migration.operations])
    if own:
        _digests[kind] = found
    return found


def operations_of(migration: Migration) -> Iterable[Operation]:
    """Yield the operations that reach the database, those within SeparateDatabaseAndState too."""
    waiting = list(migration.operations)
    while waiting:
        operation = waiting.pop(0)
        yield operation
        waiting[:0] = list(getattr(operation, "database_operations", ()) or ())


def _statements(operation: RunSQL) -> list[str]:
    if isinstance(operation.sql, str):
        return [operation.sql] if operation.sql != RunSQL.noop else []
    return [one if isinstance(one, str) else str(one[0]) for one in operation.sql]


def unseen(migration: Migration) -> tuple[str, ...]:
    """Return the operations whose effect no object of the catalogue proves, in words."""
    found = []
    for operation in operations_of(migration):
        if isinstance(operation, RunPython) and operation.code is not RunPython.noop:
            found.append(f"RunPython({getattr(operation.code, '__name__', 'a function')})")
        elif isinstance(operation, RunSQL):
            found += [
                f"RunSQL({' '.join(one.split())[:40]})"
                for one in _statements(operation)
                if one.strip() and not _LASTING.match(one)
            ]
    return tuple(found)


def _path(migration: Migration) -> str:
    try:
        return inspect.getfile(type(migration))
    except (OSError, TypeError):
        return ""


def _known(loader: Loader, key: Key, implied: set[Key]) -> Known:
    migration = loader.disk_migrations[key]
    # There is no graph yet where a file could not be read.
    place = loader.graph.node_map.get(key) if hasattr(loader, "graph") else None
    return Known(
        node=Node(*key),
        parents=tuple(Node(*one.key) for one in sorted(place.parents)) if place else (),
        replaces=tuple(Node(*one) for one in migration.replaces),
        path=_path(migration),
        operations=operations_digest(migration),
        recorded=key in loader.applied_migrations,
        implied=key in implied,
        unseen=unseen(migration),
        atomic=bool(migration.atomic),
    )


def order(loader: Loader) -> list[Key]:
    """Return the migrations in the order in which Django applies them all to an empty database."""
    found: dict[Key, None] = {}
    for leaf in loader.graph.leaf_nodes():
        found.update(dict.fromkeys(loader.graph.forwards_plan(leaf)))
    return list(found)


def _implied(loader: Loader, keys: Sequence[Key]) -> set[Key]:
    """Return what is not recorded, though one that comes after it is."""
    applied = loader.applied_migrations
    found: set[Key] = set()
    # Those that come later are looked at first, so that the parent of an implied one is implied too.
    for key in reversed(keys):
        if key in applied or key in found:
            found.update(one.key for one in loader.graph.node_map[key].parents if one.key not in applied)
    return found


def _file_of(exc: BaseException) -> str:
    """Return the file, with its line, of which an import failed."""
    if isinstance(exc, SyntaxError) and exc.filename:
        return f"{exc.filename}:{exc.lineno}" if exc.lineno else exc.filename
    frames = [one for one in traceback.extract_tb(exc.__traceback__) if "importlib" not in one.filename]
    # Django's own package has a directory of that name too.
    ours = [one for one in frames if "migrations" in Path(one.filename).parts[:-1] and _DJANGO not in one.filename]
    if not ours:
        return ""
    return f"{ours[-1].filename}:{ours[-1].lineno}"


def _failure(exc: Exception) -> Failure:
    words = " ".join(str(exc).split()).rstrip(".")
    if isinstance(exc, NodeNotFoundError):
        origin = getattr(exc, "origin", None)
        at = Node(origin.app_label, origin.name) if isinstance(origin, Migration) else Node(*exc.node)
        return Failure("missing", words, at, _path(origin) if isinstance(origin, Migration) else "")
    if isinstance(exc, CircularDependencyError):
        return Failure("circular", words)
    if isinstance(exc, BadMigrationError):
        return Failure("bad", words)
    if isinstance(exc, ValueError) and words.startswith("Dependency on"):
        return Failure("dependency", words)
    return Failure("import", f"{type(exc).__name__}: {words}", path=_file_of(exc))


def load(alias: str, rows: Sequence[Row]) -> Graph:
    """Return the graph of the project's migrations under the rows of a database; never raises for a broken one.

    Where it can't be loaded, `failure` says why, and there are no nodes. (The alias is taken for the day on which
    Django has a graph for each database.)
    """
    loader = Loader(rows)
    try:
        loader.build_graph()
        keys = order(loader)
    except Exception as exc:
        # What was read of the files before it failed still tells ghosts, and what a squash replaces.
        disk = {Node(*key): _known(loader, key, set()) for key in loader.disk_migrations}
        return Graph(disk=disk, failure=_failure(exc))
    implied = _implied(loader, keys)
    disk = {Node(*key): _known(loader, key, implied) for key in loader.disk_migrations}
    return Graph(
        nodes={Node(*key): disk[Node(*key)] for key in keys},
        disk=disk,
        conflicts=loader.detect_conflicts(),
        migrated=set(loader.migrated_apps),
        unmigrated=set(loader.unmigrated_apps),
    )
