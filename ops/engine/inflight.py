"""Wait out the transactions that write to a table when a run begins: their rows are the run's, once they commit."""

from ops import clock
from ops.engine.lifecycle import Options, Stopped, advance, event
from ops.engine.session import Session
from ops.models import Run

TOLD_AFTER = 2.0
"""Seconds of waiting after which it is said for whom."""


def writers(session: Session, table: str) -> list[tuple[object, ...]]:
    """Return the transactions that now may be writing to a table."""
    return session.execute("ops/list_writers.sql", {"relation": session.connection.ops.quote_name(table)})


def wait_out(session: Session, run: Run, table: str, options: Options) -> None:
    """Return once every transaction that now may be writing to a table has ended; later ones are not waited for.

    Raises Stopped, naming one of them, after `options.writer_wait` milliseconds, or when asked to stop.
    """
    # In autocommit, for each look must see the locks of its own moment.
    rows = writers(session, table)
    waiting = {row[0] for row in rows}
    began, told, pause = clock.monotonic(), False, 0.005
    while waiting:
        waited = clock.monotonic() - began
        if waited > TOLD_AFTER and not told:
            told = True
            said = f"Waiting for {_named(rows)}."
            event(session, run, "waiting", said)
            options.note(said)
        if waited * 1000 > options.writer_wait or options.stop.is_set():
            raise Stopped(
                f"Run {run.pk} wrote nothing yet: it waited {waited:.0f} s for {_named(rows)}, whose rows it would "
                f"miss. End that transaction, then '{run.calls('resume')}' carries the run on."
            )
        clock.pause(pause)
        advance(session, run)  # whoever waits is alive
        pause = min(pause * 2, 0.5)
        rows = [row for row in writers(session, table) if row[0] in waiting]
        waiting = {row[0] for row in rows}


def _named(rows: list[tuple[object, ...]]) -> str:
    _, pid, user, client, name, seconds, state, query = rows[0]
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    if pid is None:
        return f"a prepared transaction (see pg_prepared_xacts){more}"
    return (
        f"process {pid}{more} (user {user}, {client}, {name or 'no name'}, in a transaction for {seconds} s, {state}, "
        f"last: {' '.join(str(query).split())})"
    )
