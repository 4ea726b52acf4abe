"""Receivables that are saved, so that months can be compared: by the command, as a job, by a schedule."""

import json
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.core.management import call_command

from billing.models import Order
from billing.receivables_saving import SaveReceivables
from ops.engine import parameters, registry
from ops.engine import run as engine
from ops.engine.parameters import BadParameters
from ops.models import ReportResult, Run
from tests.billing.debts import Debts, money, order, partner
from tests.billing.debts_asked import AS_OF, ON_SALE
from tests.billing.test_receivables_command import AT, told
from tests.ops.shop import command

pytestmark = pytest.mark.django_db(transaction=True)

FILTERS = {"ages": "30,60,90", "currency": "", "max_rate_age": 10, "rates": "sale"}
THEN = ("--as-of", "2026-02-10")


@pytest.fixture(autouse=True)
def _keys_begin_at_one() -> None:
    call_command("flush", interactive=False, verbosity=0)


def shop() -> list[int]:
    debts = Debts(
        [partner(credit_limit=120, credit_currency_id="USD"), partner(currency_id="KRW")],
        [order(due_on=date(2026, 2, 27)), order(partner=1)],
        {("KRW", ON_SALE): money(1000)},
    )
    return debts.store()


def saved() -> dict[str, Any]:
    rows = ReportResult.objects.order_by("pk").values_list("report", "window", "as_of", "filters", "group", "values")
    assert {row[:2] for row in rows} <= {("receivables", "as_of")}
    assert all(row[3] == FILTERS for row in rows)
    return {f"{row[2]:%m-%d} {json.dumps(row[4])}": row[5] for row in rows}


def test_a_result_is_kept_for_each_partner_and_each_total() -> None:
    a, b = shop()
    said = command("receivables", *AT, "--save")
    assert said.code == 0
    assert told(said.out)[-1] == (
        "Run 1: saved as of 2026-03-01T00:01:00+09:00: 4 results inserted, 0 updated, 0 deleted."
    )
    found = saved()
    assert found.keys() == {
        f'02-28 {{"partner": {a}}}',
        f'02-28 {{"partner": {b}}}',
        '02-28 {"currency": "KRW"}',
        '02-28 {"currency": "USD"}',
    }
    assert found[f'02-28 {{"partner": {a}}}'] == {
        "currency": "USD",
        "pending": "0.00",
        "today": "0.00",
        "tomorrow": "0.00",
        "later": "0.00",
        "overdue": "100.00",
        "overdue 1-30": "100.00",
        "overdue 31-60": "0.00",
        "overdue 61-90": "0.00",
        "overdue 91+": "0.00",
        "refunds": "0.00",
        "used": "100.00",
        "limit": "120.00",
        "left": "20.00",
        "over": "0.00",
        "lacks": 0,
    }
    assert ReportResult.objects.filter(starts_at=None, ends_at=None, run=1).count() == 4
    record = Run.objects.get()
    assert (record.job, record.state, record.changed) == ("billing.save_receivables", "done", 4)
    assert record.as_of == AS_OF


def test_saved_again_nothing_changes() -> None:
    shop()
    first = command("receivables", *AT, "--save", "--json")
    assert json.loads(first.out)["run"] == 1
    again = command("receivables", *AT, "--save", "--verify")
    assert told(again.out)[-1].endswith("0 results inserted, 0 updated, 0 deleted.")
    assert len(saved()) == 4
    Order.objects.filter(partner__currency="KRW").update(paid_on=date(2026, 2, 20))
    corrected = command("receivables", *AT, "--save")
    assert told(corrected.out)[-1].endswith("0 results inserted, 2 updated, 0 deleted.")


