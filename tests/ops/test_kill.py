"""Runs killed with `kill -9` at random moments, and started again, end as one clean run does."""

import random
import time

import pytest
from django.db import connection

from billing.models import Mark
from ops.engine import run as engine
from ops.models import Run
from tests.ops.shop import EVERYTHING, changed_rows, ended, job, make_shop, manage, prices, raise_prices, small

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 4_000


def _slow_down(milliseconds: int) -> None:
    """Make each batch take so long that kills land inside batches, at their commits and between them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$BEGIN PERFORM pg_sleep({milliseconds} / 1000.0); RETURN NEW; END$$"
        )
        cursor.execute("CREATE TRIGGER slow BEFORE INSERT ON ops_changeset FOR EACH ROW EXECUTE FUNCTION slow()")


def _killed_until_done(kills: int, seed: int) -> int:
    """Start the command, kill it after a random while, and so on; return how many kills hit a run at work."""
    chance = random.Random(seed)
    hit = 0
    for _ in range(kills):
        process = manage("reprice", "--no-input", "--batch-size", "100")
        deadline = time.monotonic() + 30
        run = Run.objects.order_by("-pk").first()
        # Wait until it writes, so that the kill hits the run and not Django's start.
        before = run.batches if run else 0
        while time.monotonic() < deadline and process.poll() is None:
            run = Run.objects.order_by("-pk").first()
            if run and run.batches > before:
                break
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.03))
        if process.poll() is None:
            process.kill()
            hit += 1
        process.communicate()
    return hit


def _prove(kills: int, seed: int) -> None:
    # So many batches that the run outlives the kills: each lets a few of them through.
    make_shop(1_000 * kills)
    raise_prices()
    before = prices()
    _slow_down(8)
    try:
        hit = _killed_until_done(kills, seed)
        assert hit >= kills * 0.7
        code, out, err = ended(manage("reprice", "--no-input", "--batch-size", "100"))
        assert (code, Run.objects.count()) == (0, 1), out + err
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION slow CASCADE")
    run = Run.objects.get()
    after = prices()
    # Every row exactly once in the changesets, from what it was to what it is.
    assert sorted(changed_rows(run)) == sorted((str(k), before[k], after[k]) for k in before if before[k] != after[k])
    assert (run.state, run.changed, run.fence > hit) == ("done", len(changed_rows(run)), True)
    assert engine.plan_only(job(), EVERYTHING, small())[1].changes == 0
    assert not Mark.objects.exists()


def test_a_few_kills_and_the_run_ends_as_a_clean_one() -> None:
    _prove(kills=5, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_twenty_kills_and_the_run_ends_as_a_clean_one(seed: int) -> None:
    _prove(kills=20, seed=seed)


def test_a_run_whose_server_connection_was_killed_is_carried_on() -> None:
    make_shop(ROWS)
    raise_prices()
    before = prices()
    _slow_down(15)
    try:
        process = manage("reprice", "--no-input", "--batch-size", "100")
        while not Run.objects.filter(batches__gt=3).exists():
            time.sleep(0.01)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(backend_pid) FROM ops_run")
        code, out, err = ended(process)
        assert code == 1, out + err
        assert "start the same command again" in err
        assert "Traceback" not in err
        code, out, err = ended(manage("reprice", "--no-input", "--batch-size", "100"))
        assert code == 0, out + err
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION slow CASCADE")
    run = Run.objects.get()
    after = prices()
    assert sorted(changed_rows(run)) == sorted((str(k), before[k], after[k]) for k in before)
