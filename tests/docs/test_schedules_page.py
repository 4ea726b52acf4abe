"""docs/schedules.md does what it says: its declarations are the project's, its commands print what is below them."""

import re
import shlex
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django_celery_beat.models import PeriodicTask

from config import schedules as ours
from ops.clock.policy import MISSED
from ops.clock.schedules import Schedule
from ops.models import MissedSlots
from tests.ops.shop import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")
PIECE = re.compile(r"^<!-- given: ([^\n]+) -->$|^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ manage\.py (.+?)(?:\s+# exit (\d))?$")
CRONTAB = """
30 2 * * * cd /srv/billing && python manage.py reprice --dirty --no-input
0 3 * * * pg_dump billing > /backup/billing.sql
"""


def switched_off(directory: Path) -> None:
    PeriodicTask.objects.filter(name="reprice-nightly").update(enabled=False)


def a_crontab(directory: Path) -> None:
    (directory / "crontab.txt").write_text(CRONTAB)


GIVEN = {"an operator switches reprice-nightly off": switched_off, "a crontab": a_crontab}


def called(*words: str) -> tuple[int, str]:
    """Call a command; return its exit code and what it prints, blanks made one."""
    out, code = StringIO(), 0
    try:
        call_command(*words, stdout=out, stderr=out)
    except CommandError as exc:
        code = exc.returncode
        out.write(str(exc))
    return code, " ".join(out.getvalue().split())


def test_its_declarations_are_those_of_the_project() -> None:
    (text,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    space: dict[str, Any] = {}
    exec(text, space)
    assert {one.name: one.when for one in space["SCHEDULES"]} == {one.name: one.when for one in ours.SCHEDULES}
    assert space["SCHEDULES"][0] == ours.SCHEDULES[0]


def test_it_names_every_field_and_policy_and_table() -> None:
    assert [one.name for one in fields(Schedule) if f"`{one.name}`" not in PAGE] == []
    assert [word for word in MISSED if f'`"{word}"`' not in PAGE] == []
    assert MissedSlots._meta.db_table in PAGE


def test_its_commands_do_what_it_says(tmp_path: Path) -> None:
    ran = 0
    for given, block in PIECE.findall(PAGE):
        if given:
            GIVEN[given](tmp_path)
            continue
        for part in re.split(r"^(?=\$ )", block, flags=re.MULTILINE)[1:]:
            line, *said = part.splitlines()
            match = COMMAND.match(line)
            assert match is not None, line
            words = [str(tmp_path / word) if word == "crontab.txt" else word for word in shlex.split(match[1])]
            code, printed = called(*words)
            assert code == int(match[2] or 0), f"{line}\n{printed}"
            at = 0
            for wanted in said:
                found = printed.find(" ".join(wanted.split()), at)
                assert found >= 0, f"{line}\nsaid to print {wanted!r}, printed:\n{printed}"
                at = found + len(" ".join(wanted.split()))
            ran += 1
    assert ran == len(re.findall(r"^\$ manage\.py ", PAGE, re.MULTILINE)) > 10
