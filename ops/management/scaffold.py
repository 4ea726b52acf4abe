"""Write the beginnings of a job: a registered class, statements that change nothing yet, and a test to complete.

All is composed and checked before the first file is written, and no file that is there loses a line.
"""

import ast
import keyword
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from django.apps import AppConfig, apps
from django.db.models import Field, Model

from ops import sql
from ops.engine import registry
from ops.engine.jobs import column_of

# What can't be a name without quotes: https://www.postgresql.org/docs/18/sql-keywords-appendix.html
_WORDS = (
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation "
    "column concurrently constraint create cross current_catalog current_date current_role current_schema current_time "
    "current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze "
    "from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like "
    "limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary "
    "references returning right select session_user similar some symmetric system_user table tablesample then to "
    "trailing true union unique user using variadic verbose when where window with"
)
RESERVED = frozenset(_WORDS.split())

RECONCILE = Template('''
@register
class $class_name(Reconcile):
    """Bring the $columns_said of $rows in line: say with what, in one sentence."""

    name = "$name"
    target = $model
    wanted = "$wanted"
    columns = $columns
''')

OWN = Template('''
@register
class $class_name(Job):
    """Write the $columns_said of $rows: say what, in one sentence."""

    name = "$name"
    target = $model
    rows = "$wanted"
    batch = "$batch"
    columns = $columns
''')

WANTED = Template("""\
-- The $columns_said that $rows ought to have.
-- So far what they have, so that nothing differs: say here what it ought to be.
-- returns: $returns
SELECT
    $outputs
FROM $table AS t
""")

ROWS = Template("""\
-- The $rows to work on.
-- So far none: say here which.
-- returns: $returns
SELECT
    $outputs
FROM $table AS t
WHERE false
""")

BATCH = Template("""\
-- Write the $columns_said of the $rows of one batch.
-- So far what they have: say here what instead. b has before_<column> for each column of the job.
UPDATE $table AS t
SET
    $sets
FROM pg_temp.ops_batch AS b
WHERE $match
""")

TEST = Template('''\
"""The job $name against plain Python$and_replay, and under kills."""

from typing import Any
from unittest import skip

from django.test import TransactionTestCase

from $app.jobs import $class_name
from $model_module import $model
from ops.testing import $imports


def reference(row: $model) -> dict[str, Any] | None:
    """Say what the job ought to write into a row that was so: {"column": value}, or None for nothing."""
    return None


@skip("Make rows in setUp and say in reference what becomes of them; then take this line away.")
class ${class_name}Tests(TransactionTestCase):
    def setUp(self) -> None:
        """Make some rows that the job ought to change, and one that it ought to leave alone."""

    def test_rows_end_as_the_reference_says(self) -> None:
        assert_matches_reference($class_name, reference)
$replay
    def test_a_kill_repeats_nothing_and_loses_nothing(self) -> None:
        assert_exactly_once($class_name, reference=reference)
''')

REPLAY = Template("""
    def test_a_replay_changes_nothing(self) -> None:
        assert_replay_is_noop($class_name)
""")


class Unknown(Exception):
    """There is no such app, model or column, or the name is none for a job."""


class Taken(Exception):
    """A job, class or file of that name is there already."""


@dataclass
class Scaffold:
    """The files of a new job, composed and not yet written."""

    name: str
    jobs: Path
    text: str
    files: dict[Path, str] = field(default_factory=dict)

    def write(self) -> None:
        """Write all files; raise Taken, having written none, where one of them is there."""
        for path in self.files:
            if path.exists():
                raise Taken(f"{_shown(path)} is there already: move it, or give the job another name.")
        for path, text in self.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "x", encoding="utf-8") as file:
                file.write(text)
        # Last, so that no job is registered whose statement is missing.
        with open(self.jobs, "w", encoding="utf-8", newline="") as file:
            file.write(self.text)

    def told(self) -> list[str]:
        """Return what was written and what comes next."""
        statement = next(path for path in self.files if path.suffix == ".sql")
        seen = f"'manage.py run_job {self.name} --dry-run'"
        return [
            *(f"Wrote {_shown(path)}" for path in (self.jobs, *self.files)),
            f"Next: say in {_shown(statement)} what ought to be, then see it with {seen}.",
        ]


