"""How `manage.py reprice` refuses: each time one sentence, the exit code of the table, and nothing changed."""

import json
from typing import Any

import pytest

from billing.models import Client, Service, Subscription
from ops.models import Run
from tests.ops.shop import Said, command, job, make_shop, prices, raise_prices, untouched

pytestmark = pytest.mark.django_db

HELP = "; 'reprice --help' shows what there is."


def last() -> Run:
    return Run.objects.latest("pk")


def refused(said: Said, code: int, sentence: str) -> None:
    assert (said.code, said.error, said.out) == (code, sentence, "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--service", "nope"], "--service: There is no service 'nope': give its name or its id."),
        (["--service", "999999999999"], "--service: There is no service '999999999999': give its name or its id."),
        (["--service", "9" * 40], f"--service: There is no service '{'9' * 40}': give its name or its id."),
        (["--plan", ""], "--plan: There is no plan '': give its name or its id."),
        (["--client", "no\nbody"], r"--client: There is no client 'no\nbody': give its name or its id."),
        (
            ["--dirty", "--service", "service 1"],
            "--dirty takes all marks, so it goes without --service, --plan and --client: leave one of them out.",
        ),
        (
            ["--as-of", "nonsense"],
            "argument --as-of: 'nonsense' is not an instant: write it as 2026-12-01, 2026-12-01T00:00 or "
            "2026-12-01T00:00+09:00" + HELP,
        ),
        (["--max-change", "-1"], "argument --max-change: '-1' is not a percentage of at least 0" + HELP),
        (["--max-row-change", "NaN"], "argument --max-row-change: 'NaN' is not a percentage of at least 0" + HELP),
        (
            ["--max-change", "a lot"],
            "argument --max-change: 'a lot' is not a percentage: write a number such as 5 or 7.5" + HELP,
        ),
        (["--batch-size", "0"], "argument --batch-size: '0' is not a whole number of at least 1" + HELP),
        (["--batch-size", "1e3"], "argument --batch-size: '1e3' is not a whole number of at least 1" + HELP),
        (["--batch-size", "2147483648"], "argument --batch-size: '2147483648' is more than 2,147,483,647" + HELP),
        (["--lock-timeout", "9" * 20], f"argument --lock-timeout: '{'9' * 20}' is more than 2,147,483,647" + HELP),
        (["--max-rows", "-1"], "argument --max-rows: '-1' is not a whole number of at least 1" + HELP),
        (
            ["--database", "nope"],
            "argument --database: there is no database 'nope' in DATABASES; there is: default" + HELP,
        ),
        (["--nonsense"], "unrecognized arguments: --nonsense" + HELP),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str) -> None:
    make_shop(20)
    before = prices()
    refused(command("reprice", "--no-input", *words), 2, sentence)
    assert not Run.objects.exists()
    untouched(before)


def test_a_name_that_several_share_wants_the_id() -> None:
    make_shop()
    first = Client.objects.get(name="client 3")
    Client.objects.create(name="client 3")
    refused(
        command("reprice", "--dry-run", "--client", "client 3"),
        2,
        "--client: Several rows are called 'client 3': give the client's id.",
    )
    assert command("reprice", "--dry-run", "--client", str(first.pk)).code == 0


def test_without_a_terminal_it_does_not_guess() -> None:
    make_shop()
    raise_prices()
    before = prices()
    refused(
        command("reprice"),
        2,
        "There is no terminal to ask at: add --no-input to write, or --dry-run to see the plan only.",
    )
    assert not Run.objects.exists()
    untouched(before)


def test_an_instant_in_the_future_is_for_plans_only() -> None:
    make_shop()
    before = prices()
    refused(
        command("reprice", "--no-input", "--as-of", "2101-12-01"),
        3,
        "2101-12-01 00:00:00 KST lies in the future, and an instant in the future is for plans only: add --dry-run, "
        "or leave --as-of out.",
    )
    assert not Run.objects.exists()
    untouched(before)


@pytest.mark.parametrize(
    ("guard", "sentence"),
    [
        (
            ["--max-rows", "399"],
            (
                "400 subscriptions would change, more than --max-rows 399: look at the plan, then raise the bound; "
                "nothing was changed."
            ),
        ),
        (
            ["--max-change", "7"],
            (
                "The sum in KRW would change by 7.03 %, more than --max-change 7: look at the plan, then raise the "
                "bound; nothing was changed."
            ),
        ),
        (
            ["--max-row-change", "5"],
            (
                "A row would change by 7.63 %, more than --max-row-change 5: look at the plan, then raise the bound; "
                "nothing was changed."
            ),
        ),
    ],
)
def test_a_guard_refuses_after_it_has_shown_the_plan(guard: list[str], sentence: str) -> None:
    make_shop()
    raise_prices()
    before = prices()
    said = command("reprice", "--no-input", *guard)
    assert (said.code, said.error, last().state) == (3, sentence, "refused")
    assert said.out.startswith("Looked at 400 subscriptions: 400 would change, 0 held, 0 refused.\n\nAmounts\n")
    checked = command("reprice", "--check", *guard)
    assert (checked.code, checked.error) == (3, sentence)
    planned = command("reprice", "--dry-run", *guard)
    assert (planned.code, planned.err) == (0, f"A run of this plan would be refused. {sentence}\n")
    untouched(before)


def test_a_missing_price_refuses_the_run_and_names_the_rows() -> None:
    make_shop()
    raise_prices()
    before = prices()
    Service.objects.filter(name="service 3").update(full_price=None)
    keys = list(Subscription.objects.filter(service__name="service 3").order_by("pk").values_list("pk", flat=True))
    sentence = (
        f"20 of 400 subscriptions cannot be computed, the first being {keys[0]} (its service has no price): complete "
        "what is missing, then run again; nothing was changed."
    )
    said = command("reprice", "--no-input")
    assert (said.code, said.error) == (3, sentence)
    table = said.out.partition("\nRefused\n")[2].splitlines()
    assert table[0].split() == ["key", "client", "service", "plan", "currency", "reason"]
    assert [int(line.split()[0]) for line in table[2:22]] == keys
    assert {line.split("  ")[-1].strip() for line in table[2:22]} == {"its service has no price"}
    assert last().state == "refused"
    planned = command("reprice", "--dry-run")
    assert (planned.code, planned.err) == (0, f"A run of this plan would be refused. {sentence}\n")
    untouched(before)


def test_more_refused_rows_than_are_listed_are_counted() -> None:
    make_shop()
    Service.objects.filter(name__in=["service 3", "service 4"]).update(full_price=None)
    said = command("reprice", "--dry-run")
    assert "0 held, 40 refused." in said.out
    assert "\nThe first 20 refused\n" in said.out


def test_a_missing_plan_or_currency_refuses_as_well() -> None:
    make_shop()
    first, second = Subscription.objects.order_by("pk")[:2]
    Subscription.objects.filter(pk=first.pk).update(plan=None)
    Service.objects.filter(pk=second.service_id).update(currency=None)
    found = json.loads(command("reprice", "--dry-run", "--json").out)
    reasons: dict[int, Any] = {int(row["key"]): row["reason"] for row in found["refused"]}
    assert reasons[first.pk] == "it has no plan"
    assert reasons[second.pk] == "its service has no currency"
    assert found["refusals"] == 21
    assert job().name == found["job"]
