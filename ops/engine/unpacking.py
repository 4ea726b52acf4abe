"""Compile the statements that read changesets back: a row's history, and what takes a run back.

A changeset keeps keys and values as text, column after column: `keys` of a key of two columns and three rows is
a1 a2 a3 b1 b2 b3. Slot, lowest and highest key say which few changesets can hold a row, so no other array is read.
"""

from collections.abc import Sequence

from psycopg2.sql import SQL, Composable, Literal

from ops.engine.batches import changeset, write_back
from ops.engine.catalog import Table
from ops.engine.shape import Shape, comma, digest_of, ident, slot_of
from ops.models import Changeset


def _all_equal(left: Sequence[Composable], right: Sequence[Composable]) -> Composable:
    return SQL(" AND ").join(SQL("{} = {}").format(a, b) for a, b in zip(left, right, strict=True))


class Unpacking:
    """The statements over changesets `c`, unpacked to rows `u`, of a target `t`."""

    def __init__(self, shape: Shape, table: Table, digested: Sequence[str] | None = None) -> None:
        self.shape = shape
        self.table = table
        # What the digests of inserted rows are of; a column that was dropped since makes every row another.
        known = [column for column in table.columns.values() if not column.generated]
        self.digested = [
            (column.name, column.hashable) for column in known if digested is None or column.name in digested
        ]
        keys, values = len(shape.keys), len(shape.columns)
        slices, names = [], []
        for array, width in (("keys", keys), ("before", values), ("after", values)):
            for i in range(width):
                bounds = Literal(i), Literal(i + 1)
                slices.append(SQL("c.{}[{} * c.rows + 1:{} * c.rows]").format(ident(array), *bounds))
                names.append(ident(f"{array}_{i}"))
        self.unpacked = SQL("CROSS JOIN LATERAL unnest({}) AS u ({})").format(comma(slices), comma(names))
        self.source = SQL("ops_changeset AS c {}").format(self.unpacked)
        self.key_texts = [ident("u", f"keys_{i}") for i in range(keys)]
        self.before_texts = [ident("u", f"before_{i}") for i in range(values)]
        self.after_texts = [ident("u", f"after_{i}") for i in range(values)]
        self.keys = self._typed(self.key_texts, shape.key_types)
        self.before = self._typed(self.before_texts, shape.types)
        self.after = self._typed(self.after_texts, shape.types)

    @staticmethod
    def _typed(texts: Sequence[Composable], types: Sequence[Composable]) -> list[Composable]:
        return [SQL("{}::{}").format(value, kind) for value, kind in zip(texts, types, strict=True)]

    def _joined(self) -> Composable:
        """Return the unpacked rows of a run with what the target holds now, if it still has the row."""
        match = _all_equal(self.shape.key_of("t"), self.keys)
        return SQL("{} LEFT JOIN {} AS t ON {} WHERE c.run_id = %(run)s AND c.kind = 'update'").format(
            self.source, self.shape.target, match
        )

    def _untouched(self) -> Composable:
        """Return the condition that the row is still there and holds what the run wrote."""
        same = SQL(" AND ").join(
            SQL("t.{} IS NOT DISTINCT FROM {}").format(column, value)
            for column, value in zip(self.shape.columns, self.after, strict=True)
        )
        return SQL("({} IS NOT NULL AND {})").format(self.shape.key_of("t")[0], same)

    def history(self) -> Composable:
        """Return every change of the key in %(key_0)s .. by runs on %(target)s with these columns."""
        types = self.shape.key_orders
        typed = [SQL("%(key_{})s::{}").format(Literal(i), kind) for i, kind in enumerate(types)]
        low = [SQL("c.low[{}]::{}").format(Literal(i + 1), kind) for i, kind in enumerate(types)]
        high = [SQL("c.high[{}]::{}").format(Literal(i + 1), kind) for i, kind in enumerate(types)]
        # First the changesets of this target, by themselves: keys of another can't be cast to its types.
        return SQL(
            "WITH mine AS MATERIALIZED (SELECT c.*, r.verb, r.job, r.started_by "
            "FROM ops_changeset AS c INNER JOIN ops_run AS r ON r.id = c.run_id "
            "WHERE r.target = %(target)s AND r.columns = %(columns)s "
            "AND {slot} >= c.slot_from AND {slot} < c.slot_upto) "
            "SELECT c.run_id, c.verb, c.kind, c.job, c.committed_at, c.started_by, "
            "ARRAY[{before}]::text[], ARRAY[{after}]::text[] "
            "FROM mine AS c {unpacked} "
            "WHERE ROW({low}) <= ROW({key}) AND ROW({high}) >= ROW({key}) AND {match} ORDER BY c.id"
        ).format(
            before=comma(self.before_texts),
            after=comma(self.after_texts),
            unpacked=self.unpacked,
            key=comma(typed),
            slot=slot_of(typed),
            low=comma(low),
            high=comma(high),
            match=_all_equal(self.keys, typed),
        )

    def count_revertible(self) -> Composable:
        """Return how many rows a run wrote, and how many of them can go back."""
        return SQL("SELECT count(*), count(*) FILTER (WHERE {}) FROM {}").format(self._untouched(), self._joined())

    def list_edited(self, limit: int) -> Composable:
        """Return the first keys of a run that were edited or deleted since."""
        return SQL("SELECT ARRAY[{}] FROM {} AND NOT {} ORDER BY {} LIMIT {}").format(
            comma(self.key_texts), self._joined(), self._untouched(), comma(self.keys), Literal(limit)
        )

    def take_back(self) -> Composable:
        """Return the statement that sets the rows of %(changeset)s back, with a changeset of its own."""
        shape = self.shape
        given = [SQL("{} AS {}").format(key, name) for key, name in zip(self.keys, shape.keys, strict=True)]
        # What the run wrote is what ought to be there now; what was there before is wanted again.
        given += [SQL("{} AS {}").format(v, name) for v, name in zip(self.after, shape.before, strict=True)]
        given += [SQL("{} AS {}").format(v, name) for v, name in zip(self.before, shape.after, strict=True)]
        return write_back(
            shape,
            SQL("SELECT {} FROM {} WHERE c.id = %(changeset)s AND c.month = %(reverted_month)s ORDER BY {}").format(
                comma(given), self.source, comma(self.keys)
            ),
        )

    # Inserted and deleted rows

    def _keyed(self, more: str) -> Composable:
        """Return the keys of changesets, typed, with another array of theirs: digests or images, as u.more."""
        keys = len(self.shape.keys)
        slices = [SQL("c.keys[{} * c.rows + 1:{} * c.rows]").format(Literal(i), Literal(i + 1)) for i in range(keys)]
        names = [ident(f"keys_{i}") for i in range(keys)]
        return SQL("ops_changeset AS c CROSS JOIN LATERAL unnest({}, c.{}) AS u ({}, more)").format(
            comma(slices), SQL(more), comma(names)
        )

    def _is_as_inserted(self) -> Composable:
        """Return the condition that nobody has touched an inserted row, and none refers to it."""
        free = [
            SQL("NOT EXISTS (SELECT 1 FROM {} AS o WHERE {})").format(
                SQL(key.other.replace("%", "%%")),
                _all_equal([ident("o", name) for name in key.others], [ident("t", name) for name in key.own]),
            )
            for key in self.table.referred_by
        ]
        same = SQL("{} = u.more").format(digest_of(self.digested, "t"))
        return SQL(" AND ").join([same, *free])

    def count_inserted(self) -> Composable:
        """Return how many rows a run inserted, and how many of them can be deleted again."""
        match = _all_equal(self.shape.key_of("t"), self.keys)
        return SQL(
            "SELECT count(*), count(*) FILTER (WHERE t.{} IS NOT NULL AND {}) FROM {} LEFT JOIN {} AS t ON {} "
            "WHERE c.run_id = %(run)s AND c.kind = 'insert'"
        ).format(self.shape.keys[0], self._is_as_inserted(), self._keyed("digests"), self.shape.target, match)

    def list_touched(self, limit: int) -> Composable:
        """Return the first keys of inserted rows that were edited, deleted or referred to since."""
        match = _all_equal(self.shape.key_of("t"), self.keys)
        return SQL(
            "SELECT ARRAY[{}] FROM {} LEFT JOIN {} AS t ON {} WHERE c.run_id = %(run)s AND c.kind = 'insert' "
            "AND (t.{} IS NULL OR NOT ({})) ORDER BY {} LIMIT {}"
        ).format(
            comma(self.key_texts),
            self._keyed("digests"),
            self.shape.target,
            match,
            self.shape.keys[0],
            self._is_as_inserted(),
            comma(self.keys),
            Literal(limit),
        )

    def count_deleted(self) -> Composable:
        """Return how many rows a revert deleted, and how many of them can be put back."""
        match = _all_equal(self.shape.key_of("t"), self.keys)
        return SQL(
            "SELECT count(*), count(*) FILTER (WHERE t.{} IS NULL) FROM {} LEFT JOIN {} AS t ON {} "
            "WHERE c.run_id = %(run)s AND c.kind = 'delete'"
        ).format(self.shape.keys[0], self._keyed("images"), self.shape.target, match)

    def delete_inserted(self) -> Composable:
        """Return the statement that deletes the rows that %(changeset)s inserted, and keeps them whole."""
        shape = self.shape
        pairs = list(zip(self.keys, shape.keys, strict=True))
        rows = SQL("SELECT {}, u.more FROM {} WHERE c.id = %(changeset)s AND c.month = %(reverted_month)s ORDER BY {}")
        given = rows.format(
            comma([SQL("{} AS {}").format(key, name) for key, name in pairs]), self._keyed("digests"), comma(self.keys)
        )
        before = [SQL("t.{} AS {}").format(c, n) for c, n in zip(shape.columns, shape.before, strict=True)]
        return SQL("WITH written AS (DELETE FROM {} AS t USING ({}) AS u WHERE {} AND {} RETURNING {}) {}").format(
            shape.target,
            given,
            shape.match("t", "u"),
            self._is_as_inserted(),
            comma([*shape.key_of("t"), *before, SQL("row_to_json(t.*)::text AS ops_image")]),
            changeset(shape, SQL("written"), kind=Changeset.Kind.DELETE),
        )

    def put_back(self) -> Composable:
        """Return the statement that inserts the rows that %(changeset)s deleted, as they were."""
        shape = self.shape
        stored = [ident(column.name) for column in self.table.columns.values() if not column.generated]
        after = [SQL("t.{} AS {}").format(c, n) for c, n in zip(shape.columns, shape.after, strict=True)]
        return SQL(
            "WITH written AS (INSERT INTO {0} AS t ({1}) OVERRIDING SYSTEM VALUE SELECT {2} FROM ops_changeset AS c "
            "CROSS JOIN LATERAL unnest(c.images) AS i (image) "
            "CROSS JOIN LATERAL json_populate_record(NULL::{0}, i.image::json) AS r "
            "WHERE c.id = %(changeset)s AND c.month = %(reverted_month)s ON CONFLICT DO NOTHING RETURNING {3}) {4}"
        ).format(
            shape.target,
            comma(stored),
            comma([SQL("r.{}").format(name) for name in stored]),
            comma([*shape.key_of("t"), *after, SQL("{} AS ops_digest").format(digest_of(self.digested, "t"))]),
            changeset(shape, SQL("written"), kind=Changeset.Kind.INSERT),
        )

    def _written(self) -> Composable:
        return SQL("{} WHERE c.run_id = %(run)s AND c.batch = %(batch)s AND c.month = %(month)s").format(self.source)

    def hold(self) -> Composable:
        """Return the statement that holds the rows of a revert's batch against what its run had written."""
        return SQL(
            "INSERT INTO ops_hold (job, key, wanted, run_id) SELECT %(job)s, ARRAY[{}], ARRAY[{}], %(run)s FROM {} "
            "ORDER BY 2 ON CONFLICT (job, key) DO UPDATE SET wanted = excluded.wanted, run_id = excluded.run_id"
        ).format(comma(self.key_texts), comma(self.before_texts), self._written())

    def lift(self) -> Composable:
        """Return the statement that lifts the holds of run %(reverted)s on the rows of a batch."""
        return SQL(
            "DELETE FROM ops_hold AS h USING {} AND h.job = %(job)s AND h.run_id = %(reverted)s AND h.key = ARRAY[{}]"
        ).format(self._written(), comma(self.key_texts))