def make(name: str, model_label: str | None, columns: Sequence[str], *, own_statement: bool) -> Scaffold:
    """Compose the files of a job; raise Unknown or Taken."""
    label, short = _split(name)
    app = _app(label)
    model = _model(app, model_label)
    fields = _fields(model, columns)
    class_name = "".join(word.capitalize() for word in short.split("_") if word)
    if name in registry.names():
        raise Taken(f"There is a job {name!r} already: 'manage.py jobs' lists them.")
    statements = sql.ROOT / label if (sql.ROOT / label).is_dir() else Path(app.path) / "sql"
    verb, _, rest = short.partition("_")
    rows = rest or str(model._meta.model_name)
    wanted = _free(statements, f"list_{rows}.sql", f"list_{short}.sql")
    batch = _free(statements, f"{verb}_{rows}.sql", f"write_{short}.sql")
    table = _quoted(model._meta.db_table)
    keys = [column_of(key) for key in model._meta.pk_fields]
    outputs = [f"t.{_quoted(key, qualified=True)}" for key in keys]
    pairs = [(each, f"t.{_quoted(column_of(each), qualified=True)}") for each in fields]
    words = {
        "name": name,
        "class_name": class_name,
        "model": model.__name__,
        "model_module": model.__module__,
        "app": app.name,
        "rows": str(model._meta.verbose_name_plural),
        "columns": f"({', '.join(repr(each.name) for each in fields)},)".replace("'", '"'),
        "columns_said": ", ".join(each.name for each in fields),
        "wanted": f"{label}/{wanted.name}",
        "batch": f"{label}/{batch.name}",
        "table": table,
    }
    if len(fields) > 1:
        words["columns"] = words["columns"].replace(",)", ")")
    base = "Job" if own_statement else "Reconcile"
    made = Scaffold(
        name,
        Path(app.path) / "jobs.py",
        _with_class(
            Path(app.path) / "jobs.py",
            label,
            class_name,
            [(model.__module__, model.__name__), ("ops.engine.jobs", base), ("ops.engine.registry", "register")],
            (OWN if own_statement else RECONCILE).substitute(words),
        ),
    )
    if own_statement:
        made.files[batch] = BATCH.substitute(
            words,
            sets=",\n    ".join(f"{_quoted(column_of(each))} = {value}" for each, value in pairs),
            match=" AND ".join(f"{key} = b{key[1:]}" for key in outputs),
        )
        made.files[wanted] = ROWS.substitute(words, returns=", ".join(keys), outputs=", ".join(outputs))
    else:
        outputs += [
            value if column_of(each) == each.name else f"{value} AS {_quoted(each.name, qualified=True)}"
            for each, value in pairs
        ]
        returns = ", ".join([*keys, *(each.name for each in fields)])
        made.files[wanted] = WANTED.substitute(words, returns=returns, outputs=", ".join(outputs))
    tests = Path(app.path) / "tests"
    test = tests / f"test_{short}_job.py" if (tests / "__init__.py").exists() else tests.parent / f"test_{short}_job.py"
    imports = ["assert_exactly_once", "assert_matches_reference", *([] if own_statement else ["assert_replay_is_noop"])]
    made.files[test] = TEST.substitute(
        words,
        imports=", ".join(imports),
        replay="" if own_statement else REPLAY.substitute(words),
        and_replay="" if own_statement else ", replayed",
    )
    return made


def _split(name: str) -> tuple[str, str]:
    label, _, short = name.partition(".")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", short) or keyword.iskeyword(short):
        raise Unknown(f"{name!r} is no name for a job: write APP.NAME, such as billing.renew_licences.")
    if len(name) > 100:
        raise Unknown(f"{name!r} is too long for a job's name: 100 letters are the most.")
    return label, short


def _app(label: str) -> AppConfig:
    if label == "ops" or label not in apps.app_configs:
        known = ", ".join(sorted(set(apps.app_configs) - {"ops"}))
        raise Unknown(f"There is no app {label!r} of your own in INSTALLED_APPS; there is: {known}.")
    return apps.get_app_config(label)