def test_sums_that_lack_amounts_are_not_saved_unless_that_is_accepted() -> None:
    a, _ = shop()
    Order.objects.filter(partner=a).update(status="lost")
    said = command("receivables", *AT, "--save")
    assert (said.code, saved()) == (3, {})
    assert f"partner 0 ({a}): hotel R1: no order type 'hotel' has the status 'lost'" in said.err
    assert said.error.startswith("In no sum: 1 order of unknown type or status, of 1 partner;")
    assert Run.objects.get().state == Run.State.REFUSED
    assert command("receivables", *AT, "--save", "--incomplete").code == 0
    assert sorted(found["lacks"] for found in saved().values()) == [0, 0, 1, 1]


def test_months_are_compared() -> None:
    a, b = shop()
    assert command("receivables", *THEN, "--save").code == 0
    Order.objects.filter(partner=b).update(paid_on=date(2026, 2, 20))
    said = command("receivables", *AT, "--compare", "2026-02-10")
    assert said.code == 0
    lines = told(said.out)
    assert lines[lines.index("Compared with 2026-02-10T00:00:00+09:00, as saved by run 1.") :] == [
        "Compared with 2026-02-10T00:00:00+09:00, as saved by run 1.",
        "Totals",
        "in then now difference",
        "KRW pending 0 0 0",
        "KRW today 0 0 0",
        "KRW tomorrow 0 0 0",
        "KRW later 80,000 0 -80,000",
        "KRW overdue 0 0 0",
        "KRW refunds 0 0 0",
        "KRW used 80,000 0 -80,000",
        "KRW over - - 0",
        "USD pending 0.00 0.00 0.00",
        "USD today 0.00 0.00 0.00",
        "USD tomorrow 0.00 0.00 0.00",
        "USD later 100.00 0.00 -100.00",
        "USD overdue 0.00 100.00 +100.00",
        "USD refunds 0.00 0.00 0.00",
        "USD used 100.00 100.00 0.00",
        "USD over 0.00 0.00 0.00",
        "Owed by partner: what changed",
        "partner in then now difference",
        f"partner 1 ({b}) KRW 80,000 0 -80,000",
    ]
    assert max(map(len, said.out.splitlines())) <= 80
    found = json.loads(command("receivables", *AT, "--compare", "2026-02-10", "--json").out)["compared"]
    assert found["as_of"] == "2026-02-09T15:00:00+00:00"
    assert found["partners"][1]["lacks"] == {"then": 0, "now": 0}
    assert found["partners"][1]["used"] == {"then": "80000", "now": "0", "difference": "-80000"}
    # Of some partners no totals: what is saved are those of all.
    alone = command("receivables", *AT, "--compare", "2026-02-10", "--partner", str(a))
    assert told(alone.out)[-1] == "No partner owes more or less than then."


def test_without_a_result_of_then_there_is_nothing_to_compare_with() -> None:
    shop()
    said = command("receivables", *AT, "--compare", "2026-02-10")
    assert said.code == 2
    assert said.error == (
        "--compare: nothing is saved as of 2026-02-10T00:00:00+09:00 under these rates, ages and currency; saved last: "
        "nothing. 'manage.py receivables --as-of INSTANT --save' saves."
    )
    assert command("receivables", *THEN, "--save").code == 0
    other = command("receivables", *AT, "--compare", "2026-02-11", "--ages", "7")
    assert "saved last: nothing." in other.error
    assert "saved last: 2026-02-10T00:00:00+09:00." in command("receivables", *AT, "--compare", "2026-02-11").error


def test_what_is_printed_can_be_asked_for_again() -> None:
    shop()
    assert command("receivables", "--save").code == 0
    saved_as_of = ReportResult.objects.values_list("as_of", flat=True).distinct().get()
    assert saved_as_of.microsecond == 0
    named = command("receivables", "--compare", "2026-02-11").error
    found = re.search(r"saved last: (\S+)\. ", named)
    assert found is not None
    said = command("receivables", "--as-of", found[1], "--compare", found[1])
    assert said.code == 0
    assert told(said.out)[0] == f"Receivables as of {found[1]}, rates at the moment of sale."
    assert f"Compared with {found[1]}, as saved by run 1." in told(said.out)
    # A result of that second that was saved to the microsecond is found, and itself before others.
    ReportResult.objects.update(as_of=saved_as_of.replace(microsecond=7))
    assert command("receivables", "--compare", found[1]).code == 0
    assert command("receivables", "--as-of", found[1], "--save").code == 0
    assert f"Compared with {found[1]}, as saved by run 2." in told(command("receivables", "--compare", found[1]).out)


