"""What the files of migrations say by themselves, so that a graph that does not load is still explained.

`scan` reads each installed app's folder of migrations as text, imports none of them, asks no database, and returns
Troubles: one sentence each, with the file and the line, and whether Django's own loader stops for it. With the rows of
django_migrations it says too which of them have no file, and which were recorded before what they depend on.

| kind | what | stops |
|---|---|---|
| syntax | a file that can't be parsed | yes |
| import | it imports or uses a name that is not there | yes |
| class | a file that Django imports has no class Migration | yes |
| module | the module of an app's migrations can't be found | yes |
| missing dependency | it depends on a migration that has no file | yes |
| circular | migrations depend on each other in a circle | yes |
| leaves | an app has two ends: "Conflicting migrations" | no, but migrate refuses |
| number | two files have one number, and a merge joins them | no |
| package | files of migrations, but no `__init__.py`: the app counts as one without migrations | no |
| name | a file that Django passes over because of its name | no |
| case | two names that differ by case only | no |
| pyc | a compiled file without its source, which Django imports | no |
| unread | `dependencies` is no literal: what depends on it was not looked at | no |
| ghost, order | a row without a file; a row whose dependency has none | no (rows given) |
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.drift import files_graph, files_imports
from ops.drift.files_reading import File, Folder, Target, folders, names, read
from ops.drift.model import Node, Row

_NUMBER = re.compile(r"(\d+)_")


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong with files of migrations."""

    kind: str
    app: str
    # The migration's name; "" where it is of the app as a whole.
    migration: str
    # Relative to the working directory where the file is under it.
    path: str
    line: int
    # The sentence, with file and line.
    found: str
    # Whether the graph does not load for it.
    stops: bool = False


def scan(app_labels: Iterable[str] | None = None, rows: Sequence[Row] = ()) -> list[Trouble]:
    """Return what is wrong with the files of the given apps' migrations, what stops Django first."""
    labels = None if app_labels is None else set(app_labels)
    # All are read whatever was asked for: what an app depends on is in others.
    places = folders()
    found: list[Trouble] = []
    files: dict[Node, File] = {}
    for place in places:
        found += _place(place)
        if place.path is not None and place.package and not place.error:
            for name in names(place.path):
                one = _file(place, name)
                files[one.node] = one
                found += _of_file(one, place)
    unmigrated = {one.app for one in places} - {node.app for node in files}
    found += _of_graph(files, {row.node for row in rows}, unmigrated, {one.app for one in places})
    found += _by_case({node: one.path for node, one in files.items()}) + _by_number(files)
    if rows:
        found += _of_rows(files, rows, {one.app for one in places})
    asked = [one for one in found if labels is None or one.app in labels]
    return sorted(asked, key=lambda one: (not one.stops, one.app, one.path, one.line))


def named() -> list[Trouble]:
    """Return what the names in the folders tell by themselves; no file is read, so that it takes a moment.

    Of the kinds above: module, package, name and case.
    """
    found: list[Trouble] = []
    for place in folders():
        found += _place(place)
        if place.path is not None and place.package and not place.error:
            paths = {Node(place.app, name): place.path / f"{name}.py" for name in names(place.path)}
            found += _by_case(paths)
    return sorted(found, key=lambda one: (not one.stops, one.app, one.path))


def why(app_labels: Iterable[str] | None = None, rows: Sequence[Row] = ()) -> list[str]:
    """Return the sentences that say why the graph does not load; none where these files do not keep it from loading."""
    return [one.found for one in scan(app_labels, rows) if one.stops]


def shown(path: Path | None) -> str:
    """Return a path as a person types it: relative to the working directory where it is under it."""
    if path is None:
        return "?"
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _file(place: Folder, name: str) -> File:
    assert place.path is not None
    source = place.path / f"{name}.py"
    if source.exists():
        return read(place.app, source)
    compiled = File(Node(place.app, name), next(iter(sorted(place.path.glob(f"{name}.*"))), source))
    # Whatever is in it can't be read; it is taken as it is.
    compiled.line, compiled.unread = 1, ["dependencies", "run_before", "replaces"]
    return compiled


