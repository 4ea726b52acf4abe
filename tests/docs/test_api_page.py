"""docs/api.md: its commands are run against a live server, and print what the page says; its tables are whole."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ops.web import openapi
from tests.billing.conftest import build_shop, run_sql
from tests.docs.curl import curl
from tests.docs.test_schedule_runbooks import console
from tests.ops.shop import ROOT, command
from tests.ops.web.asking import user

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
HOST = "http://127.0.0.1:8000"
MAY = (
    "billing.view_subscription",
    "billing.view_client",
    "billing.view_plan",
    "ops.view_run",
    "billing.view_partner",
    "billing.view_order",
)
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CALLS = [call for block in BLOCKS for call in console(block)]


def seed() -> None:
    """Make what the page is about: kim and a shop."""
    user("kim", *MAY)
    # The page tells ids.
    for table in ("client", "plan", "subscription"):
        run_sql(f"ALTER TABLE billing_{table} ALTER COLUMN id RESTART WITH 1")
    build_shop()


def asked(words: list[str], *, real: bool) -> str:
    if not real:
        return curl(words)
    return subprocess.run(["curl", *words], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.django_db(transaction=True)
def test_its_commands_print_what_it_says(
    live_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real: bool
) -> None:
    if real and shutil.which("curl") is None:
        pytest.skip("There is no curl.")
    monkeypatch.chdir(tmp_path)
    seed()
    known: dict[str, str] = {}
    for line, said in CALLS:
        if made := re.fullmatch(r"\$ (\w+)=\$\(manage\.py (.+)\)", line):
            done = command(*shlex.split(made[2]))
            assert done.code == 0, done.error
            known[made[1]] = done.out.strip()
            continue
        text = line.removeprefix("$ curl ").replace(HOST, live_server.url)
        words = [re.sub(r"\$([A-Z]+)", lambda name: known[name[1]], word) for word in shlex.split(text)]
        printed = asked(words, real=real).replace(live_server.url, HOST).replace("\r", "")
        for expected in said:
            if name := re.fullmatch(r"(\w+): \$([A-Z]+)", expected):
                (known[name[2]],) = re.findall(rf"^{name[1]}: (.+)$", printed, re.MULTILINE)
            else:
                assert expected in printed.splitlines(), f"{line}\n{printed}"
    assert json.loads(Path("openapi.json").read_text())["openapi"] == "3.1.0"


def test_every_command_is_run() -> None:
    assert len(CALLS) == len(re.findall(r"^\$ ", PAGE, re.MULTILINE)) > 10
    assert {line.split()[1].partition("=")[0] for line, _ in CALLS} == {"TOKEN", "curl"}


def test_its_table_is_that_of_the_endpoints() -> None:
    told = dict(re.findall(r"^\| `(/api/[^`]+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE))
    found = {address.replace("{run}", "ID"): endpoint for address, endpoint in openapi.endpoints()}
    reports = {address for address in found if address.startswith("/api/stats/")}
    assert set(told) == {*(set(found) - reports), "/api/stats/NAME/"}
    for address, permissions in told.items():
        if address in found:
            assert tuple(re.findall(r"`([\w.]+)`", permissions)) == found[address].permissions


def test_its_errors_are_those_there_are() -> None:
    told = {
        code
        for codes in re.findall(r"^\| \d{3} \| ((?:`\w+` ?)+) \|", PAGE, re.MULTILINE)
        for code in re.findall(r"\w+", codes)
    }
    sources = "".join(path.read_text() for path in (ROOT / "ops" / "web").glob("api*.py"))
    assert told == set(re.findall(r"\d{3},\s+\"(\w+)\"", sources))
    statuses = {int(status) for status in re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE)}
    assert statuses == {*openapi.WORDS, 405}
