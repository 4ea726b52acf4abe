"""What a migration's file imports, followed through files without importing anything.

The usual trouble: a migration imports a function that has since been taken out of models.py. Only what the module does
at its top is looked at, outside of `try`; what is not known (a star import, a module that is no file) is passed over.
"""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from sys import builtin_module_names, stdlib_module_names


def missing(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Yield line and words for each import of a module that can't work; `package` is that of the module."""
    plain: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            for one in statement.names:
                if one.asname is None:
                    plain.add(one.name)
                if (words := _absent(one.name)) is not None:
                    yield statement.lineno, words
        elif isinstance(statement, ast.ImportFrom):
            yield from ((statement.lineno, words) for words in _from(statement, package))
    yield from _attributes(tree, plain)


def _from(statement: ast.ImportFrom, package: str) -> Iterator[str]:
    module = _absolute(statement, package)
    if (words := _absent(module)) is not None:
        yield words
        return
    for one in statement.names:
        if one.name != "*" and not _has(module, one.name):
            yield f"imports {one.name!r} from {module}, where there is no such name"


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    if not statement.level:
        return statement.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - statement.level + 1]
    return ".".join([*base, *([statement.module] if statement.module else [])])


def _attributes(tree: ast.Module, plain: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the uses of `import shop.models` outside of functions that name what is not there."""
    seen: set[str] = set()
    for node in _eager(tree):
        if not isinstance(node, ast.Attribute):
            continue
        dotted = ast.unparse(node)
        for module in plain:
            rest = dotted.removeprefix(module + ".")
            if rest == dotted or not rest.isidentifier() or dotted in seen:
                continue
            seen.add(dotted)
            if _absent(module) is None and not _has(module, rest):
                yield node.lineno, f"uses {dotted}, and {module} has no such name"


def _eager(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs when the module is imported: not the bodies of functions."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Try):
            yield child
            yield from _eager(child)


def _absent(module: str) -> str | None:
    top = module.split(".", maxsplit=1)[0]
    if not module or top in stdlib_module_names or top in builtin_module_names:
        return None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        parent = _spec(name.rpartition(".")[0]) if end > 1 else None
        if parent is not None and _unknowable(parent):
            return None
        if _spec(name) is None:
            return f"imports {module}, and there is no module {name}"
    return None


def _has(module: str, name: str) -> bool:
    """Return whether a module has a name, or may have it."""
    if module.split(".", maxsplit=1)[0] in stdlib_module_names:
        return True
    spec = _spec(module)
    if spec is None or _unknowable(spec) or _spec(f"{module}.{name}") is not None:
        return True
    defined = _names(Path(str(spec.origin)))
    return defined is None or name in defined


@cache
def _spec(module: str) -> ModuleSpec | None:
    parent, _, _ = module.rpartition(".")
    if not parent:
        return PathFinder.find_spec(module)
    above = _spec(parent)
    if above is None or above.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(module, list(above.submodule_search_locations))


def _unknowable(spec: ModuleSpec) -> bool:
    """Return whether what is in a module can't be read from a file: a namespace, an extension, an editable install."""
    return spec.origin is None or not spec.origin.endswith(".py")


@cache
def _names(path: Path) -> frozenset[str] | None:
    """Return the names that a module's file gives itself; None where that can't be told."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    found: set[str] = set()
    for node in _module_level(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(one.asname or one.name).split(".")[0] for one in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"globals", "vars", "setattr"}:
            return None
    # A module that makes its names as they are asked for, or takes all of another's, can't be told.
    return None if found & {"*", "__getattr__"} else frozenset(found)


def _module_level(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a module without going into functions and classes: what they define is not the module's."""
    for child in ast.iter_child_nodes(tree):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _module_level(child)
