"""The beginnings of a rollup: its triggers, and whether what it is to keep can be kept; and its end.

Whoever begins one has to own the source, for the triggers; after that, whoever may write to the tables of ops can build
and refresh it.
"""

import re
from typing import Any

from django.db import Error, transaction
from psycopg2.sql import Composable

from ops.engine.plan import Refused
from ops.engine.session import Session, in_words, sqlstate
from ops.reports import rollup_compiler, rollups
from ops.reports.rollup_kept import Kept, NotKept

WORD = re.compile(r"\w+")

NOT_IMMUTABLE = "42P17"

# By their names as pg_typeof has them; a cast back from text would cut these short, or can't be made.
_LOSSY = re.compile(r"(character|bit|record)(\[\])*")
_SUMS = frozenset({"bigint", "numeric"})
_TEXTS = frozenset({"text", "character varying", "name"})


def install(session: Session, kept: Kept) -> list[str]:
    """Give the source and its partitions the triggers that they lack, in the present transaction.

    Returns the tables that lacked some; all buckets that may have been written to unseen are marked. Raises NotKept
    where the source can't have triggers.
    """
    found = session.execute("ops/find_rollup_source.sql", {"relation": kept.relation})
    kind = found[0][0] if found else None
    if kind not in ("r", "p"):
        what = {"v": "a view", "m": "a materialized view", "f": "a foreign table", None: "not there"}
        raise NotKept(f"its source {kept.relation} is {what.get(kind, 'no table')}, and only a table has triggers")
    named = {
        "report": kept.name,
        "digest": kept.digest,
        "relation": kept.relation,
        "time_column": kept.column,
        "grain": kept.grain,
        "zone": kept.bucket_zone,
        "touch": kept.touch,
    }
    return [row[0] for row in session.execute("ops/set_rollup_triggers.sql", named)]


def begin(session: Session, kept: Kept) -> None:
    """Begin to build a rollup anew, in the present transaction: nothing is kept, and all is touched.

    Raises NotKept where it can't be kept, or would be of no use.
    """
    install(session, kept)
    session.execute("ops/lock_rollup.sql", {"report": kept.name})
    examine(session, kept)
    types = _types(session, kept)
    words = sorted({kept.column, *(word for _, text in kept.texts() for word in WORD.findall(text))})
    named = {"report": kept.name, "digest": kept.digest, "types": types, "words": words}
    session.execute("ops/open_rollup.sql", named)
    trouble = session.execute("ops/find_rollup_trouble.sql", named)[0][0]
    if trouble not in ("unbuilt", "all"):
        raise NotKept(rollups.in_words(trouble, kept))


def examine(session: Session, kept: Kept) -> None:
    """Raise NotKept where an expression follows from anything but its row: then sums would be wrong tomorrow.

    The server says so itself, as it does of the expressions of an index. What is made for that is undone.
    """
    with transaction.atomic(using=session.alias):
        _execute(session, rollup_compiler.rehearsal(kept), kept)
        for what, text in _expressions(kept):
            try:
                with transaction.atomic(using=session.alias):
                    _execute(session, rollup_compiler.probe(text), kept)
            except Error as exc:
                raise _unfit(what, text, exc) from exc
        transaction.set_rollback(True, using=session.alias)


def _unfit(what: str, text: str, exc: Error) -> Exception:
    """Return what the server's refusal of an expression means; an error that is none comes back as it is."""
    if sqlstate(exc) == NOT_IMMUTABLE:
        return NotKept(
            f"{what} ({text}) follows from settings of a session, or from the time at which it is computed: write it "
            "so that it follows from the row alone, as (t.at AT TIME ZONE %(zone)s)::date does, where t.at::date "
            "does not"
        )
    if sqlstate(exc)[:2] in ("0A", "42"):
        found = str(in_words(exc, text)).partition(";")[0]
        return NotKept(f"{what} can't be computed from a row alone: {found}")
    return exc


def _expressions(kept: Kept) -> list[tuple[str, str]]:
    """Return what is looked at in a row, after what it is of."""
    found = [("a group or filter", text) for text in kept.expressions]
    for name, places in kept.measures.items():
        for part in (kept.parts[place] for place in places):
            found += [(f"measure {name!r}", text) for text in (part.argument, part.where) if text not in ("", "*")]
    if kept.report.where:
        found.append(("its condition", kept.report.where))
    return list(dict.fromkeys(found))


def _types(session: Session, kept: Kept) -> list[str]:
    """Return the types of what is kept; raise NotKept for those of which no exact sum is kept."""
    types: list[str] = _execute(session, rollup_compiler.types(kept), kept)[0][0]
    width = len(kept.expressions)
    for text, kind in zip(kept.expressions, types[:width], strict=True):
        if _LOSSY.fullmatch(kind):
            raise NotKept(f"{text} is of type {kind}, which is not kept as it is: cast it to another one, such as text")
    for place, kind in enumerate(types[:width]):
        if kind in _TEXTS and any(row[0] for row in _execute(session, rollup_compiler.collation(kept, place), kept)):
            raise NotKept(f"{kept.expressions[place]} has a collation by which different texts are equal")
    for part, kind in zip(kept.parts, types[width:], strict=True):
        if part.merge == "sum" and kind not in _SUMS:
            raise NotKept(
                f"{part.call} is of type {kind}, and only sums of whole numbers and numeric do not follow from the "
                "order in which they are made: cast it to numeric"
            )
        if part.merge != "sum" and _LOSSY.fullmatch(kind):
            raise NotKept(f"{part.call} is of type {kind}, which is not kept as it is: cast it to another one")
    return types


def _execute(session: Session, statement: Composable, kept: Kept) -> list[tuple[Any, ...]]:
    return session.execute(statement, rollup_compiler.values(kept))


def refuse(kept_name: str, exc: NotKept) -> Refused:
    """Return what whoever wanted a rollup that can't be is told."""
    return Refused(f"Report {kept_name!r} can have no rollup: {exc}; nothing was changed.")


def drop(database: str, name: str, *, lock_timeout: int) -> None:
    """Remove a rollup: triggers, markers and sums."""
    session = Session(database)
    with session.transaction(lock_timeout=lock_timeout, statement_timeout=0, committed=True):
        session.execute("ops/drop_rollup.sql", {"report": name})
