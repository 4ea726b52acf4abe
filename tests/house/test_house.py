"""Rules of the house that a machine can check."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {
    "ops",
    "billing",
    "sql",
    "config",
    "tests",
    "docs",
    "bench",
    "manage.py",
    "Procfile",
    "Makefile",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "requirements.in",
    "requirements.txt",
    "requirements-dev.in",
    "requirements-dev.txt",
}
# What tools leave behind; ignored by git.
LEFT_BEHIND = {"build", "dist"}
STATEMENT = re.compile(
    r"\s*(SELECT\s.*\bFROM\b|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|WITH\s+\w+\s+AS|TRUNCATE\s|COPY\s+\S+\s|"
    r"(CREATE|DROP|ALTER)\s+(OR\s+REPLACE\s+)?(TEMP\w*\s+|UNLOGGED\s+|UNIQUE\s+)?"
    r"(TABLE|INDEX|VIEW|FUNCTION|TRIGGER|DATABASE|ROLE|SCHEMA|TYPE|SEQUENCE)\b)",
    re.DOTALL,
)
SQL_ALLOWED = {
    "ops/cache/versions.py": "composes the reading of versions around the names of tables",
    "ops/cache/triggers.py": "composes triggers, which take their arguments as names",
    "ops/drift/history_findings_table.py": "composes what mends django_migrations, whatever its schema and sequence",
    "ops/drift/making.py": "composes the statements that make any object of a catalogue again",
    "ops/drift/making_tables.py": "composes tables and columns from their attributes",
    "ops/drift/measuring.py": "composes what counts rows, around names and expressions of the catalogue",
    "ops/drift/mending.py": "composes the steps of a repair around the names of a catalogue",
    "ops/drift/mending_columns.py": "composes the steps that mend a column",
    "ops/drift/mending_constraints.py": "composes the steps that mend a constraint",
    "ops/drift/mending_indexes.py": "composes the steps that mend an index",
    "ops/drift/mending_work.py": "composes the helper constraints of a repair",
    "ops/drift/model.py": "tells changes of history as the statements that they come to",
    "ops/drift/schema_findings_extras.py": "tells the operator how to take away what a repair has kept",
    "ops/drift/schema_findings_renames.py": "composes the renaming back of what was renamed by hand",
    "ops/drift/scratch.py": "makes and drops the scratch database, like the real one in encoding and locale",
    "ops/drift/stepping.py": "matches and takes away the index that a step of its own left",
    "ops/drift/undoing.py": "knows by its text what would drop a table, and asks for rows before",
    "ops/engine/batches.py": "composes what writes a batch and its changeset, typed by the job's target",
    "ops/engine/compiler.py": "composes what reads a job's rows around its own SELECT",
    "ops/engine/shape.py": "composes what divides a target by its key, whatever that is",
    "ops/engine/staging.py": "composes the temporary tables of a job around its own SELECTs",
    "ops/engine/unpacking.py": "composes what reads and takes back changesets, typed by the job's target",
    "ops/load/compiler.py": "composes the rules that records are held against, typed by the target",
    "ops/load/filling.py": "composes what writes rejects and the merge table, typed by the target",
    "ops/load/merging.py": "composes what merges a range of a load and keeps it, typed by the target",
    "ops/load/single.py": "composes the upsert of one row, typed by the target",
    "ops/reports/advising.py": "composes the index that a report lacks, and the view that tells which columns it reads",
    "ops/reports/compiler.py": "composes the one statement of a report, from its declaration",
    "ops/reports/rollup_compiler.py": "composes what keeps the sums of a report and holds them against its source",
    "ops/reports/rollup_reading.py": "composes what answers a report from its sums, and from what was touched",
    "ops/reports/trying.py": "makes a report's statement a view for a moment, to see what it reads",
    "config/embedded/servers.py": "creates the database in which everything else happens",
}
CLOCKS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("timezone", "now"),
    ("timezone", "localdate"),
    ("timezone", "localtime"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "monotonic"),
    ("time", "monotonic_ns"),
    ("time", "perf_counter"),
}


def python_files(*directories: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield each Python file's path from the top and its syntax tree; migrations excepted."""
    for directory in directories:
        for path in sorted((ROOT / directory).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def docstrings(tree: ast.Module) -> set[int]:
    """Return the ids of the constants that are docstrings, or strings that stand alone."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def test_the_top_level_is_fixed() -> None:
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - LEFT_BEHIND
    found = {name for name in found if not name.endswith(".egg-info")}
    assert found - TOP_LEVEL == set()
    assert TOP_LEVEL - found == set()


def test_files_are_one_idea_long() -> None:
    long = [
        path.relative_to(ROOT).as_posix()
        for directory in ("ops", "billing", "config", "sql", "tests", "bench")
        for path in (ROOT / directory).rglob("*")
        if path.suffix in (".py", ".sql") and "migrations" not in path.parts
        if len(path.read_text(encoding="utf-8").splitlines()) > 400
    ]
    assert long == []


def test_commands_are_thin() -> None:
    thick = [
        path.relative_to(ROOT).as_posix()
        for app in ("ops", "billing")
        for path in (ROOT / app / "management" / "commands").glob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > 40
    ]
    assert thick == []


def test_ops_imports_nothing_of_the_project() -> None:
    wrong = [
        (path, name)
        for path, tree in python_files("ops")
        for name in imports(tree)
        if name.split(".")[0] in ("billing", "config", "tests")
    ]
    assert wrong == []


def test_billing_imports_nothing_of_config() -> None:
    wrong = [
        (path, name)
        for path, tree in python_files("billing")
        for name in imports(tree)
        if name.split(".")[0] == "config"
    ]
    assert wrong == []


def test_sql_is_in_sql() -> None:
    found = {
        path
        for path, tree in python_files("ops", "billing", "config")
        for alone in [docstrings(tree)]
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone
        if STATEMENT.match(node.value)
    }
    assert found == set(SQL_ALLOWED)


def test_only_the_clock_reads_the_clock() -> None:
    wrong = []
    for path, tree in python_files("ops", "billing"):
        if path.startswith("ops/clock/"):
            continue
        # timezone.localtime(instant) converts; only without an instant it reads the clock.
        converting = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                if node.attr == "localtime" and id(node) in converting:
                    continue
                value = node.value
                owner = (
                    value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""
                )
                if (owner, node.attr) in CLOCKS:
                    wrong.append(f"{path}:{node.lineno} {owner}.{node.attr}")
            elif isinstance(node, ast.ImportFrom):
                module = (node.module or "").split(".")[-1]
                wrong += [f"{path}:{node.lineno} {module}.{a.name}" for a in node.names if (module, a.name) in CLOCKS]
    assert wrong == []


def test_only_settings_reads_the_environment() -> None:
    reads = {
        path
        for path, tree in python_files("ops", "billing", "config")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        if ast.unparse(node.func) in ("os.getenv", "os.environ.get")
    }
    # servers.py passes PATH on, and nothing else, to the programs it starts.
    assert reads == {"config/embedded/servers.py"}


def asserts(function: ast.FunctionDef, helpers: set[str]) -> bool:
    """Say whether a test can fail for a reason of its own: it asserts, or calls a helper of the tests that does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            last = name.split(".")[-1]
            if name in ("pytest.raises", "pytest.fail", "pytest.warns") or name in helpers:
                return True
            if last.startswith(("assert", "django_assert")):
                return True
    return False


def test_every_test_asserts_something() -> None:
    functions = [
        (path, node)
        for path, tree in python_files("tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    helpers: set[str] = set()
    # A helper may assert by way of another one.
    while (more := {function.name for _, function in functions if asserts(function, helpers)}) != helpers:
        helpers = more
    idle = [
        f"{path}:{function.lineno} {function.name}"
        for path, function in functions
        if function.name.startswith("test_") and not asserts(function, helpers)
    ]
    assert idle == []


def test_no_assertion_is_a_list() -> None:
    always_true = [
        f"{path}:{node.lineno}"
        for path, tree in python_files("ops", "billing", "config", "tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
        and isinstance(node.test, ast.List | ast.ListComp | ast.Tuple | ast.GeneratorExp)
    ]
    assert always_true == []


def test_every_module_states_its_promise() -> None:
    silent = [
        path
        for path, tree in python_files("ops", "billing", "config", "bench")
        if tree.body and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_suppressions_carry_their_reason() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for directory in ("ops", "billing", "config", "tests", "bench")
        for path in sorted((ROOT / directory).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"#\s*(noqa|type:\s*ignore)", line)
        if not re.search(r"#\s*(noqa: ?[A-Z0-9, ]+|type: ?ignore\[[a-z, -]+\])\s*(-|#)\s*\S", line)
        if "re.search" not in line
    ]
    assert bare == []


def test_pins_are_exact_and_hashed() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text()
        pins = re.findall(r"^[a-z0-9][^ ]*", text, re.MULTILINE)
        assert pins
        assert [pin for pin in pins if "==" not in pin] == []
        assert len(re.findall(r"^\S+==.*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(pins)
        assert not re.search(r"https?://|--find-links|--index-url", text)


def test_development_pins_agree_with_those_of_production() -> None:
    pins = [
        set(re.findall(r"^[a-z0-9][^ ]*==\S+", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.txt", "requirements-dev.txt")
    ]
    assert pins[0] <= pins[1]


def test_the_wheel_holds_every_package_of_ops() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "ops").rglob("*.py")}
    assert sorted(stated) == sorted(found | {"ops._sql.ops"})


@pytest.mark.django_db
def test_models_and_migrations_agree() -> None:
    try:
        call_command("makemigrations", check=True, dry_run=True, verbosity=1)
    except SystemExit as exc:
        pytest.fail(f"makemigrations --check ended with {exc.code}: a migration is missing.")
    assert connection.vendor == "postgresql"


@pytest.mark.smoke
@pytest.mark.django_db
def test_the_suite_runs_on_the_server_it_was_asked_for() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        (number,) = cursor.fetchone()
    if not os.environ["DATABASE_URL"] and not os.environ["DB_HOST"]:
        assert int(number) // 10000 == int(os.environ["SETWISE_PG"])
    assert int(number) >= 150000


HELP = """
import sys
from django.core.management import execute_from_command_line
for name in sys.argv[1:]:
    try:
        execute_from_command_line(["manage.py", name, "--help"])
    except SystemExit as ended:
        assert not ended.code, name
"""


def test_help_of_every_command_needs_no_server() -> None:
    commands = [
        path.stem
        for app in ("ops", "billing")
        for path in sorted((ROOT / app / "management" / "commands").glob("[a-z]*.py"))
    ]
    # In one process: the start of each is a second.
    done = subprocess.run(
        [sys.executable, "-c", HELP, *commands],
        cwd=ROOT,
        env={**os.environ, "SETWISE_EMBEDDED": "never-started"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\nusage: ") + done.stdout.startswith("usage: ") == len(commands)
    assert not list((ROOT / ".setwise").glob("never-started*"))
