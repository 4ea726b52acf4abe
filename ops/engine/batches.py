"""Compile what a run writes: one batch of a window with its changeset, the rows that moved, and who blocks it."""

from collections.abc import Sequence
from typing import Any

from psycopg2.sql import SQL, Composable, Literal

from ops import sql
from ops.engine.compiler import Compiler
from ops.engine.jobs import BATCH, Job
from ops.engine.shape import STAGED, Shape, body, comma, ident
from ops.models import Changeset

MASK = SQL("'***'::text")

NOTHING = SQL("ARRAY[]::text[]")

OWN_BATCH = ident("pg_temp", BATCH)

IN_SLOTS = SQL("{0}.ops_slot >= %(slot_from)s AND {0}.ops_slot < %(slot_upto)s")


def changeset(
    shape: Shape,
    rows: Composable,
    *,
    masked: Sequence[str] = (),
    keys: bool = False,
    kind: Changeset.Kind = Changeset.Kind.UPDATE,
) -> Composable:
    """Return the INSERT of one changeset row from the rows written: column after column, keys first.

    Rows have key, before_i and after_i; inserted ones no before and ops_digest, deleted ones no after and ops_image.
    It returns their number, and their keys where they are wanted.
    """

    def arrays(columns: Sequence[Composable]) -> Composable:
        parts = [SQL("array_agg({} ORDER BY {})").format(column, order) for column in columns]
        return SQL(" || ").join(parts) if parts else NOTHING

    def values(columns: Sequence[Composable]) -> Composable:
        pairs = zip(columns, shape.names, strict=True)
        return arrays([MASK if name in masked else SQL("{}::text").format(column) for column, name in pairs])

    order = comma(shape.keys)
    texts = [SQL("{}::text").format(key) for key in shape.keys]
    # The server computes equal aggregates once: low and high cost nothing beside the keys' own arrays.
    first_last = [
        SQL("ARRAY[{}]").format(
            comma([SQL("(array_agg({} ORDER BY {}))[{}]").format(key, order, SQL(at)) for key in texts])
        )
        for at in ("1", "count(*)")
    ]
    more = {
        Changeset.Kind.INSERT: SQL("array_agg(ops_digest ORDER BY {}), NULL::text[]").format(order),
        Changeset.Kind.DELETE: SQL("NULL::bigint[], array_agg(ops_image ORDER BY {})").format(order),
    }.get(kind, SQL("NULL::bigint[], NULL::text[]"))
    return SQL(
        'INSERT INTO ops_changeset (month, run_id, kind, "window", batch, rows, slot_from, slot_upto, '
        "low, high, keys, before, after, digests, images) "
        "SELECT %(month)s, %(run)s, {}, %(window)s, %(batch)s, count(*), %(slot_from)s, %(slot_upto)s, "
        "{}, {}, {}, {}, {}, {} FROM {} HAVING count(*) > 0 RETURNING rows{}"
    ).format(
        Literal(kind.value),
        *first_last,
        arrays(texts),
        NOTHING if kind == Changeset.Kind.INSERT else values(shape.before),
        NOTHING if kind == Changeset.Kind.DELETE else values(shape.after),
        more,
        rows,
        SQL(", keys" if keys else ""),
    )


def write_back(shape: Shape, rows: Composable) -> Composable:
    """Return the statement that sets rows back where they still hold before_i, with its changeset."""
    still = SQL(" AND ").join(
        SQL("t.{} IS NOT DISTINCT FROM d.{}").format(column, before)
        for column, before in zip(shape.columns, shape.before, strict=True)
    )
    return SQL("WITH written AS (UPDATE {} AS t SET {} FROM ({}) AS d WHERE {} AND {} RETURNING {}) {}").format(
        shape.target,
        shape.sets(),
        rows,
        shape.match("t", "d"),
        still,
        shape.returned(),
        changeset(shape, SQL("written")),
    )


