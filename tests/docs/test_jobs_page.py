"""docs/jobs.md does what it says: its files make a Django app, its commands and tests run there.

A block of Python or SQL is a file: the line above it ends with its path (`path`:), or adds to it (`path`, below it:).
A line `$ manage.py ..` of a console block is a command, `# exit N` behind it its exit code; the lines below it must
occur, in this order, in what it prints, whatever space is between their words.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from ops.engine import registry
from ops.engine.jobs import Job, Reconcile
from tests.ops.shop import ROOT, ended, environment, manage

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:`([\w/.]+)`(, below it)?:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GIVEN = re.compile(r"^<!-- given: ([^\n]+) -->$", re.MULTILINE)
COMMAND = re.compile(r"^\$ manage\.py (.+?)(?:\s+# exit (\d))?$")

SETTINGS = """
from tests.settings import *
from tests.settings import INSTALLED_APPS
INSTALLED_APPS = [*INSTALLED_APPS, "library"]
"""
MAKE_TABLE = """
import django
django.setup()
from django.db import connection
from library.models import Loan
with connection.schema_editor() as editor:
    editor.create_model(Loan)
"""
INSERT = "INSERT INTO library_loan (lent, due, returned, fine) VALUES "
ROWS = {
    "three loans, two of them late": "('2026-01-01', '2026-01-15', '2026-01-10', 0), "
    "('2026-01-01', '2026-01-15', '2026-01-25', 0), ('2026-01-20', '2026-02-01', '2026-02-03', 0)",
    "a loan that is not back yet": "('2026-01-01', '2026-01-15', NULL, 0)",
}


def blocks() -> list[tuple[str, str, str, str]]:
    """Return path, whether it is added to, language and text of each block."""
    return BLOCK.findall(PAGE)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Callable[..., "subprocess.CompletedProcess[str]"]]:
    """Make the app of the page and its table; return what runs Python there."""
    (tmp_path / "library_settings.py").write_text(SETTINGS)
    for path, more, language, text in blocks():
        if language == "console":
            continue
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        assert file.exists() == bool(more), path
        with file.open("a") as opened:
            opened.write(f"\n\n{text}" if more else text)
    for directory in ("", "management", "management/commands"):
        (tmp_path / "library" / directory / "__init__.py").touch()

    def python(*words: str) -> "subprocess.CompletedProcess[str]":
        more = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "DJANGO_SETTINGS_MODULE": "library_settings"}
        return subprocess.run(
            [sys.executable, *words], env=environment(**more), cwd=ROOT, capture_output=True, text=True, timeout=300
        )

    try:
        made = python("-c", MAKE_TABLE)
        assert made.returncode == 0, made.stderr
        yield python
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS library_loan")


def test_every_block_is_a_file_or_a_console() -> None:
    found = blocks()
    assert PAGE.count("\n```") == 2 * len(found)
    assert [text for path, _, language, text in found if (language == "console") == bool(path)] == []
    assert {language for _, _, language, _ in found} == {"python", "sql", "console"}
    assert set(GIVEN.findall(PAGE)) == set(ROWS)
    lines = [line for _, _, language, text in found if language == "console" for line in text.splitlines()]
    commands = [line for line in lines if line.startswith("$")]
    assert len(commands) > 8
    assert [line for line in commands if not COMMAND.match(line)] == []


def test_the_example_has_fewer_than_fifteen_lines() -> None:
    text = next(text for path, more, _, text in blocks() if path == "library/jobs.py" and not more)
    assert len([line for line in text.splitlines() if line.strip()]) < 15


def test_the_page_names_only_what_there_is() -> None:
    attributes = {name for name in re.findall(r"^\| `(\w+)(?: = |\()", PAGE, re.MULTILINE) if name != "run_job"}
    assert len(attributes) > 10
    assert {name for name in attributes if not hasattr(Job, name)} == set()
    # What a job can say is all on the page; the rest is the engine's view of it.
    own = {name for name in vars(Job) if not name.startswith("_")} | {"wanted"}
    engine = {
        *("reading", "takes_range", "hold_name", "label_names", "statements", "digest", "key_fields"),
        *("column_fields", "check", "reconciles", "bind", "shell_only", "carrier", "close", "ended", "verifies"),
        "reverts_itself",
    }
    assert sorted(name for name in own - engine if not re.search(rf"`{name}\b", PAGE)) == []
    assert issubclass(Reconcile, Job)
    assert set(re.findall(r"`(shelf\.\w+|billing\.\w+|ops\.backfill)`", PAGE)) <= set(registry.names())


def test_its_commands_do_what_it_says(
    library: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    # Empty tables whose keys begin at 1: the page says which run it means.
    call_command("flush", interactive=False, verbosity=0)
    paths = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "DJANGO_SETTINGS_MODULE": "library_settings"}
    ran = 0
    for piece in re.finditer(f"{GIVEN.pattern}|^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        if piece[1]:
            with connection.cursor() as cursor:
                cursor.execute(INSERT + ROWS[piece[1]])
            continue
        for part in re.split(r"^(?=\$ )", piece[2], flags=re.MULTILINE)[1:]:
            line, *said = part.splitlines()
            match = COMMAND.match(line)
            assert match is not None
            code, out, err = ended(manage(*shlex.split(match[1]), **paths))
            printed = " ".join(f"{err}{out}".split())
            assert code == int(match[2] or 0), f"{line}\n{printed}"
            at = 0
            for words in said:
                found = printed.find(" ".join(words.split()), at)
                assert found >= 0, f"{line}\nsaid to print {words!r}, printed:\n{printed}"
                at = found + len(words)
            ran += 1
    assert ran == len(re.findall(r"^\$ manage\.py ", PAGE, re.MULTILINE))


def test_its_tests_pass_and_notice_a_wrong_statement(
    library: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    run = ("-c", "import django; django.setup(); import unittest; unittest.main('library.test_fines')")
    done = library(*run)
    assert (done.returncode, "Ran 3 tests" in done.stderr) == (0, True), done.stderr
    statement = tmp_path / "library" / "sql" / "list_fines.sql"
    text = statement.read_text()
    assert text.count(" - l.due, 0)") == 1
    statement.write_text(text.replace(" - l.due, 0)", " - l.due - 1, 0)"))
    done = library(*run)
    assert (done.returncode, "library.charge_fines does not match the reference" in done.stderr) == (1, True)
