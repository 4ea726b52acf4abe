"""`manage.py runs revert` and `lift`: taking a run back, and letting go of what that holds."""

import json

import pytest

from billing.models import Service, Subscription
from ops.models import Hold, Run
from tests.ops.shop import Said, command, make_shop, prices, raise_prices

pytestmark = pytest.mark.django_db


def applied() -> Run:
    """Return the run that has raised all prices of a shop."""
    make_shop()
    raise_prices()
    assert command("reprice", "--no-input").code == 0
    return Run.objects.latest("pk")


def refused(said: Said, code: int, sentence: str) -> None:
    assert (said.code, said.error, said.out) == (code, sentence, "")


@pytest.mark.smoke
def test_revert_takes_a_run_back_and_sweeps_leave_its_rows_alone() -> None:
    make_shop()
    before = prices()
    raise_prices()
    command("reprice", "--no-input")
    run = Run.objects.latest("pk")
    said = command("runs", "revert", str(run.pk), "--no-input")
    back = Run.objects.latest("pk")
    assert said.code == 0
    assert said.out.splitlines() == [
        (
            f"Run {run.pk} (apply of billing.reprice) wrote 400 rows: 400 can go back, 0 no longer hold what it "
            "wrote and stay as they are."
        ),
        "400 of 400 rows (100 %)",
        f"Run {back.pk}: 400 rows set back, 0 left alone.",
        f"Sweeps leave these rows as they are until their inputs change; 'manage.py runs lift {back.pk}' lifts that.",
    ]
    assert prices() == before
    swept = command("reprice", "--no-input")
    assert swept.out.startswith("Looked at 400 subscriptions: 0 would change, 400 held, 0 refused.\n")
    checked = command("reprice", "--check")
    assert checked.code == 0
    assert checked.out.startswith("Looked at 400 subscriptions: 0 would change, 400 held, 0 refused.\n")
    assert (
        f"\nHeld rows were taken back by run {back.pk}: 'manage.py runs lift {back.pk}' lets the next run take them "
        "again.\n" in checked.out
    )
    assert prices() == before
    shown = command("runs", "show", str(back.pk)).out
    assert f"billing.reprice (revert of run {run.pk})" in shown
    assert "\nplan        400 rows, 400 can go back\n" in shown


def test_lift_lets_the_next_run_take_the_rows() -> None:
    run = applied()
    after = prices()
    command("runs", "revert", str(run.pk), "--no-input")
    back = Run.objects.latest("pk")
    refused(
        command("runs", "lift", str(run.pk)),
        3,
        f"Run {run.pk} is no revert, and only reverts hold rows: lift the one that took it back, run {back.pk}.",
    )
    assert command("runs", "lift", str(back.pk)).out == (
        f"Run {back.pk}: 400 holds lifted; the next run takes these rows.\n"
    )
    assert command("runs", "lift", str(back.pk)).out == f"Run {back.pk}: it holds no row (any more).\n"
    assert json.loads(command("runs", "lift", str(back.pk), "--json").out) == {"run": back.pk, "lifted": 0}
    assert command("reprice", "--check").code == 5
    command("reprice", "--no-input")
    assert prices() == after
    command("reprice", "--dry-run")
    plan = Run.objects.latest("pk")
    refused(
        command("runs", "lift", str(plan.pk)),
        3,
        f"Run {plan.pk} is no revert, and only reverts hold rows: nothing is held of it.",
    )


def test_a_hold_goes_when_the_inputs_change() -> None:
    run = applied()
    command("runs", "revert", str(run.pk), "--no-input")
    Service.objects.filter(name="service 5").update(full_price=1_000)
    said = command("reprice", "--no-input")
    assert said.out.startswith("Looked at 400 subscriptions: 20 would change, 380 held, 0 refused.\n")
    assert Hold.objects.count() == 380


def test_revert_leaves_alone_what_was_edited_since_and_lists_it() -> None:
    run = applied()
    keys = sorted(prices())
    Subscription.objects.filter(pk=keys[5]).update(price=1)
    Subscription.objects.filter(pk=keys[6]).delete()
    said = command("runs", "revert", str(run.pk), "--no-input")
    assert said.out.splitlines()[:2] == [
        (
            f"Run {run.pk} (apply of billing.reprice) wrote 400 rows: 398 can go back, 2 no longer hold what it "
            "wrote and stay as they are."
        ),
        f"Left alone: {keys[5]}, {keys[6]}.",
    ]
    back = Run.objects.latest("pk")
    assert f"Run {back.pk}: 398 rows set back, 2 left alone.\n" in said.out
    assert f"\nleft alone  {keys[5]}, {keys[6]}\n" in command("runs", "show", str(back.pk)).out


def test_revert_dry_run_plans_only() -> None:
    run = applied()
    after = prices()
    said = command("runs", "revert", str(run.pk), "--dry-run")
    assert (said.code, len(said.out.splitlines())) == (0, 1)
    assert "400 can go back" in said.out
    found = json.loads(command("runs", "revert", str(run.pk), "--dry-run", "--json").out)
    assert found == {"reverts": run.pk, "rows": 400, "back": 400, "deleted": 0, "left_alone": 0, "edited": []}
    assert (prices(), Run.objects.count()) == (after, 1)


def test_revert_as_json_is_the_run_that_reverted() -> None:
    run = applied()
    found = json.loads(command("runs", "revert", str(run.pk), "--no-input", "--json").out)
    assert (found["verb"], found["reverts"], found["state"], found["changed"]) == ("revert", run.pk, "done", 400)


def test_reverted_twice_nothing_is_left_to_set_back() -> None:
    run = applied()
    command("runs", "revert", str(run.pk), "--no-input")
    before = prices()
    said = command("runs", "revert", str(run.pk), "--no-input")
    assert said.code == 0
    assert "wrote 400 rows: 0 can go back, 400 no longer hold what it wrote" in said.out
    assert said.out.endswith(f"Run {Run.objects.latest('pk').pk}: 0 rows set back, 400 left alone.\n")
    assert prices() == before


def test_a_revert_is_reverted_like_any_run() -> None:
    run = applied()
    after = prices()
    command("runs", "revert", str(run.pk), "--no-input")
    back = Run.objects.latest("pk")
    said = command("runs", "revert", str(back.pk), "--no-input")
    again = Run.objects.latest("pk")
    assert said.out.endswith(f"Run {again.pk}: 400 rows set back, 0 left alone.\n")
    assert prices() == after
    assert not Hold.objects.exists()


def test_a_plan_is_not_reverted() -> None:
    make_shop()
    command("reprice", "--dry-run")
    plan = Run.objects.get()
    refused(
        command("runs", "revert", str(plan.pk), "--no-input"),
        3,
        f"Run {plan.pk} was a plan: it wrote nothing that could be reverted.",
    )


def test_revert_does_not_guess_without_a_terminal() -> None:
    run = applied()
    after = prices()
    refused(
        command("runs", "revert", str(run.pk)),
        2,
        "There is no terminal to ask at: add --no-input to write, or --dry-run to see the plan only.",
    )
    assert prices() == after
