"""Compile a Reconcile job into the engine's statements: plan, difference, batch, stragglers.

All of them are made around the job's one SELECT, so that a plan counts exactly what a run writes.
Values that come and go as text (keys and values in cursors and changesets) are cast to the target's own types.
"""

from collections.abc import Sequence
from typing import Any

from django.db.models import Field
from psycopg2.sql import SQL, Composable, Identifier, Literal

from ops import sql
from ops.engine.jobs import Params, Reconcile, column_of

SLOTS = 1024
"""A key's slot is its hash modulo this. A batch takes a range of slots of a window: rows spread over all its pages."""

DIFFERENCE = "ops_difference"
"""The temporary table of the rows of one window that differ."""


def comma(parts: Sequence[Composable]) -> Composable:
    """Join with commas."""
    return SQL(", ").join(parts)


def ident(*parts: str) -> Composable:
    """Quote a (qualified) name; a percent sign in it survives psycopg2's interpolation."""
    return Identifier(*(part.replace("%", "%%") for part in parts))


def text(value: str) -> Composable:
    """Quote a text; a percent sign in it survives psycopg2's interpolation."""
    return Literal(value.replace("%", "%%"))


def _row(parts: Sequence[Composable]) -> Composable:
    return parts[0] if len(parts) == 1 else SQL("({})").format(comma(parts))


STAGED = ident("pg_temp", DIFFERENCE)


