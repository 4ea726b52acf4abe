"""Receivables of all partners: one statement by hand, ours, a query for each partner, and the loop over orders.

A million orders of 2,000 partners over three years, three types, eight currencies, rates of 28 years; most are paid.
"""

import statistics
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection

from billing import receivables, receivables_loop
from billing.models import Partner
from ops import clock
from ops.management import display

BY_HAND = (Path(__file__).parent / "receivables.sql").read_text(encoding="utf-8")
SAMPLED = 20
"""So many partners are asked for one by one; the rest is extrapolated."""

EMPTY = (
    "TRUNCATE billing_order, billing_partner, billing_fxrate; "
    "INSERT INTO billing_currency (code, minor_units) VALUES ('KRW', 0), ('USD', 2), ('KWD', 3), ('EUR', 2), "
    "('JPY', 0), ('GBP', 2), ('CHF', 2) ON CONFLICT DO NOTHING"
)
PARTNERS = """
WITH made AS (
    INSERT INTO billing_client (name) SELECT 'partner ' || i FROM generate_series(1, %(partners)s) AS i RETURNING id
)
INSERT INTO billing_partner (client_id, currency_id, credit_limit, credit_currency_id, zone)
SELECT
    id, (ARRAY['KRW', 'USD', 'EUR', 'JPY', 'KWD'])[1 + n %% 5], CASE WHEN n %% 7 > 0 THEN 100000 * (1 + n %% 13) END,
    CASE WHEN n %% 7 > 0 THEN (ARRAY['KRW', 'USD', 'EUR'])[1 + n %% 3] END,
    (ARRAY['Asia/Seoul', 'UTC', 'America/New_York', 'Europe/Berlin', 'Pacific/Apia'])[1 + n %% 5]
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM made) AS c
"""
RATES = """
INSERT INTO billing_fxrate (currency, day, rate)
SELECT c.code, d::date, round((c.base * (1 + 0.1 * sin(extract(epoch FROM d) / 1e7)))::numeric, 6)
FROM (
    SELECT * FROM (
        VALUES ('KRW', 1300.0), ('USD', 1.1), ('KWD', 0.34), ('JPY', 150.0), ('GBP', 0.85), ('CHF', 0.95)
    ) AS known UNION ALL SELECT 'AA' || chr(65 + i), 2.1 FROM generate_series(0, 23) AS i
) AS c (code, base)
CROSS JOIN generate_series('1999-01-04'::timestamp, %(upto)s::timestamp, '1 day') AS d
WHERE extract(isodow FROM d) < 6
"""
ORDERS = """
INSERT INTO billing_order (
    partner_id, type, reference, status, sold_at, sell_amount, sell_currency_id, sell_rate, penalty_amount,
    refund_amount, refund_currency_id, refund_rate, pending_on, due_on, paid_on, refunded_on
)
SELECT
    p.ids[1 + (hashint4(g.i) & 1073741823) %% cardinality(p.ids)],
    g.type,
    'R' || g.i,
    g.status,
    g.sold_at,
    round(
        ((10 + (hashint4(g.i + 1) & 1023) * 3.77) * CASE g.base > 100 WHEN TRUE THEN 900 ELSE 1 END)::numeric,
        CASE WHEN g.currency IN ('KRW', 'JPY') THEN 0 ELSE 2 END
    ),
    g.currency,
    CASE
        WHEN g.currency <> 'EUR'
            THEN round((g.base * (1 + (hashint4(g.i + 2) & 255) / 1000.0))::numeric, 4)
        ELSE 1
    END,
    CASE WHEN g.status = 'cancelled' AND g.i %% 3 = 0 THEN 12 ELSE 0 END,
    CASE WHEN g.status = 'cancelled' AND g.i %% 2 = 0 THEN 99 ELSE 0 END,
    CASE WHEN g.status = 'cancelled' AND g.i %% 2 = 0 THEN g.currency END,
    CASE WHEN g.status = 'cancelled' AND g.i %% 2 = 0 THEN round(g.base::numeric, 4) END,
    g.sold_at::date + 5,
    g.sold_at::date + 5 + (hashint4(g.i + 4) & 31),
    CASE
        WHEN (hashint4(g.i + 3) & 1023) < 800 THEN g.sold_at::date + 10 + (hashint4(g.i + 5) & 63)
    END,
    CASE WHEN (hashint4(g.i + 6) & 1023) < 800 THEN g.sold_at::date + 20 END
FROM (SELECT array_agg(q.id ORDER BY q.id) AS ids FROM billing_partner AS q) AS p
CROSS JOIN LATERAL (
    SELECT
        i,
        %(upto)s::timestamptz - (%(rows)s - i) * (interval '1095 days' / %(rows)s) AS sold_at,
        (ARRAY['KRW', 'USD', 'EUR', 'JPY', 'KWD', 'GBP', 'CHF', 'USD'])[1 + (hashint4(i + 7) & 7)] AS currency,
        (ARRAY[1300, 1.1, 1, 150, 0.34, 0.85, 0.95, 1.1])[1 + (hashint4(i + 7) & 7)] AS base,
        (ARRAY['hotel', 'car', 'upsell'])[1 + (hashint4(i + 8) & 1023) %% 3] AS type,
        CASE WHEN (hashint4(i + 9) & 1023) %% 10 < 2 THEN 'cancelled' ELSE 'completed' END AS status
    FROM generate_series(1, %(rows)s) AS i
) AS g
"""


