"""Usage counted as it happens: one statement a count, exact under any number of writers.

A counter is named by a hash of what is counted, so that its key is short and of one length whatever the names are.
"""

import hashlib
import json

from billing.models import UsageCounter
from ops.load import upsert_one


def digest(account: str | None, meter: str) -> str:
    """Return the counter's key: SHA-256 of the two names, in hex. No account and an empty one are the same."""
    # As JSON, so that no two pairs of names are written alike.
    return hashlib.sha256(json.dumps([account or None, meter]).encode()).hexdigest()


def count(account: str | None, meter: str, times: int = 1, database: str = "default") -> None:
    """Count a use, or so many, in one round trip; inside a transaction it commits with it.

    Whoever counts several in one transaction does so in one order everywhere, or two may wait for each other. Raises
    IntegrityError where `times` is below 1.
    """
    upsert_one(
        UsageCounter,
        {"digest": digest(account, meter), "account": account or None, "meter": meter, "count": times},
        on=("digest",),
        # Not now(): in a long transaction that is when it began, and the last use would seem to go back.
        expressions={"count": "target.count + excluded.count", "last_at": "clock_timestamp()"},
        database=database,
    )