class Compiler:
    """The statements of one job with one set of parameters, for one connection's types."""

    def __init__(self, job: Reconcile, params: Params, connection: Any) -> None:
        self.job = job
        self.params = params
        self.wanted = sql.load(job.wanted)
        self.target = ident(job.target._meta.db_table)
        self.key_fields = job.key_fields()
        self.keys = [ident(column_of(field)) for field in self.key_fields]
        self.key_types = [self._type(field, connection) for field in self.key_fields]
        self.fields = job.column_fields()
        self.columns = [ident(column_of(field)) for field in self.fields]
        self.types = [self._type(field, connection) for field in self.fields]
        self.before = [ident(f"before_{i}") for i in range(len(self.fields))]
        self.after = [ident(f"after_{i}") for i in range(len(self.fields))]

    @staticmethod
    def _type(field: "Field[Any, Any]", connection: Any) -> Composable:
        name = field.db_type(connection)
        assert name is not None  # a field without a column is refused by column_fields
        return SQL(name)

    # Keys

    def key_of(self, alias: str) -> list[Composable]:
        """Return the key's columns, qualified."""
        return [ident(alias, column_of(field)) for field in self.key_fields]

    def key_literal(self, key: Sequence[str]) -> Composable:
        """Return a key that was kept as text, as typed literals."""
        return _row([SQL("{}::{}").format(text(v), t) for v, t in zip(key, self.key_types, strict=True)])

    def key_text(self, alias: str) -> Composable:
        """Return the key as text[]."""
        return SQL("ARRAY[{}]").format(comma([SQL("{}::text").format(column) for column in self.key_of(alias)]))

    def within(self, alias: str, after: Sequence[str] | None, upto: Sequence[str] | None) -> Composable:
        """Return the condition that keys lie in the half-open (after, upto]."""
        bounds = []
        for sign, key in ((">", after), ("<=", upto)):
            if key is not None:
                bounds.append(SQL("{} {} {}").format(_row(self.key_of(alias)), SQL(sign), self.key_literal(key)))
        return SQL(" AND ").join(bounds) if bounds else SQL("true")

    def slot(self, alias: str) -> Composable:
        """Return the slot of a row: a hash that works for keys of any type and any number of columns."""
        return SQL("(hash_record_extended(ROW({}), 0) & {})::integer").format(
            comma(self.key_of(alias)), Literal(SLOTS - 1)
        )

    def _match(self, left: str, right: str) -> Composable:
        """Return the join of two aliases by key."""
        pairs = zip(self.key_of(left), self.key_of(right), strict=True)
        return SQL(" AND ").join(SQL("{} = {}").format(a, b) for a, b in pairs)

    def _sets(self) -> Composable:
        """Return the SET list that writes after_i of `d`."""
        pairs = zip(self.columns, self.after, strict=True)
        return comma([SQL("{} = d.{}").format(column, after) for column, after in pairs])

    def _returned(self) -> Composable:
        """Return key, before_i and after_i of `d`: what a changeset keeps."""
        return comma([*self.key_of("d"), *(SQL("d.{}").format(c) for c in (*self.before, *self.after))])

    # The difference between what is and what ought to be

    def _source(self) -> Composable:
        """Return the wanted rows as `w`, with version and present values, without a join where they bring them."""
        given = set(self.wanted.returns)
        # The body holds the job's own %(name)s; it is executed with its parameters like any other statement.
        wanted = SQL(self.wanted.body.replace("{{", "{").replace("}}", "}"))
        if "version" in given and {f"before_{name}" for name in self.job.columns} <= given:
            return SQL("({}) AS w").format(wanted)
        present = comma(
            [SQL("t.xmin AS version")]
            + [
                SQL("t.{} AS {}").format(column, ident(f"before_{name}"))
                for column, name in zip(self.columns, self.job.columns, strict=True)
            ]
        )
        return SQL("(SELECT w.*, {} FROM ({}) AS w INNER JOIN {} AS t ON {}) AS w").format(
            present, wanted, self.target, self._match("t", "w")
        )

    def rows(
        self,
        *,
        holds: bool,
        after: Sequence[str] | None = None,
        upto: Sequence[str] | None = None,
        keys: Sequence[Sequence[str]] | None = None,
    ) -> Composable:
        """Return a SELECT over the rows looked at: key, version, before_i, after_i, differs, held, refused, money."""
        columns = self.job.columns
        given: list[Composable] = [*self.key_of("w"), ident("w", "version")]
        given += [SQL("w.{} AS {}").format(ident(f"before_{c}"), b) for c, b in zip(columns, self.before, strict=True)]
        given += [SQL("w.{} AS {}").format(ident(c), ident(f"raw_{i}")) for i, c in enumerate(columns)]
        refused = ident("w", "refused") if "refused" in self.wanted.returns else SQL("NULL::text")
        given.append(SQL("{} AS refused").format(refused))
        if self.job.money:
            given.append(SQL("w.{} AS times").format(ident(self.job.money.times)))
            given.append(SQL("w.{} AS currency").format(ident(self.job.money.currency)))
        bounds = self.within("w", after, upto)
        if keys is not None:
            # Below the fence, so that only these rows are computed.
            listed = comma([self.key_literal(key) for key in keys])
            bounds = SQL("{} IN ({})").format(_row(self.key_of("w")), listed)
        # OFFSET 0 is a fence: without it the planner computes a wanted value anew wherever it is named below.
        source = SQL("(SELECT {} FROM {} WHERE {} OFFSET 0) AS w").format(comma(given), self._source(), bounds)
        casts = [SQL("w.{}::{}").format(ident(f"raw_{i}"), kind) for i, kind in enumerate(self.types)]
        # The cast decides (a value is what the column can hold), but only where the plain test sees a difference.
        differs = SQL(" OR ").join(
            SQL("(w.{0} IS DISTINCT FROM w.{1} AND w.{0} IS DISTINCT FROM {2})").format(
                before, ident(f"raw_{i}"), casts[i]
            )
            for i, before in enumerate(self.before)
        )
        outputs: list[Composable] = [*self.key_of("w"), SQL("w.version"), SQL("w.refused")]
        outputs += [SQL("w.{}").format(before) for before in self.before]
        outputs += [SQL("{} AS {}").format(cast, name) for cast, name in zip(casts, self.after, strict=True)]
        outputs.append(SQL("(w.refused IS NULL AND ({})) AS differs").format(differs))
        if holds:
            # A hold refuses one set of wanted values; once others are wanted, it holds no longer.
            wanted = comma([SQL("{}::text").format(cast) for cast in casts])
            outputs.append(SQL("coalesce(h.wanted = ARRAY[{}], false) AS held").format(wanted))
            source = SQL("{} LEFT JOIN ops_hold AS h ON h.job = {} AND h.key = {}").format(
                source, text(self.job.name), self.key_text("w")
            )
        else:
            outputs.append(SQL("false AS held"))
        if self.job.money:
            outputs += [SQL("w.times"), SQL("w.currency")]
        return SQL("SELECT {} FROM {}").format(comma(outputs), source)

    def totals(self, *, holds: bool) -> Composable:
        """Return the plan's one pass: per currency (or once) the counts, and money before and its change."""
        money = self.job.money
        sums: Composable
        group: Composable
        order: Composable
        if money is None:
            sums, group, order = SQL("NULL, NULL, NULL"), SQL("NULL::text"), SQL("")
        else:
            i = self.job.columns.index(money.column)
            before, after = self.before[i], self.after[i]
            change = SQL("(r.{} - coalesce(r.{}, 0))").format(after, before)
            sums = SQL(
                "coalesce(sum(r.{before} * r.times), 0), "
                "coalesce(sum({change} * r.times) FILTER (WHERE r.differs AND NOT r.held), 0), "
                "max(abs({change}) * 100 / nullif(r.{before}, 0)) FILTER (WHERE r.differs AND NOT r.held)"
            ).format(before=before, change=change)
            group, order = SQL("r.currency"), SQL("GROUP BY r.currency")
        return SQL(
            "SELECT {}, count(*), count(*) FILTER (WHERE r.differs AND NOT r.held), "
            "count(*) FILTER (WHERE r.differs AND r.held), count(*) FILTER (WHERE r.refused IS NOT NULL), {} "
            "FROM ({}) AS r {}"
        ).format(group, sums, self.rows(holds=holds), order)

    def largest(self, limit: int, *, holds: bool, staged: bool) -> Composable:
        """Return the keys with the largest changes: of money where the job counts it, else the first by key.

        They are read from the staged difference where there is one.
        """
        order: Composable = comma(self.key_of("r"))
        if money := self.job.money:
            i = self.job.columns.index(money.column)
            order = SQL("abs(r.{} - coalesce(r.{}, 0)) * r.times DESC NULLS LAST, {}").format(
                self.after[i], self.before[i], order
            )
        values = [SQL("r.{}::text").format(column) for column in (*self.before, *self.after)]
        source: Composable = STAGED
        if not staged:
            source = SQL("(SELECT * FROM ({}) AS q WHERE q.differs AND NOT q.held)").format(self.rows(holds=holds))
        return SQL("SELECT {}, ARRAY[{}] FROM {} AS r ORDER BY {} LIMIT {}").format(
            self.key_text("r"), comma(values), source, order, Literal(limit)
        )

    def refusals(self, limit: int) -> Composable:
        """Return the first refused keys with their reasons."""
        return SQL("SELECT {}, r.refused FROM ({}) AS r WHERE r.refused IS NOT NULL ORDER BY {} LIMIT {}").format(
            self.key_text("r"), self.rows(holds=False), comma(self.key_of("r")), Literal(limit)
        )

    # Windows and batches

    def high_water(self) -> Composable:
        """Return the last key of the target."""
        return SQL("SELECT {} FROM {} AS t ORDER BY {} LIMIT 1").format(
            self.key_text("t"), self.target, comma([SQL("{} DESC").format(key) for key in self.key_of("t")])
        )

    def boundary(self, after: Sequence[str] | None, upto: Sequence[str], rows: int) -> Composable:
        """Return the last key of the next window of so many rows, found by counting rows, not by key arithmetic."""
        return SQL("SELECT {} FROM {} AS t WHERE {} ORDER BY {} OFFSET {} LIMIT 1").format(
            self.key_text("t"), self.target, self.within("t", after, upto), comma(self.key_of("t")), Literal(rows - 1)
        )

    def difference(
        self, *, holds: bool, after: Sequence[str] | None = None, upto: Sequence[str] | None = None, slot: int = 0
    ) -> Composable:
        """Return the statement that stages the rows of a window that differ, from a slot on.

        They lie in the order of slot and key, so that a batch reads one stretch and writes in key order.
        """
        columns = comma(
            [SQL("{} AS slot").format(self.slot("r")), *self.key_of("r"), SQL("r.version")]
            + [SQL("r.{}").format(column) for column in (*self.before, *self.after)]
            + ([SQL("r.times")] if self.job.money else [])
        )
        rest = SQL(" AND {} >= {}").format(self.slot("r"), Literal(slot)) if slot else SQL("")
        return SQL(
            "CREATE TEMPORARY TABLE {} AS SELECT {} FROM ({}) AS r WHERE r.differs AND NOT r.held{} ORDER BY slot, {}"
        ).format(
            ident(DIFFERENCE), columns, self.rows(holds=holds, after=after, upto=upto), rest, comma(self.key_of("r"))
        )

    def _changeset(self, rows: Composable) -> Composable:
        """Return the INSERT of one changeset row from the rows written: column after column, keys first."""

        def arrays(columns: Sequence[Composable], order: Composable) -> Composable:
            return SQL(" || ").join(SQL("array_agg({}::text ORDER BY {})").format(column, order) for column in columns)

        order = comma(self.keys)
        # The server computes equal aggregates once: low and high cost nothing beside the keys' own arrays.
        first_last = [
            SQL("ARRAY[{}]").format(
                comma([SQL("(array_agg({}::text ORDER BY {}))[{}]").format(key, order, SQL(at)) for key in self.keys])
            )
            for at in ("1", "count(*)")
        ]
        return SQL(
            "INSERT INTO ops_changeset (run_id, batch, rows, slot_from, slot_upto, low, high, keys, before, after) "
            "SELECT %(run)s, %(batch)s, count(*), %(slot_from)s, %(slot_upto)s, {}, {}, {}, {}, {} FROM {} "
            "HAVING count(*) > 0 RETURNING rows"
        ).format(*first_last, arrays(self.keys, order), arrays(self.before, order), arrays(self.after, order), rows)

    def batch(self) -> Composable:
        """Return the statement that writes a range of slots and its changeset, and returns how many it wrote.

        A row whose version moved since the window was staged is left to `stragglers`. The source is sorted by
        key and joined by nested loop (the engine sees to that), so all writers lock in key order.
        """
        return SQL(
            "WITH written AS (UPDATE {target} AS t SET {sets} FROM ("
            "SELECT * FROM {difference} AS q WHERE q.slot >= %(slot_from)s AND q.slot < %(slot_upto)s ORDER BY {order}"
            ") AS d WHERE {match} AND t.xmin = d.version RETURNING {returned}) {changeset}"
        ).format(
            target=self.target,
            sets=self._sets(),
            difference=STAGED,
            order=comma(self.key_of("q")),
            match=self._match("t", "d"),
            returned=self._returned(),
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
            "WHERE d.slot >= %(slot_from)s AND d.slot < %(slot_upto)s AND NOT EXISTS ("
            "SELECT 1 FROM ops_changeset AS c CROSS JOIN unnest({written}) AS u ({names}) "
            "WHERE c.run_id = %(run)s AND c.batch = %(number)s AND {same}) "
            "ORDER BY {order} FOR NO KEY UPDATE OF t"
        ).format(
            key=self.key_text("t"),
            target=self.target,
            difference=STAGED,
            match=self._match("t", "d"),
            written=written,
            names=names,
            same=same,
            order=comma(self.key_of("t")),
        )

    def stragglers(self, keys: Sequence[Sequence[str]], *, holds: bool) -> Composable:
        """Return the statement that computes the locked rows anew and writes them where they still differ."""
        return SQL(
            "WITH written AS (UPDATE {target} AS t SET {sets} FROM ({rows}) AS d "
            "WHERE {match} AND d.differs AND NOT d.held RETURNING {returned}) {changeset}"
        ).format(
            target=self.target,
            sets=self._sets(),
            rows=self.rows(holds=holds, keys=keys),
            match=self._match("t", "d"),
            returned=self._returned(),
            changeset=self._changeset(SQL("written")),
        )

    def write_back(self, rows: Composable) -> Composable:
        """Return the statement that sets rows back where they still hold before_i, with its changeset."""
        still = SQL(" AND ").join(
            SQL("t.{} IS NOT DISTINCT FROM d.{}").format(column, before)
            for column, before in zip(self.columns, self.before, strict=True)
        )
        return SQL("WITH written AS (UPDATE {} AS t SET {} FROM ({}) AS d WHERE {} AND {} RETURNING {}) {}").format(
            self.target,
            self._sets(),
            rows,
            self._match("t", "d"),
            still,
            self._returned(),
            self._changeset(SQL("written")),
        )

    def lift_moot_holds(self) -> Composable:
        """Return the statement that deletes the holds of rows for which other values are wanted now."""
        return SQL("DELETE FROM ops_hold AS h USING ({}) AS r WHERE h.job = {} AND h.key = {} AND NOT r.held").format(
            self.rows(holds=True), text(self.job.name), self.key_text("r")
        )

    def blockers(self) -> Composable:
        """Return who holds rows of a batch, or the whole table, so that it could not be written."""
        return SQL(
            "WITH free AS (SELECT d.ctid AS place FROM {target} AS t INNER JOIN {difference} AS d ON {match} "
            "WHERE d.slot >= %(slot_from)s AND d.slot < %(slot_upto)s FOR NO KEY UPDATE OF t SKIP LOCKED), "
            "locked AS (SELECT {key} AS key, t.xmax AS locker FROM {target} AS t INNER JOIN {difference} AS d "
            "ON {match} WHERE d.slot >= %(slot_from)s AND d.slot < %(slot_upto)s "
            "AND NOT EXISTS (SELECT 1 FROM free AS f WHERE f.place = d.ctid)) "
            "SELECT DISTINCT ON (a.pid) a.pid, a.usename::text, coalesce(a.client_addr::text, 'local'), "
            "a.application_name, extract(epoch FROM clock_timestamp() - a.xact_start)::integer, a.state, "
            "left(a.query, 60), l.key "
            "FROM locked AS l INNER JOIN pg_locks AS k ON k.locktype = 'transactionid' "
            "AND k.transactionid = l.locker AND k.granted INNER JOIN pg_stat_activity AS a ON a.pid = k.pid "
            "ORDER BY a.pid, l.key"
        ).format(
            target=self.target,
            difference=STAGED,
            match=self._match("t", "d"),
            key=self.key_text("t"),
        )
