"""docs/loading.md does what it says: its files are made, its commands and its Python run, in their order.

A block of CSV is a file: the line above it ends with its name (`name`:). In a console block a line `$ manage.py ..` is
a command, `< FILE` behind it its standard input and `# exit N` its exit code; `$ printf ..` and `$ sed ..` are the
shell's. The lines below a command must occur, in this order, in what it prints, whatever space and rules are between
their words. In a block of Python an expression with a comment behind it must have the value that the comment says.
`<!-- given: .. -->` names what happens meanwhile.
"""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from ops.load.form import UpsertForm
from ops.load.plan import COUNTS, LoadPlan
from tests.ops.shop import ROOT, command

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (ROOT / "docs" / "loading.md").read_text(encoding="utf-8")
LOAD = ROOT / "ops" / "load"
PIECE = re.compile(
    r"^<!-- given: (?P<given>[^\n]+) -->$"
    r"|(?:`(?P<file>[\w.]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMAND = re.compile(r"^\$ (?P<words>.+?)(?: < (?P<input>[\w.]+))?(?:\s+# exit (?P<code>\d))?$")


def words(text: str) -> str:
    """Return a text with one blank where there is space or a rule of a table."""
    return " ".join(text.replace("─", " ").split())


def run_line(line: str, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one command of a page and hold it against what the page says of it."""
    match = COMMAND.match(line)
    assert match is not None, line
    if not match["words"].startswith("manage.py "):
        assert match["words"].split()[0] in ("printf", "sed", "gzip"), line
        subprocess.run(match["words"], shell=True, check=True)
        return
    with Path(match["input"] or "/dev/null").open() as given, monkeypatch.context() as patched:
        patched.setattr(sys, "stdin", given)
        done = command(*shlex.split(match["words"])[1:])
    printed = words(f"{done.err}{done.out}{done.error}")
    assert done.code == int(match["code"] or 0), f"{line}\n{printed}"
    at = 0
    for expected in map(words, said):
        found = printed.find(expected, at)
        assert found >= 0, f"{line}\nsaid to print {expected!r}, printed:\n{printed}"
        at = found + len(expected)


def run_python(text: str, names: dict[str, Any]) -> int:
    """Run a block of Python; return how many of its expressions were held against their comments."""
    lines, held = text.splitlines(), 0
    for statement in ast.parse(text).body:
        source = ast.unparse(statement)
        if not isinstance(statement, ast.Expr):
            exec(source, names)
            continue
        _, sign, comment = lines[(statement.end_lineno or 0) - 1].partition("  # ")
        assert sign, source
        assert repr(eval(source, names)) == comment, source
        held += 1
    return held


def console(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a console block with the lines that it is said to print."""
    assert text.startswith("$ "), text
    for part in re.split(r"^(?=\$ )", text, flags=re.MULTILINE)[1:]:
        line, *said = part.splitlines()
        yield line, said


def run_page(
    page: str, directory: Path, monkeypatch: pytest.MonkeyPatch, given: Mapping[str, Callable[[], None]]
) -> int:
    """Do all that a page does, on empty tables whose keys begin at 1; return how many commands and values were held."""
    call_command("flush", interactive=False, verbosity=0)
    monkeypatch.chdir(directory)
    held, names = 0, dict[str, Any]()
    for piece in PIECE.finditer(page):
        if piece["given"]:
            given[piece["given"]]()
        elif piece["language"] == "csv":
            (directory / piece["file"]).write_text(piece["text"], encoding="utf-8")
        elif piece["language"] == "python":
            held += run_python(piece["text"], names)
        elif piece["language"] == "console":
            for line, said in console(piece["text"]):
                run_line(line, said, monkeypatch)
                held += 1
    return held


def commands(page: str) -> list[str]:
    """Return the lines of a page that are commands, wherever they stand."""
    return re.findall(r"^\$ .*$", page, re.MULTILINE)


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = run_page(PAGE, tmp_path, monkeypatch, {})
    assert held > len(commands(PAGE)) + 10


def test_every_block_is_a_file_a_console_or_python() -> None:
    found = list(PIECE.finditer(PAGE))
    assert PAGE.count("\n```") == 2 * len(found)
    assert {one["language"] for one in found} == {"csv", "console", "python"}
    assert [one["text"] for one in found if (one["language"] == "csv") != bool(one["file"])] == []
    texts = "".join(one["text"] for one in found if one["language"] == "console")
    assert commands(texts) == commands(PAGE)


def test_the_page_tells_every_option_and_no_other() -> None:
    told = {option for option in re.findall(r"--[a-z][a-z-]*", PAGE) if not option.endswith("-")}
    own = {f"--{name.replace('_', '-')}" for name in UpsertForm.base_fields} - {"--model", "--file"}
    assert own - told == set()
    parser = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "upsert", "--help"], capture_output=True, text=True, check=True
    )
    assert told - set(re.findall(r"--[a-z][a-z-]*", parser.stdout)) == {"--kind", "--limit", "--output"}


def test_the_page_tells_every_reason_that_there_is() -> None:
    """Reasons are found by the exceptions and calls that carry them, in the code that makes them."""
    made: set[str] = set()
    for path in LOAD.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if name in ("Rule", "_rule_of", "_Malformed", "_BadRow", "BadValue"):
                made |= {_text(arg) for arg in call.args if isinstance(arg, ast.Constant | ast.JoinedStr)}
    # Not what is no reason of its own: names of columns, continuations, and what is said of a header.
    reasons = {_begin(text) for text in made if not text.startswith(("{}", " ", "it is"))} - {""}
    table = PAGE[PAGE.index("| reason | found |") : PAGE.index("### Lines and quotes")]
    known = {_begin(found) for found in re.findall(r"`([^`]+)`", table)} - {""}
    assert len(reasons) > 12
    assert {one for one in reasons if not any(one.startswith(each) for each in known)} == set()


def _text(node: ast.expr) -> str:
    """Return a literal's text, with {} for what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    assert isinstance(node, ast.JoinedStr)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def _begin(text: str) -> str:
    """Return the words that a reason begins with, before what differs from one to the next."""
    return re.split(r"\{\}|\.\.|\(|\bN\b|NAME|:", text)[0].strip()


def test_the_page_tells_the_keys_of_the_outcome() -> None:
    keys = set(re.findall(r"`(\w+)`", PAGE[PAGE.index("| key | of `--json` |") : PAGE.index("## Bad records")]))
    own = {*COUNTS, "target", "key", "differing", "samples", "reasons", "notes"}
    assert own <= LoadPlan().as_json().keys()
    assert keys - {"json", "line"} == own | {"run", "job", "state", "changed"}
