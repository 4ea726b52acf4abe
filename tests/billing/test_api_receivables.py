"""/api/receivables/: what `manage.py receivables --json` says, partner by partner in pages."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from billing import receivables
from billing.models import Client, Currency, FxRate, Order, Partner
from ops import clock
from tests.ops.scratch import connected
from tests.ops.web.asking import Program, user

ADDRESS = "/api/receivables/"
MAY = ("billing.view_partner", "billing.view_order")
NOON = datetime(2026, 12, 1, 12, tzinfo=ZoneInfo("Asia/Seoul")).astimezone(UTC)
AS_OF = "as_of=2026-12-01T12:00:00%2B09:00"


def make_debts(partners: int = 5) -> list[Partner]:
    """Make partners in won and dollars with an order each, the last one's without a rate."""
    for code, units in (("KRW", 0), ("USD", 2), ("EUR", 2), ("JPY", 0)):
        Currency.objects.get_or_create(code=code, defaults={"minor_units": units})
    for code, rate in (("KRW", "1500.5"), ("USD", "1.0823")):
        FxRate.objects.create(currency=code, day=date(2026, 11, 30), rate=rate)
    made = []
    for number in range(partners):
        client = Client.objects.create(name=f"client {number}")
        made.append(Partner.objects.create(client=client, currency_id="KRW" if number % 2 else "USD"))
        Order.objects.create(
            partner=made[-1],
            type="hotel",
            reference=f"order {number}",
            status="completed",
            sold_at=NOON - timedelta(days=1),
            sell_amount=Decimal("1234567890123.45") + number,
            sell_currency_id="EUR" if number < partners - 1 else "JPY",
            pending_on=date(2026, 11, 1),
            due_on=date(2026, 12, 1) + timedelta(days=number - 2),
        )
    return made


@pytest.fixture
def program(db: None) -> Program:
    return Program(user("kim", *MAY))


def test_it_is_what_is_computed(program: Program) -> None:
    partners = make_debts()
    some = [partners[1].pk, partners[3].pk]
    for query, asked in (
        ("", {}),
        ("&rates=as-of", {"rates": "as-of"}),
        ("&currency=USD", {"currency": "USD"}),
        (f"&partner={some[1]}&partner={some[0]}", {"partners": some}),
    ):
        found = program.get(f"{ADDRESS}?{AS_OF}{query}")
        assert found.pop("next") is None
        expected = receivables.compute(as_of=NOON, **asked).as_json()
        assert clock.parse_instant(found.pop("as_of")) == clock.parse_instant(expected.pop("as_of"))
        assert found == expected
    assert len(found["partners"]) == 2


def test_amounts_are_exact_text(program: Program) -> None:
    make_debts()
    found = program.get(f"{ADDRESS}?{AS_OF}&currency=EUR&rates=as-of")
    told = [one["overdue"]["amount"] for one in found["partners"]]
    assert told[:2] == ["1234567890123.45", "1234567890124.45"]
    assert found["lacks"] == 1
    assert found["partners"][4]["lacking"][0]["reference"] == "order 4"


def test_pages_are_of_one_instant_and_have_the_same_totals(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    partners = make_debts(7)
    whole = program.get(f"{ADDRESS}?{AS_OF}")
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(seconds=30))
    seen, address, instants = [], f"{ADDRESS}?limit=3", set()
    while address:
        page = program.get(address)
        monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(minutes=7))
        seen += page["partners"]
        instants.add(page["as_of"])
        assert page["totals"] == whole["totals"]
        address = page["next"]
    assert seen == whole["partners"]
    assert [one["partner"] for one in seen] == sorted(one.pk for one in partners)
    assert len(instants) == 1
    assert program.get(f"{ADDRESS}?after={2**63 - 1}&{AS_OF}")["partners"] == []


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("partner=999999", "partner", "There is no partner 999999: "),
        ("currency=XXX", "currency", "There is no currency 'XXX'; there is: "),
        ("rates=never", "rates", "'never' is none of sale, as-of."),
        ("as_of=2026-02-30", "as_of", "'2026-02-30' is not an instant"),
        ("partner=0", "partner", "'0' is no whole number"),
    ],
)
def test_what_there_is_not_is_told(program: Program, query: str, field: str, message: str) -> None:
    make_debts(1)
    found = program.error(f"{ADDRESS}?{query}")
    assert found[:2] == ("invalid_parameter", field)
    assert found[2].startswith(message)


def test_each_permission_is_needed(db: None) -> None:
    for missing in MAY:
        program = Program(user(missing, *(name for name in MAY if name != missing)))
        assert program.error(ADDRESS, 403)[2].endswith(f"missing: {missing}.")


def test_it_takes_as_many_queries_whatever_there_is(
    program: Program, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    counts = []
    for partners in (1, 30):
        Order.objects.all().delete()
        Partner.objects.all().delete()
        FxRate.objects.all().delete()
        make_debts(partners)
        # Who asks, versions; the statement, in a transaction that has its limits.
        with django_assert_num_queries(6):
            counts.append(len(program.get(f"{ADDRESS}?{AS_OF}&limit=1000")["partners"]))
    assert counts == [1, 30]


def test_it_is_known_until_something_changes(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(user("kim", *MAY))
    make_debts()

    def status(etag: str, query: str = AS_OF) -> int:
        return int(program.ask(f"{ADDRESS}?{query}", **{"if-none-match": etag}).status_code)

    etag = program.ask(f"{ADDRESS}?{AS_OF}").headers["ETag"]
    assert status(etag) == 304
    for change in (
        lambda: Order.objects.filter(reference="order 1").update(paid_on=date(2026, 11, 30)),
        lambda: FxRate.objects.filter(currency="KRW").update(rate=2000),
        lambda: Partner.objects.filter(client__name="client 1").update(zone="America/New_York"),
        lambda: Currency.objects.filter(code="EUR").update(minor_units=3),
    ):
        etag = program.ask(f"{ADDRESS}?{AS_OF}").headers["ETag"]
        assert status(etag) == 304
        change()
        assert status(etag) == 200
    # Without an instant it is the beginning of the minute.
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(seconds=1))
    etag = program.ask(ADDRESS).headers["ETag"]
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(seconds=59))
    assert status(etag, "") == 304
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(seconds=60))
    assert status(etag, "") == 200


def test_ages_of_the_settings_that_are_none_are_said(program: Program, settings: Any) -> None:
    make_debts(1)
    settings.SETWISE_RECEIVABLES_AGES = (60, 30)
    assert program.error(f"{ADDRESS}?{AS_OF}", 503) == (
        "unavailable",
        "",
        "SETWISE_RECEIVABLES_AGES: (60, 30) are no ages: give 1 to 7 rising numbers of days, such as (30, 60, 90).",
    )


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_takes_too_long_is_given_up_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    make_debts()
    program = Program(user("kim", *MAY))
    monkeypatch.setattr("billing.api_receivables.TIMEOUT", 100)
    with connected(str(connection.settings_dict["NAME"])) as other, other.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE billing_order IN ACCESS EXCLUSIVE MODE")
        assert program.error(f"{ADDRESS}?{AS_OF}", 503)[0] == "unavailable"
        cursor.execute("ROLLBACK")
    monkeypatch.undo()  # a tenth of a second may be too short for a right answer, too
    assert program.get(f"{ADDRESS}?{AS_OF}")["partners"]
