"""A repair that is killed, at any moment: the next one ends it, and nothing is lost or left over."""

import os
import random
import signal
import time
from contextlib import suppress

import pytest

from tests.drift import keeping, sample
from tests.drift.cases import brief
from tests.ops.crashing import until
from tests.ops.scratch import rows

DAMAGE = (
    "DROP TABLE shop_favourite",
    "DROP TABLE stock.shelf CASCADE",
    "DROP TABLE shop_product_tags",
    "ALTER TABLE shop_customer DROP COLUMN vip",
    "DROP INDEX prod_low",
    "DROP INDEX cust_nick",
    "DROP INDEX prod_dear",
    "ALTER TABLE shop_product DROP CONSTRAINT prod_def",
    "ALTER TABLE shop_booking DROP CONSTRAINT book_once",
    "ALTER TABLE shop_product ALTER price DROP NOT NULL",
    "DROP VIEW sales_view",
    "DROP TRIGGER product_trim ON shop_product",
    "SELECT setval(pg_get_serial_sequence('shop_product', 'id'), 5)",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'prod_name_like'::regclass",
    "DELETE FROM django_migrations WHERE app = 'depot' AND name = '0003_move'",
    "DELETE FROM django_migrations WHERE app = 'contenttypes'",
)
# The steps of this repair by what they leave while they work: an index under another name, a helper constraint.
LEFT_OVER = """
SELECT c.relname::text FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
LEFT JOIN pg_index AS i ON c.oid = i.indexrelid
WHERE n.nspname IN ('public', 'stock') AND (c.relname ~ 'setwise|_ccnew|_ccold' OR NOT i.indisvalid)
UNION ALL
SELECT k.conname::text FROM pg_constraint AS k WHERE k.conname ~ 'setwise'
"""


RUNNING = "SELECT 1 FROM ops_repair WHERE state = 'running'"


def entries(database: str) -> int:
    """Return how many steps the audit has, none where it is not made yet."""
    if rows(database, "SELECT to_regclass('public.ops_repair_entry')") == [(None,)]:
        return 0
    return int(str(rows(database, "SELECT count(*) FROM ops_repair_entry")[0][0]))


def killed(database: str, steps: int, seconds: float) -> bool:
    """Start a repair and kill it, with all that it started, so long after its so-manyth step, or in its planning.

    Returns whether it had not ended by then.
    """
    before = entries(database)
    started = sample.Command("repair_migrations", "--apply", "--no-input", "--json", database=database)
    deadline = time.monotonic() + 60
    while steps and entries(database) < before + steps and started.runs():
        assert time.monotonic() < deadline, f"the repair did not do {steps} steps"
        time.sleep(0.002)
    time.sleep(seconds)
    with suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    return started.ended().code == -9


def damage(database: str) -> keeping.Kept:
    for statement in DAMAGE:
        rows(database, statement)
    return keeping.read(database)


def is_whole(database: str, before: keeping.Kept) -> None:
    """Repair to the end; assert that nothing was lost, and nothing is left of the repairs that were killed."""
    said = sample.repair(database)
    left = [one for one in sample.plan(database)["findings"] if one["severity"] != "info"]
    assert [one for one in left if not one["refused"]] == [], (brief(left), said)
    after = keeping.read(database)
    assert keeping.lost(before, after) == []
    assert keeping.grown(before, after) == []
    assert rows(database, LEFT_OVER) == []
    # The server's processes of one that was killed live on for a moment: the first repair after that marks it.
    until("all are marked", lambda: sample.repair(database) and not rows(database, RUNNING))
    states = {state for (state,) in rows(database, "SELECT DISTINCT state FROM ops_repair")}
    assert states <= {"done", "unverified", "failed", "interrupted"}
    assert rows(database, "SELECT count(*) FROM ops_run WHERE state = 'running'") == [(0,)]
    sample.must("migrate", "--no-input", "--verbosity", "0", database=database)


@pytest.mark.parametrize(("steps", "seconds"), [(0, 0.2), (1, 0.0), (4, 0.01), (12, 0.0)])
def test_a_repair_that_is_killed_is_told_as_interrupted_and_ended_by_the_next(steps: int, seconds: float) -> None:
    with sample.sample_database() as database:
        before = damage(database)
        assert killed(database, steps, seconds)
        assert keeping.lost(before, keeping.read(database)) == []
        is_whole(database, before)
        if steps:
            assert rows(database, "SELECT state FROM ops_repair ORDER BY begun LIMIT 1") == [("interrupted",)]


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(30))
def test_a_repair_that_is_killed_at_random_is_ended_by_the_next(seed: int) -> None:
    chosen = random.Random(seed)
    with sample.sample_database() as database:
        before = damage(database)
        for _ in range(chosen.randint(1, 3)):
            killed(database, chosen.randint(0, 25), chosen.uniform(0, 0.3))
            assert keeping.lost(before, keeping.read(database)) == []
        is_whole(database, before)