def fill(orders: int, partners: int, as_of: datetime) -> None:
    """Make partners, rates and orders anew."""
    with connection.cursor() as cursor:
        cursor.execute(EMPTY)
        cursor.execute(PARTNERS, {"partners": partners})
        cursor.execute(RATES, {"upto": as_of})
        cursor.execute(ORDERS, {"rows": orders, "upto": as_of})
        cursor.execute("VACUUM (ANALYZE) billing_order, billing_partner, billing_fxrate, billing_client")


def by_hand(as_of: datetime) -> dict[int, Any]:
    with connection.cursor() as cursor:
        cursor.execute(BY_HAND, {"as_of": as_of})
        return {row[0]: row[1:] for row in cursor.fetchall()}


def timed(work: Callable[[], Any], tries: int) -> float:
    """Return the median of the seconds of so many tries, after one that warms."""
    taken = []
    for _ in range(tries + 1):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def agree(as_of: datetime) -> int:
    """Hold ours against the statement by hand; return in how many partners a unit differs, rounded twice as that is."""
    hand = by_hand(as_of)
    apart = 0
    for account in receivables.compute(as_of=as_of).partners:
        assert account.partner is not None
        used = (hand.get(account.partner) or (None,) * 10)[8] or 0
        assert abs(used - account.used.amount) <= account.used.orders, (account.name, used, account.used)
        apart += used != account.used.amount
    return apart


def measure(orders: int, partners: int) -> str:
    """Fill, measure all contenders, and return the table."""
    as_of = clock.now()
    fill(orders, partners, as_of)
    apart = agree(as_of)
    ids = list(Partner.objects.order_by("pk").values_list("pk", flat=True)[: SAMPLED * 100 : 100])[:SAMPLED]
    share = partners / len(ids)
    seconds = {
        "one statement for all, by hand": timed(lambda: by_hand(as_of), 5),
        "**Setwise**, one statement for all": timed(lambda: receivables.compute(as_of=as_of), 5),
        "ours, a query for each partner": share * timed(lambda: [_one(pk, as_of) for pk in ids], 2),
        "a loop over the orders of each partner": share * timed(lambda: [_loop(pk, as_of) for pk in ids], 1),
    }
    hand = seconds["one statement for all, by hand"]
    rows = [(name, f"{taken:.2f}", f"{taken / hand:.2f}") for name, taken in seconds.items()]
    told = display.table(
        f"{orders:,} orders, {partners:,} partners", ("contender", "s", "x by hand"), rows, ("s", "x by hand")
    )
    return f"{told}\n{apart} partners differ from the statement by hand by a unit, which rounds twice."


def _one(partner: int, as_of: datetime) -> None:
    receivables.compute(partners=[partner], as_of=as_of)


def _loop(partner: int, as_of: datetime) -> None:
    receivables_loop.compute(partners=[partner], as_of=as_of)
