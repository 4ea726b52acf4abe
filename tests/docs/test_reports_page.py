"""docs/reports.md does what it says: its declarations compile, its commands print what is below them."""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.models import Currency, InvoiceLine, Upload
from config import schedules as ours
from ops import reports
from ops.models import ReportResult, Run
from ops.reports import declaring, registry, windows
from ops.reports.advising import INCLUDED
from tests.ops.shop import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
PIECE = re.compile(r"^<!-- given: ([^\n]+) -->$|^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ manage\.py (.+?)(?:\s+# exit (\d))?$")
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def three_uploads() -> None:
    for day, size in ((20, 100), (19, 2_000_000_000)):
        Upload.objects.create(name="a", size=size, uploaded_at=datetime(2026, 5, day, 1, tzinfo=UTC))
    Upload.objects.create(name="a", size=7, uploaded_at=datetime(2026, 4, 10, tzinfo=UTC))


def three_sales() -> None:
    for code, units in (("KRW", 0), ("USD", 2)):
        Currency.objects.get_or_create(code=code, defaults={"minor_units": units})
    found = [("Korea", "KRW", 2, "10000"), ("Japan", "KRW", -1, "5000"), ("Korea", "USD", 1, "12.50")]
    for number, (country, currency, quantity, price) in enumerate(found):
        InvoiceLine.objects.create(
            invoice=str(number),
            stock_code="a",
            price=Decimal(price),
            quantity=quantity,
            invoiced_at=datetime(2026, 5, 3, tzinfo=UTC),
            customer="1",
            country=country,
            currency_id=currency,
        )


GIVEN = {"three uploads": three_uploads, "three sales": three_sales}


@pytest.fixture
def space() -> Iterator[dict[str, Any]]:
    """Execute the declaration of the page."""
    made: dict[str, Any] = {}
    exec(PYTHON[0], made)
    yield made
    del registry._registry["sales"]


def called(*words: str) -> tuple[int, str]:
    """Call a command; return its exit code and what it prints, blanks made one, a run's number a question mark."""
    out, code = StringIO(), 0
    try:
        call_command(*words, stdout=out, stderr=out)
    except CommandError as exc:
        code = exc.returncode
        out.write(str(exc))
    return code, plain(out.getvalue())


def plain(text: str) -> str:
    return re.sub(r"\brun \d+", "run ?", " ".join(text.split()))


def test_its_commands_do_what_it_says(tmp_path: Path, space: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for given, block in PIECE.findall(PAGE):
        if given:
            GIVEN[given]()
            continue
        for part in re.split(r"^(?=\$ )", block, flags=re.MULTILINE)[1:]:
            line, *said = part.splitlines()
            match = COMMAND.match(line)
            assert match is not None, line
            code, printed = called(*shlex.split(match[1]))
            assert code == int(match[2] or 0), f"{line}\n{printed}"
            at = 0
            for wanted in said:
                found = printed.find(plain(wanted), at)
                assert found >= 0, f"{line}\nsaid to print {wanted!r}, printed:\n{printed}"
                at = found + len(plain(wanted))
            ran += 1
    assert ran == len(re.findall(r"^\$ manage\.py ", PAGE, re.MULTILINE)) > 15
    assert (tmp_path / "uploads.svg").read_text().startswith("<?xml")
    assert ReportResult.objects.filter(report="uploads").count() == 2
    assert Run.objects.filter(job="ops.save_report").count() == 4


def test_its_declaration_says_something_of_each_field(space: dict[str, Any]) -> None:
    fields = [name for name in declaring.Report.__annotations__ if not name.startswith("_")]
    assert [name for name in fields if f"`{name}`" not in PAGE] == []
    made = [one.__name__ for one in declaring.Measure.__subclasses__()]
    assert [name for name in made if f"`{name}" not in PAGE] == []
    assert reports.find("sales").summary == "What was sold, by country."
    assert f"(above {INCLUDED})" in PAGE


def test_its_windows_are_all_there_are_and_what_it_says() -> None:
    assert [name for name in windows.NAMED if f"`{name}`" not in PAGE] == []
    told = [
        ("today", date(2026, 5, 20), date(2026, 5, 21)),
        ("this_week", date(2026, 5, 18), date(2026, 5, 25)),
        ("last_week", date(2026, 5, 11), date(2026, 5, 18)),
        ("this_quarter", date(2026, 4, 1), date(2026, 7, 1)),
        ("last_quarter", date(2026, 1, 1), date(2026, 4, 1)),
        ("last_7_days", date(2026, 5, 14), date(2026, 5, 21)),
    ]
    at = datetime(2026, 5, 20, 3, tzinfo=UTC)
    zone = reports.asking.zone_of(reports.find("uploads"))
    found = windows.resolve([name for name, _, _ in told], at, zone)
    assert [(one.name, one.first, one.last) for one in found] == told
    for name in re.findall(r"`(last_\d_\w+)`", PAGE):
        assert windows.resolve([name], at, zone)[0].name == name


def test_its_schedule_is_the_projects_and_its_python_runs(space: dict[str, Any]) -> None:
    exec(PYTHON[1], space)
    (schedule,) = space["SCHEDULES"]
    assert schedule in ours.SCHEDULES
    three_uploads()
    exec(PYTHON[2].replace("\nresult.as_json", "\nfound = result.as_json"), space)
    assert space["found"] == 2
    assert len(PYTHON) == 3