def _place(place: Folder) -> list[Trouble]:
    """Return what is wrong with the folder of an app."""
    if place.error:
        words = f"The migrations of {place.app} are to be in {place.module}, which can't be found: {place.error}."
        return [Trouble("module", place.app, "", "", 0, words, stops=True)]
    if place.path is None:
        return []
    where = shown(place.path)
    if not place.package:
        inside = names(place.path) if place.path.is_dir() else []
        if not any(_NUMBER.match(name) for name in inside):
            return []
        words = (
            f"{where}/ has {len(inside)} file(s) of migrations but no __init__.py, so Django takes {place.app} for an "
            "app without migrations: add an empty __init__.py."
        )
        return [Trouble("package", place.app, "", where, 0, words)]
    found = []
    for path in sorted(place.path.iterdir()):
        reason = _passed_over(path)
        if reason:
            words = f"{shown(path)} is no migration to Django: {reason}."
            found.append(Trouble("name", place.app, path.name, shown(path), 0, words))
    return found


def _passed_over(path: Path) -> str:
    """Return why Django passes over what looks like a migration; "" where it does not, or it does not look like one."""
    if not _NUMBER.match(path.name.lstrip("_~")):
        return ""
    if path.is_dir():
        return "it is a directory, and only files are looked at" if (path / "__init__.py").exists() else ""
    if path.suffix != ".py":
        return "" if path.suffix in {".pyc", ".so", ".pyd"} else "its name does not end with .py"
    if path.name[0] in "_~":
        return f"names that begin with {path.name[0]!r} are left out"
    return "its name has a dot in it" if "." in path.stem else ""


def _of_file(one: File, place: Folder) -> list[Trouble]:
    where = shown(one.path)

    def trouble(kind: str, line: int, words: str, *, stops: bool = True) -> Trouble:
        at = f"{where}:{line}" if line else where
        return Trouble(kind, one.node.app, one.node.name, where, line, f"{at} {words}", stops)

    if one.error:
        conflict = one.path.is_file() and b"\n<<<<<<< " in b"\n" + one.path.read_bytes()
        more = " (marks of a merge that git could not do are in it)" if conflict else ""
        return [trouble("syntax", one.error_line, f"can't be parsed: {one.error}{more}.")]
    if one.path.suffix != ".py":
        words = "is a compiled file without its source, and Django imports it: delete it, or bring the source back."
        return [trouble("pyc", 0, words, stops=False)]
    if not one.line:
        return [trouble("class", 0, "has no class Migration: Django raises BadMigrationError.")]
    found = []
    if one.tree is not None:
        for line, words in files_imports.missing(one.tree, place.module):
            found.append(trouble("import", line, f"{words}: Django raises ImportError or AttributeError."))
    if one.unread:
        words = f"does not list {', '.join(one.unread)} as literals: what they name was not looked at."
        found.append(trouble("unread", one.line, words, stops=False))
    return found


def _of_graph(files: dict[Node, File], recorded: set[Node], unmigrated: set[str], apps: set[str]) -> list[Trouble]:
    """Return dependencies without a file, circles, and apps with two ends."""
    graph = files_graph.build(files, recorded, unmigrated)
    found = []
    for origin, target, before in graph.missing:
        found.append(_missing(files, origin, target, before, apps, graph.partly.get(target.node)))
    for circle in graph.circles():
        first = circle[0]
        path = " -> ".join(str(node) for node in [*circle, first])
        steps = "; ".join(f"{shown(files[node].path)}:{_line(files[node])}" for node in circle)
        words = f"Migrations depend on each other in a circle, {path} ({steps}): Django raises CircularDependencyError."
        at = shown(files[first].path)
        found.append(Trouble("circular", first.app, first.name, at, _line(files[first]), words, stops=True))
    for app, ends in graph.leaves().items():
        told = " and ".join(shown(files[node].path) for node in ends)
        words = (
            f"{app} has {len(ends)} ends, {told}: migrate refuses (Conflicting migrations); join them by "
            f"`makemigrations --merge {app}`, or make one depend on the other."
        )
        found.append(Trouble("leaves", app, ends[-1].name, shown(files[ends[-1]].path), 0, words))
    return found


def _line(one: File) -> int:
    return one.dependencies[0].line if one.dependencies else one.line


