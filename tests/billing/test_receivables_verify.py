"""`manage.py receivables --verify`: the statement held against the loop, what is saved against what was verified."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any
from zoneinfo import available_timezones

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from billing import receivables, receivables_loop
from billing.management.receivables_verifying import differences
from billing.models import Order, Partner
from billing.models.pricing import READ_OTHERWISE
from ops.models import ReportResult
from tests.billing.conftest import run_sql
from tests.billing.debts import money
from tests.billing.debts_asked import AS_OF
from tests.billing.test_receivables_command import AT, shop, told
from tests.ops.shop import command

pytestmark = pytest.mark.django_db

PROVEN = "Computed again by the loop over orders: 0 figures of 3 partners differ."
Both = Callable[..., Any]


def test_the_loop_agrees() -> None:
    shop()
    said = command("receivables", *AT, "--verify")
    assert (said.code, told(said.out)[-1]) == (0, PROVEN)


def test_where_the_loop_differs_it_is_said_and_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    a = shop()[0]
    exact = receivables_loop.rounded
    monkeypatch.setattr(receivables_loop, "rounded", lambda value, units: exact(value, units) + (value == 100))
    said = command("receivables", *AT, "--verify", "--partner", str(a))
    assert said.code == 1
    assert told(said.err)[0] == (
        f"partner 0 ({a}) in USD, tomorrow: statement 100.00 of 1 order, lacking 0, loop 101.00 of 1 order, lacking 0"
    )
    assert said.error == (
        "4 figures of the statement differ from the loop over orders: use none of them, and report this with the "
        "output of --json."
    )


def test_rows_that_the_statement_loses_or_doubles_are_told() -> None:
    a, b, _ = shop()
    wanted = receivables.compute(as_of=AS_OF)
    assert differences(wanted, wanted) == []
    first, second, third = wanted.partners
    assert differences(replace(wanted, partners=(first, third), totals=wanted.totals[1:]), wanted) == [
        f"partner 1 ({b}) in KRW: statement 0 rows, loop 1 row",
        "total in KRW: statement 0 rows, loop 1 row",
    ]
    assert differences(replace(wanted, partners=(first, first, second, third)), wanted) == [
        f"partner 0 ({a}) in USD: statement 2 rows, loop 1 row"
    ]
    told_in_won = replace(first, currency="KRW")
    assert differences(replace(wanted, partners=(told_in_won, second, third)), wanted) == [
        f"partner 0 ({a}) in USD: statement 0 rows, loop 1 row",
        f"partner 0 ({a}) in KRW: statement 1 row, loop 0 rows",
    ]


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("name", "Kim", "partner 0"),
        ("zone", "UTC", "Asia/Seoul"),
        ("minor_units", 3, "2"),
        ("left", money("7.00"), "0.00"),
    ],
)
def test_everything_that_is_told_of_a_partner_is_compared(field: str, value: Any, shown: str) -> None:
    shop()
    wanted = receivables.compute(as_of=AS_OF)
    first, *others = wanted.partners
    other = replace(first, **{field: value})
    (line,) = differences(replace(wanted, partners=(other, *others)), wanted)
    assert line.endswith(f", {field}: statement {value}, loop {shown}")


# Saved as it was verified


def verified_then(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    """Let something happen between the verification and what is saved."""
    both: Both = receivables_loop.both

    def verify(*args: Any, **kwargs: Any) -> Any:
        found = both(*args, **kwargs)
        change()
        return found

    monkeypatch.setattr(receivables_loop, "both", verify)


@pytest.mark.django_db(transaction=True)
def test_what_is_saved_is_as_of_the_instant_that_was_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    shop()
    seen = []
    both: Both = receivables_loop.both
    monkeypatch.setattr(receivables_loop, "both", lambda *args, **more: seen.append(both(*args, **more)) or seen[-1])
    # Long ago: whoever asks for the instant once more gets another.
    monkeypatch.setattr(receivables, "present", lambda session: AS_OF)
    said = command("receivables", "--verify", "--save")
    assert said.code == 0
    assert ReportResult.objects.values_list("as_of", flat=True).distinct().get() == seen[0][0].as_of == AS_OF


@pytest.mark.django_db(transaction=True)
def test_what_is_saved_is_held_against_what_was_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    _, b, _ = shop()
    paid = Order.objects.filter(partner=b, status="booked")
    verified_then(monkeypatch, lambda: paid.update(paid_on=date(2026, 2, 20)))
    said = command("receivables", *AT, "--verify", "--save")
    assert said.code == 1
    assert told(said.err) == [
        f"partner 1 ({b}) in KRW, today: saved 0 of 0 orders, lacking 0, verified 120040 of 1 order, lacking 0",
        "total in KRW, today: saved 0 of 0 orders, lacking 0, verified 120040 of 1 order, lacking 0",
    ]
    assert said.error == (
        "2 figures that were saved differ from those that were verified: something was written in between. "
        "'manage.py receivables --as-of 2026-03-01T00:01:00+09:00 --verify --save' verifies and saves them again."
    )
    monkeypatch.undo()
    assert command("receivables", *AT, "--verify", "--save").code == 0


# Zones


@pytest.mark.parametrize("options", [("--verify",), ("--orders",)])
def test_a_zone_that_only_the_server_knows_is_said_in_a_sentence(options: tuple[str, ...]) -> None:
    run_sql("ALTER TABLE billing_partner DROP CONSTRAINT billing_partner_zone")
    a = shop()[0]
    Partner.objects.filter(pk=a).update(zone="KST")
    said = command("receivables", *AT, "--partner", str(a), *options)
    assert (said.code, said.out) == (3, "")
    assert said.error == (
        f"Partner partner 0 ({a}) has the zone 'KST', which Python does not know: correct it in the admin to a name "
        "such as Asia/Seoul, or update the package tzdata."
    )


@pytest.mark.parametrize(
    ("zone", "error"),
    [
        ("KST", DataError),  # an abbreviation
        ("Asia/Soul", DataError),
        ("", DataError),
        ("asia/seoul", IntegrityError),
        ("FOO+3", IntegrityError),  # a description
        ("FOO/BAR+3", IntegrityError),
        ("<+09>-09", IntegrityError),
        ("9", IntegrityError),
        ("CET", IntegrityError),  # AT TIME ZONE has no summer time there
    ],
)
def test_the_server_takes_no_zone_but_by_its_name(zone: str, error: type[Exception]) -> None:
    shop()
    with pytest.raises(error), transaction.atomic():
        Partner.objects.update(zone=zone)
    assert Partner.objects.filter(zone="Asia/Seoul").count() == 3


def test_the_server_takes_every_zone_that_it_lists_but_those_that_it_reads_otherwise() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, billing_known_zone(name) FROM pg_timezone_names")
        known = {name: is_known for name, is_known in cursor.fetchall() if name in available_timezones()}
        cursor.execute("SHOW timezone")
        assert cursor.fetchone() == ("UTC",)
    assert len(known) > 400
    assert {name for name, is_known in known.items() if not is_known} == set(READ_OTHERWISE)