class Batches(Compiler):
    """The writing statements of one bound job: over STAGED, by ranges of slots."""

    def _changeset(self, rows: Composable) -> Composable:
        return changeset(self, rows, masked=self.job.masked, keys=self.hears)

    @property
    def hears(self) -> bool:
        """Tell whether the job wants to hear of changed rows; their keys need not travel otherwise."""
        return type(self.job).after_batch is not Job.after_batch

    @staticmethod
    def boundary_slot() -> Composable:
        """Return the slot that ends a batch of %(rows)s rows from a slot on; no row where fewer are left."""
        return SQL(
            "SELECT q.ops_slot FROM {} AS q WHERE q.ops_slot >= %(slot_from)s "
            "ORDER BY q.ops_slot OFFSET %(rows)s LIMIT 1"
        ).format(STAGED)

    def batch(self) -> Composable:
        """Return the statement that writes a range of slots and its changeset, and returns how many it wrote.

        A row whose version moved since the window was staged is left to `stragglers`. The source is sorted by
        key and joined by nested loop (the engine sees to that), so all writers lock in key order.
        """
        return SQL(
            "WITH written AS (UPDATE {target} AS t SET {sets} FROM ("
            "SELECT * FROM {difference} AS q WHERE {slots} ORDER BY {order}"
            ") AS d WHERE {match} AND t.xmin = d.ops_version RETURNING {returned}) {changeset}"
        ).format(
            target=self.target,
            sets=self.sets(),
            difference=STAGED,
            slots=IN_SLOTS.format(SQL("q")),
            order=comma(self.key_of("q")),
            match=self.match("t", "d"),
            returned=self.returned(),
            changeset=self._changeset(SQL("written")),
        )

    def lock_stragglers(self) -> Composable:
        """Return the statement that locks, in key order, the rows of a batch that somebody else had changed."""
        n = len(self.keys)
        written = comma(
            [SQL("c.keys[{} * c.rows + 1:{} * c.rows]").format(Literal(i), Literal(i + 1)) for i in range(n)]
        )
        names = comma([ident(f"k{i}") for i in range(n)])
        same = SQL(" AND ").join(
            SQL("{} = u.{}::{}").format(key, ident(f"k{i}"), self.key_types[i])
            for i, key in enumerate(self.key_of("d"))
        )
        return SQL(
            "SELECT {key} FROM {target} AS t INNER JOIN {difference} AS d ON {match} "
            "WHERE {slots} AND NOT EXISTS ("
            "SELECT 1 FROM ops_changeset AS c CROSS JOIN unnest({written}) AS u ({names}) "
            'WHERE c.run_id = %(run)s AND c.month = %(month)s AND c."window" = %(window)s AND c.batch = %(number)s '
            "AND {same}) ORDER BY {order} FOR NO KEY UPDATE OF t"
        ).format(
            key=self.key_text("t"),
            target=self.target,
            difference=STAGED,
            match=self.match("t", "d"),
            slots=IN_SLOTS.format(SQL("d")),
            written=written,
            names=names,
            same=same,
            order=comma(self.key_of("t")),
        )

    def stragglers(self, keys: Sequence[Sequence[str]], *, holds: bool) -> Composable:
        """Return the statement that computes the locked rows anew and writes them where they still differ."""
        return SQL(
            "WITH written AS (UPDATE {target} AS t SET {sets} FROM ({rows}) AS d "
            "WHERE {match} AND d.ops_differs AND NOT d.ops_held RETURNING {returned}) {changeset}"
        ).format(
            target=self.target,
            sets=self.sets(),
            rows=self.rows(holds=holds, keys=keys),
            match=self.match("t", "d"),
            returned=self.returned(),
            changeset=self._changeset(SQL("written")),
        )

    # A job's own statement

    def _before(self) -> list[Composable]:
        return [ident(f"before_{name}") for name in self.names]

    def make_own_batch(self) -> Composable:
        """Return the statement that makes the empty table of a batch's keys, with the values before of its columns."""
        present = [
            SQL("t.{} AS {}").format(column, name) for column, name in zip(self.columns, self._before(), strict=True)
        ]
        return SQL("CREATE TEMPORARY TABLE {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} AS t WITH NO DATA").format(
            ident(BATCH), comma([*self.key_of("t"), *present]), self.target
        )

    def fill_own_batch(self, *, lock: bool) -> Composable:
        """Return the statement that puts the keys of a range of slots into it, in key order, and what is kept before.

        To `lock` the rows costs as much as to write them; the alternative is to read as of one moment.
        """
        if not self.names:
            return SQL("INSERT INTO {} SELECT {} FROM {} AS d WHERE {} ORDER BY {}").format(
                OWN_BATCH, comma(self.key_of("d")), STAGED, IN_SLOTS.format(SQL("d")), comma(self.key_of("d"))
            )
        return SQL(
            "INSERT INTO {} SELECT {} FROM (SELECT * FROM {} AS q WHERE {} ORDER BY {}) AS d INNER JOIN {} AS t ON {}{}"
        ).format(
            OWN_BATCH,
            comma([*self.key_of("t"), *(SQL("t.{}").format(column) for column in self.columns)]),
            STAGED,
            IN_SLOTS.format(SQL("q")),
            comma(self.key_of("q")),
            self.target,
            self.match("t", "d"),
            SQL(" FOR NO KEY UPDATE OF t" if lock else ""),
        )

    def keep_own_batch(self) -> Composable:
        """Return the changeset of what the job's statement changed in its batch."""
        before = [SQL("b.{} AS {}").format(n, i) for n, i in zip(self._before(), self.before, strict=True)]
        after = [SQL("t.{} AS {}").format(c, i) for c, i in zip(self.columns, self.after, strict=True)]
        differs = SQL(" OR ").join(
            SQL("b.{} IS DISTINCT FROM t.{}").format(n, c) for n, c in zip(self._before(), self.columns, strict=True)
        )
        changed = SQL("(SELECT {} FROM {} AS b INNER JOIN {} AS t ON {} WHERE {}) AS written").format(
            comma([*self.key_of("t"), *before, *after]), OWN_BATCH, self.target, self.match("t", "b"), differs
        )
        return self._changeset(changed)

    @property
    def reads_before(self) -> bool:
        """Tell whether the engine must read the values before a range of keys is written.

        From PostgreSQL 18 on, a statement can return them itself: RETURNING old.v AS before_v.
        """
        if not self.names:
            return False
        return not {f"before_{name}" for name in self.names} <= set(sql.load(self.job.batch).returns)

    def _in_range(self) -> Composable:
        (key,), (kind,) = self.key_of("t"), self.key_types
        return SQL("{} >= %(first)s::{} AND {} <= %(last)s::{}").format(key, kind, key, kind)

    def lock_range(self) -> Composable:
        """Return the statement that locks the rows of a range of keys, in their order."""
        return SQL("SELECT 1 FROM {} AS t WHERE {} ORDER BY {} FOR NO KEY UPDATE OF t").format(
            self.target, self._in_range(), self.key_of("t")[0]
        )

    def count_range(self) -> Composable:
        """Return the job's own statement over a range of keys, returning how many rows it wrote and not the rows."""
        return SQL("WITH own AS ({}) SELECT count(*) FROM own").format(body(sql.load(self.job.batch).body))

    def write_range(self) -> Composable:
        """Return the job's own statement over a range of keys with its changeset: one statement, one snapshot."""
        own = body(sql.load(self.job.batch).body)
        after = [SQL("o.{} AS {}").format(ident(name), i) for name, i in zip(self.names, self.after, strict=True)]
        if not self.reads_before:
            before = [SQL("o.{} AS {}").format(n, i) for n, i in zip(self._before(), self.before, strict=True)]
            return SQL("WITH own AS ({}), written AS (SELECT {} FROM own AS o WHERE {}) {}").format(
                own,
                comma([*self.key_of("o"), *before, *after]),
                self._differs("o", "o"),
                self._changeset(SQL("written")),
            )
        present = [SQL("t.{} AS {}").format(c, n) for c, n in zip(self.columns, self._before(), strict=True)]
        before = [SQL("b.{} AS {}").format(n, i) for n, i in zip(self._before(), self.before, strict=True)]
        return SQL(
            "WITH present AS MATERIALIZED (SELECT {} FROM {} AS t WHERE {}), own AS ({}), "
            "written AS (SELECT {} FROM own AS o INNER JOIN present AS b ON {} WHERE {}) {}"
        ).format(
            comma([*self.key_of("t"), *present]),
            self.target,
            self._in_range(),
            own,
            comma([*self.key_of("o"), *before, *after]),
            self.match("o", "b"),
            self._differs("b", "o"),
            self._changeset(SQL("written")),
        )

    def _differs(self, before: str, after: str) -> Composable:
        pairs = zip(self._before(), self.names, strict=True)
        return SQL(" OR ").join(
            SQL("{}.{} IS DISTINCT FROM {}.{}").format(SQL(before), n, SQL(after), ident(name)) for n, name in pairs
        )

    def list_own_batch(self) -> Composable:
        """Return the keys of the batch, for a job that hears of them and keeps no values."""
        return SQL("SELECT {} FROM {} AS b").format(self.key_text("b"), OWN_BATCH)

    @staticmethod
    def empty_own_batch() -> Composable:
        """Return the statement that empties the table of a batch's keys, where no commit does."""
        return SQL("TRUNCATE {}").format(OWN_BATCH)

    def blockers(self) -> Composable:
        """Return who holds rows of a batch, or the whole table, so that it could not be written."""
        return SQL(
            "WITH free AS (SELECT d.ctid AS place FROM {target} AS t INNER JOIN {difference} AS d ON {match} "
            "WHERE {slots} FOR NO KEY UPDATE OF t SKIP LOCKED), "
            "locked AS (SELECT {key} AS key, t.xmax AS locker FROM {target} AS t INNER JOIN {difference} AS d "
            "ON {match} WHERE {slots} AND NOT EXISTS (SELECT 1 FROM free AS f WHERE f.place = d.ctid)) "
            "SELECT DISTINCT ON (a.pid) a.pid, a.usename::text, coalesce(a.client_addr::text, 'local'), "
            "a.application_name, extract(epoch FROM clock_timestamp() - a.xact_start)::integer, a.state, "
            "left(a.query, 60), l.key "
            "FROM locked AS l INNER JOIN pg_locks AS k ON k.locktype = 'transactionid' "
            "AND k.transactionid = l.locker AND k.granted INNER JOIN pg_stat_activity AS a ON a.pid = k.pid "
            "ORDER BY a.pid, l.key"
        ).format(
            target=self.target,
            difference=STAGED,
            match=self.match("t", "d"),
            slots=IN_SLOTS.format(SQL("d")),
            key=self.key_text("t"),
        )


def values_of(shape: Shape, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the keys that a changeset keeps column after column as tuples of Python values."""
    width = len(shape.keys)
    rows = len(keys) // width
    return [shape.key_values([keys[i * rows + at] for i in range(width)]) for at in range(rows)]
