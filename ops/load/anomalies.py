"""Count what is odd and does not stop a job, such as a missing rate or an unknown client, for the operator to list."""

from ops.engine.lifecycle import trouble
from ops.engine.session import Session
from ops.models import Anomaly


def count(kind: str, key: str, detail: str = "", *, times: int = 1, database: str = "default") -> int:
    """Count an anomaly of a kind, in one round trip; return how often it has been met.

    Safe with any number of writers. It belongs to the transaction that is open: what is rolled back was not met.
    """
    values = {"kind": kind[:100], "key": key, "detail": detail, "times": times}
    return int(Session(database).execute("ops/merge_anomaly.sql", values)[0][0])


def listed(database: str, kind: str | None, limit: int) -> list[Anomaly]:
    """Return the anomalies that were met last, of one kind or of all."""
    with trouble("Listing anomalies"):
        found = Anomaly.objects.using(database).order_by("-last_at", "-pk")
        return list((found.filter(kind=kind) if kind else found)[:limit])
