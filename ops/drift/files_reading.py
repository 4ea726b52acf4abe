"""The files of migrations as text: what each says of itself, found without importing it."""

import ast
import pkgutil
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps
from django.conf import settings

from ops.drift.model import Node

LISTS = ("dependencies", "run_before", "replaces")


@dataclass
class Target:
    """A migration that a file names, and the line."""

    node: Node
    line: int


@dataclass
class File:
    """One file of migrations: what it names, and why it could not be read."""

    node: Node
    path: Path
    dependencies: list[Target] = field(default_factory=list)
    run_before: list[Target] = field(default_factory=list)
    replaces: list[Target] = field(default_factory=list)
    # Line of its class Migration; 0 where it has none.
    line: int = 0
    # Those of the three lists that are not literals: what is in them is not known.
    unread: list[str] = field(default_factory=list)
    # Why it can't be parsed, with the line.
    error: str = ""
    error_line: int = 0
    tree: ast.Module | None = None


@dataclass
class Folder:
    """Where the migrations of an app are, if it has any."""

    app: str
    module: str = ""
    path: Path | None = None
    # Whether there is an __init__.py: without one Django takes the app for one that has no migrations.
    package: bool = True
    # Why the module can't be found.
    error: str = ""


def folders(labels: set[str] | None = None) -> list[Folder]:
    """Return where the migrations of each installed app are; nothing of them is imported."""
    return [_folder(config.label, config.name) for config in apps.get_app_configs() if _asked(config.label, labels)]


def _asked(label: str, labels: set[str] | None) -> bool:
    return labels is None or label in labels


def _folder(label: str, name: str) -> Folder:
    module = settings.MIGRATION_MODULES.get(label, f"{name}.migrations")
    if module is None:
        return Folder(label)
    try:
        spec = find_spec(module)
    except Exception as exc:
        return Folder(label, module, error=f"{type(exc).__name__}: {exc}")
    if spec is None:
        # Without the setting this is an app that has no models; a module that a setting names has to be there.
        return Folder(label, module, error="there is no such module" if label in settings.MIGRATION_MODULES else "")
    places = list(spec.submodule_search_locations or [])
    if not places:
        return Folder(label, module, Path(spec.origin) if spec.origin else None, package=False)
    return Folder(label, module, Path(places[0]), package=spec.origin is not None)


def names(folder: Path) -> list[str]:
    """Return the names that Django imports from a folder, by the same rule as it."""
    found = pkgutil.iter_modules([str(folder)])
    return sorted(name for _, name, is_package in found if not is_package and name[0] not in "_~")


def read(app: str, path: Path) -> File:
    """Read one file of migrations, without running it."""
    found = File(Node(app, path.stem), path)
    try:
        found.tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as exc:
        found.error, found.error_line = exc.msg, exc.lineno or 0
        return found
    except (OSError, ValueError) as exc:
        found.error = str(exc)
        return found
    for statement in found.tree.body:
        _look(statement, found)
    return found


def _look(statement: ast.stmt, found: File) -> None:
    """Take what a statement of the module says of the class Migration."""
    if isinstance(statement, ast.ClassDef) and statement.name == "Migration":
        found.line = statement.lineno
        for inner in statement.body:
            _listed(inner, found)
        said = {name for inner in statement.body for name in _assigned(inner)}
        # A base of its own may say what the class itself does not.
        if [ast.unparse(base) for base in statement.bases] not in (["migrations.Migration"], ["Migration"]):
            found.unread += [name for name in LISTS if name not in said]
    elif "Migration" in _assigned(statement) or _imports(statement, "Migration"):
        found.line = statement.lineno
        found.unread += LISTS


def _assigned(statement: ast.stmt) -> list[str]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    return [one.id for one in targets if isinstance(one, ast.Name)]


def _imports(statement: ast.stmt, name: str) -> bool:
    return isinstance(statement, ast.ImportFrom) and any((one.asname or one.name) == name for one in statement.names)


def _listed(statement: ast.stmt, found: File) -> None:
    for name in _assigned(statement):
        if name not in LISTS:
            continue
        value = getattr(statement, "value", None)
        if isinstance(statement, ast.AugAssign) or value is None or not _targets(value, getattr(found, name)):
            found.unread.append(name)


def _targets(value: ast.expr, into: list[Target]) -> bool:
    """Add the migrations of a literal list; return whether all of it was literal."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        left, right = _targets(value.left, into), _targets(value.right, into)
        return left and right
    if not isinstance(value, ast.List | ast.Tuple):
        return False
    whole = True
    for element in value.elts:
        node = _pair(element) or _swappable(element)
        if node is None:
            whole = False
        else:
            into.append(Target(node, element.lineno))
    return whole


def _pair(element: ast.expr) -> Node | None:
    if not isinstance(element, ast.Tuple | ast.List) or len(element.elts) != 2:
        return None
    texts = [one.value for one in element.elts if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return Node(*texts) if len(texts) == 2 else None


def _swappable(element: ast.expr) -> Node | None:
    """Return what `migrations.swappable_dependency(settings.AUTH_USER_MODEL)` depends on."""
    if not isinstance(element, ast.Call) or not ast.unparse(element.func).endswith("swappable_dependency"):
        return None
    if len(element.args) != 1:
        return None
    given = element.args[0]
    model = given.value if isinstance(given, ast.Constant) else None
    if isinstance(given, ast.Attribute):
        model = getattr(settings, given.attr, None)
    return Node(model.split(".", 1)[0], "__first__") if isinstance(model, str) else None