def _missing(
    files: dict[Node, File], origin: Node, target: Target, before: bool, apps: set[str], squash: Node | None
) -> Trouble:
    where = shown(files[origin].path)
    node = target.node
    verb = "is to run before" if before else "depends on"
    if node.app not in apps:
        reason = f"there is no app {node.app!r} in INSTALLED_APPS"
    elif squash is not None:
        reason = (
            f"it has no file any more, and {squash}, which replaces it, can't stand for it: some of what it replaces "
            "is recorded as applied and some is not"
        )
    else:
        near = _near(node, files)
        reason = "it has no file" + (f" (is {near} meant?)" if near else "")
    words = f"{where}:{target.line} {verb} {node}, and {reason}: Django raises NodeNotFoundError."
    return Trouble("missing dependency", origin.app, origin.name, where, target.line, words, stops=True)


def _near(node: Node, files: dict[Node, File]) -> str:
    """Return the name of the file that is most like a migration's: same words after another number first."""
    of_app = [other.name for other in files if other.app == node.app]
    suffix = _NUMBER.sub("", node.name, count=1)
    same = [name for name in of_app if _NUMBER.sub("", name, count=1).lower() == suffix.lower()]
    return next(iter(same or difflib.get_close_matches(node.name, of_app, 1, 0.8)), "")


def _by_case(paths: dict[Node, Path]) -> list[Trouble]:
    """Return names that differ by case only."""
    alike: dict[tuple[str, str], list[Node]] = defaultdict(list)
    for node in paths:
        alike[node.app, node.name.lower()].append(node)
    found = []
    for (app, _), nodes in alike.items():
        if len(nodes) > 1:
            told = " and ".join(shown(paths[node]) for node in nodes)
            words = f"{told} differ by case only: on a file system that ignores case one of them is lost."
            found.append(Trouble("case", app, nodes[1].name, shown(paths[nodes[1]]), 0, words))
    return found


def _by_number(files: dict[Node, File]) -> list[Trouble]:
    """Return numbers that two files have, of which none is a squash or replaced by one."""
    alike: dict[tuple[str, str], list[Node]] = defaultdict(list)
    replaced = {target.node for one in files.values() for target in one.replaces}
    for node, one in files.items():
        match = _NUMBER.match(node.name)
        # A squash has the number of the first that it replaces.
        if match and not one.replaces and node not in replaced:
            alike[node.app, match[1]].append(node)
    found = []
    for (app, number), nodes in alike.items():
        if len(nodes) > 1:
            told = " and ".join(shown(files[node].path) for node in nodes)
            words = f"{told} have the same number {number}: their order is by dependencies, not by name."
            found.append(Trouble("number", app, nodes[1].name, shown(files[nodes[1]].path), 0, words))
    return found


def _of_rows(files: dict[Node, File], rows: Sequence[Row], apps: set[str]) -> list[Trouble]:
    """Return the recorded migrations that have no file, and those whose dependency is not recorded."""
    found = []
    recorded = {row.node for row in rows}
    replaced = {target.node for one in files.values() for target in one.replaces}
    for node in sorted(recorded - set(files) - replaced, key=str):
        if node.app not in apps:
            reason = f"the app {node.app!r} is not in INSTALLED_APPS"
        else:
            near = _near(node, files)
            reason = f"{node.app} has no such file" + (f" (renamed to {near}?)" if near else "")
        words = f"{node} is recorded as applied, and {reason}."
        found.append(Trouble("ghost", node.app, node.name, "", 0, words))
    for node in sorted(recorded & set(files), key=str):
        for target in files[node].dependencies:
            stands = [other for other, one in files.items() if target.node in {t.node for t in one.replaces}]
            known = target.node in files and target.node not in recorded
            if known and not any(other in recorded for other in stands) and not _covered(files, target, recorded):
                where = shown(files[node].path)
                words = (
                    f"{node} is recorded as applied, and {target.node}, which it depends on ({where}:{target.line}), "
                    "is not: migrate raises InconsistentMigrationHistory."
                )
                found.append(Trouble("order", node.app, node.name, where, target.line, words))
    return found


def _covered(files: dict[Node, File], target: Target, recorded: set[Node]) -> bool:
    """Return whether all that a squash replaces is recorded, so that Django takes it as applied."""
    replaces = files[target.node].replaces
    return bool(replaces) and all(one.node in recorded for one in replaces)