def test_run_as_a_job_it_is_saved_as_of_a_whole_second_too() -> None:
    shop()
    assert command("run_job", "billing.save_receivables", "--no-input").code == 0
    assert {one.microsecond for one in ReportResult.objects.values_list("as_of", flat=True)} == {0}
    again = command("receivables", "--as-of", "2026-02-10T00:00:00.5", "--save")
    assert "saved as of 2026-02-10T00:00:00+09:00:" in again.out


def test_a_comparison_says_which_side_was_incomplete() -> None:
    a, b = shop()
    Order.objects.filter(partner=a).update(status="lost")
    assert command("receivables", *THEN, "--save", "--incomplete").code == 0
    Order.objects.filter(partner=a).update(status="booked")
    Order.objects.filter(partner=b).update(status="lost")
    said = command("receivables", *AT, "--compare", "2026-02-10", "--incomplete")
    lines = told(said.out)
    assert "USD used 0.00* 100.00 +100.00*" in lines
    assert "KRW used 80,000 0* -80,000*" in lines
    assert lines[-3:] == [
        f"partner 1 ({b}) KRW 80,000 0* -80,000*",
        f"partner 0 ({a}) USD 0.00* 100.00 +100.00*",
        "* Amounts of 2 partners were or are in no sum: what changed is not certain.",
    ]
    found = json.loads(command("receivables", *AT, "--compare", "2026-02-10", "--incomplete", "--json").out)["compared"]
    assert [one["lacks"] for one in found["partners"]] == [{"then": 1, "now": 0}, {"then": 0, "now": 1}]
    assert [one["lacks"] for one in found["totals"]] == [{"then": 0, "now": 1}, {"then": 1, "now": 0}]


def test_it_is_a_job_that_a_schedule_may_start() -> None:
    shop()
    said = command("run_job", "billing.save_receivables", "--as-of", "2026-03-01T00:01+09:00", "--no-input")
    assert said.code == 0
    assert len(saved()) == 4
    job = registry.find("billing.save_receivables")
    params = parameters.clean(job.params, {"ages": "7, 14", "currency": "usd"}, "default")
    assert params == {"ages": "7,14", "currency": "USD", "incomplete": False, "max_rate_age": 10, "rates": "sale"}
    assert job.describe(params) == "rates of sale, ages 7,14, in USD"
    plan = command("run_job", "billing.save_receivables", *AT, "--dry-run")
    assert "Looked at 4" in plan.out
    assert "total_receivables.sql" in command("run_job", "billing.save_receivables", "--show-sql").out
    assert "billing_fxrate_pkey" in command("run_job", "billing.save_receivables", "--explain").out


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ages": "x"}, "--ages: Give the last day of each age but the oldest, such as 30,60,90."),
        ({"ages": "3,2"}, "--ages: 3,2 are no ages: give 1 to 7 rising numbers of days, such as 30,60,90."),
        ({"max_rate_age": -1}, "--max-rate-age: Ensure this value is greater than or equal to 0."),
    ],
)
def test_malformed_parameters_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadParameters) as caught:
        parameters.clean(SaveReceivables.params, given, "default")
    assert str(caught.value) == sentence


def test_a_currency_that_is_none_opens_no_run() -> None:
    shop()
    params = parameters.clean(SaveReceivables.params, {"currency": "XXX"}, "default")
    with pytest.raises(BadParameters, match="There is no currency 'XXX'"):
        engine.apply(SaveReceivables(), params, engine.Options(), datetime(2026, 3, 1, tzinfo=UTC))
    assert not Run.objects.exists()