def _model(app: AppConfig, label: str | None) -> type[Model]:
    if label is None:
        own = [model for model in app.get_models() if not model._meta.proxy]
        if len(own) != 1:
            which = ", ".join(model._meta.label for model in own) or "none"
            raise Unknown(f"Say whose rows the job writes: --model APP.MODEL ({app.label} has {which}).")
        return own[0]
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as exc:
        raise Unknown(f"There is no model {label!r}: write it as app.Model.") from exc


def _fields(model: type[Model], columns: Sequence[str]) -> list["Field[object, object]"]:
    """Return the fields of the columns, or the first that a job may write."""
    writable = {
        each.name: each
        for each in model._meta.local_concrete_fields
        if each not in model._meta.pk_fields and not each.generated
    }
    if strange := [name for name in columns if name not in writable]:
        known = ", ".join(writable) or "none"
        raise Unknown(f"{model._meta.label} has no column {strange[0]!r} that a job may write; there is: {known}.")
    if not writable:
        raise Unknown(f"{model._meta.label} has no column beside its key, so a job has nothing to write.")
    return [writable[name] for name in columns or [next(iter(writable))]]


def _free(directory: Path, *names: str) -> Path:
    """Return the first path that is free, else the last."""
    return next((directory / name for name in names if not (directory / name).exists()), directory / names[-1])


def _quoted(name: str, *, qualified: bool = False) -> str:
    """Return a name as SQL takes it, quoted only where it must be: behind a dot or AS, a reserved word needs none."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and (qualified or name not in RESERVED)
    if plain:
        return name
    # Braces and percent signs are doubled for the loader and the driver.
    escaped = name.replace('"', '""').replace("{", "{{").replace("}", "}}").replace("%", "%%")
    return f'"{escaped}"'


def _with_class(path: Path, label: str, class_name: str, imports: Iterable[tuple[str, str]], text: str) -> str:
    """Return the text of jobs.py with a class more, and with the imports that it lacks."""
    if path.with_suffix("").is_dir():
        raise Taken(f"{_shown(path.with_suffix(''))} is a package: write the job into one of its modules by hand.")
    old = path.read_bytes().decode() if path.exists() else f'"""Jobs of {label}."""\n'
    end = "\r\n" if "\r\n" in old else "\n"
    lines = old.replace("\r\n", "\n").splitlines()
    tree = ast.parse(old)
    bound = dict(_bound(tree))
    if class_name in bound:
        raise Taken(f"{_shown(path)} has a {class_name!r} already: give the job another name.")
    missing = []
    for module, name in imports:
        if name in bound and bound[name] != f"{module}.{name}":
            raise Taken(
                f"In {_shown(path)}, {name!r} is something else than that of {module}: import one of them under "
                "another name, then start this again."
            )
        if name not in bound:
            missing.append((module, name))
    found = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    docstring = [node for node in tree.body[:1] if ast.get_docstring(tree) is not None]
    after = max((node.end_lineno or 0 for node in found or docstring), default=0)
    new = []
    for module, name in missing:
        beside = [n for n, line in enumerate(lines) if re.fullmatch(rf"from {re.escape(module)} import [\w, ]+", line)]
        if beside:
            head, names = lines[beside[0]].split(" import ")
            lines[beside[0]] = f"{head} import {', '.join(sorted([*names.split(', '), name]))}"
        else:
            new.append(f"from {module} import {name}")
    if new:
        lines[after:after] = new if found or not after else ["", *new]
    while lines and not lines[-1].strip():
        lines.pop()
    # The template begins with an empty line; two stand above a class.
    return end.join([*lines, "", *text.rstrip("\n").split("\n"), ""])


def _bound(tree: ast.Module) -> Iterable[tuple[str, str]]:
    """Yield each name that a module binds at its top, with where it comes from."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name.partition(".")[0], alias.name) for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name, ""
        elif isinstance(node, ast.Assign):
            yield from ((target.id, "") for target in node.targets if isinstance(target, ast.Name))


def _shown(path: Path) -> str:
    """Return a path as short as it can be said from where the command was started."""
    here = os.path.relpath(path)
    return str(path) if here.startswith("..") else here
