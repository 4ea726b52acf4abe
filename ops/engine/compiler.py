"""Compile what a job reads: the plan's one pass, its largest changes, and the rows of a window that differ.

All of it is made around the job's one SELECT, so that a plan counts exactly what a run writes.
"""

from collections.abc import Sequence
from typing import Any

from psycopg2.sql import SQL, Composable, Literal

from ops.engine.jobs import Job, Params, column_of
from ops.engine.shape import DIFFERENCE, STAGED, Shape, body, comma, ident, row, text


class Compiler(Shape):
    """The reading statements of one bound job with one set of parameters."""

    def __init__(self, job: Job, params: Params, connection: Any) -> None:
        super().__init__(job.target, job.columns, connection)
        self.job = job
        self.reading = job.reading()
        self.hold_name = job.hold_name(params)
        self.given = set(self.reading.returns) if self.reading else set()
        # A key may have a column of that name: then it is no xmin.
        own = {"version", *(f"before_{name}" for name in self.names)} - {column_of(f) for f in self.key_fields}
        self.brings_version = "version" in own and own <= self.given

    def _select(self) -> Composable:
        """Return the job's own SELECT; one that names no rows means all of them."""
        if self.reading is None:
            return SQL("SELECT {} FROM {} AS t").format(comma(self.key_of("t")), self.target)
        return body(self.reading.body)

    def _source(self) -> Composable:
        """Return the wanted rows as `w`, with version and present values, without a join where they bring them."""
        wanted = self._select()
        if self.brings_version:
            return SQL("({}) AS w").format(wanted)
        present = comma(
            [SQL("t.xmin AS ops_version")]
            + [
                SQL("t.{} AS {}").format(column, ident(f"before_{name}"))
                for column, name in zip(self.columns, self.names, strict=True)
            ]
        )
        return SQL("(SELECT w.*, {} FROM ({}) AS w INNER JOIN {} AS t ON {}) AS w").format(
            present, wanted, self.target, self.match("t", "w")
        )

    def rows(
        self,
        *,
        holds: bool,
        after: Sequence[str] | None = None,
        upto: Sequence[str] | None = None,
        keys: Sequence[Sequence[str]] | None = None,
    ) -> Composable:
        """Return a SELECT over the rows looked at: key, before_i, after_i.

        And, as ops_<name>: version, differs, held, refused, times and currency.
        """
        money = self.job.money
        version = SQL("w.version AS ops_version" if self.brings_version else "w.ops_version")
        given: list[Composable] = [*self.key_of("w"), version]
        given += [
            SQL("w.{} AS {}").format(ident(f"before_{c}"), b) for c, b in zip(self.names, self.before, strict=True)
        ]
        given += [SQL("w.{} AS {}").format(ident(c), ident(f"raw_{i}")) for i, c in enumerate(self.names)]
        refused = ident("w", "refused") if "refused" in self.given else SQL("NULL::text")
        given.append(SQL("{} AS ops_refused").format(refused))
        if money:
            given.append(SQL("w.{} AS ops_times").format(ident(money.times)))
            given.append(SQL("w.{} AS ops_currency").format(ident(money.currency)))
        bounds = self.within("w", after, upto)
        if keys is not None:
            # Below the fence, so that only these rows are computed.
            bounds = SQL("{} IN ({})").format(row(self.key_of("w")), comma([self.key_literal(key) for key in keys]))
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
        outputs: list[Composable] = [*self.key_of("w"), SQL("w.ops_version"), SQL("w.ops_refused")]
        outputs += [SQL("w.{}").format(before) for before in self.before]
        outputs += [SQL("{} AS {}").format(cast, name) for cast, name in zip(casts, self.after, strict=True)]
        outputs.append(SQL("(w.ops_refused IS NULL AND ({})) AS ops_differs").format(differs))
        if holds:
            # A hold refuses one set of wanted values; once others are wanted, it holds no longer.
            wanted = comma([SQL("{}::text").format(cast) for cast in casts])
            outputs.append(SQL("coalesce(h.wanted = ARRAY[{}], false) AS ops_held").format(wanted))
            source = SQL("{} LEFT JOIN ops_hold AS h ON h.job = {} AND h.key = {}").format(
                source, text(self.hold_name), self.key_text("w")
            )
        else:
            outputs.append(SQL("false AS ops_held"))
        if money:
            outputs += [SQL("w.ops_times"), SQL("w.ops_currency")]
        return SQL("SELECT {} FROM {}").format(comma(outputs), source)

    def totals(
        self, *, holds: bool, after: Sequence[str] | None = None, upto: Sequence[str] | None = None
    ) -> Composable:
        """Return the plan's one pass: per currency (or once) the counts, and money before and its change."""
        if not self.job.reconciles:
            return SQL("SELECT NULL::text, count(*), count(*), 0::bigint, 0::bigint, NULL, NULL, NULL FROM {}").format(
                SQL("({}) AS w WHERE {}").format(self._select(), self.within("w", after, upto))
            )
        money = self.job.money
        sums: Composable
        group: Composable
        order: Composable
        if money is None:
            sums, group, order = SQL("NULL, NULL, NULL"), SQL("NULL::text"), SQL("")
        else:
            i = self.names.index(money.column)
            before, changed = self.before[i], self.after[i]
            change = SQL("(r.{} - coalesce(r.{}, 0))").format(changed, before)
            sums = SQL(
                "coalesce(sum(r.{before} * r.ops_times), 0), "
                "coalesce(sum({change} * r.ops_times) FILTER (WHERE r.ops_differs AND NOT r.ops_held), 0), "
                "max(abs({change}) * 100 / nullif(r.{before}, 0)) FILTER (WHERE r.ops_differs AND NOT r.ops_held)"
            ).format(before=before, change=change)
            group, order = SQL("r.ops_currency"), SQL("GROUP BY r.ops_currency")
        return SQL(
            "SELECT {}, count(*), count(*) FILTER (WHERE r.ops_differs AND NOT r.ops_held), "
            "count(*) FILTER (WHERE r.ops_differs AND r.ops_held), "
            "count(*) FILTER (WHERE r.ops_refused IS NOT NULL), {} "
            "FROM ({}) AS r {}"
        ).format(group, sums, self.rows(holds=holds, after=after, upto=upto), order)

    def largest(self, limit: int, *, holds: bool, staged: bool) -> Composable:
        """Return the keys with the largest changes: of money where the job counts it, else the first by key.

        They are read from the staged difference where there is one.
        """
        order: Composable = comma(self.key_of("r"))
        if money := self.job.money:
            i = self.names.index(money.column)
            order = SQL("abs(r.{} - coalesce(r.{}, 0)) * r.ops_times DESC NULLS LAST, {}").format(
                self.after[i], self.before[i], order
            )
        values = [SQL("r.{}::text").format(column) for column in (*self.before, *self.after)]
        source: Composable = STAGED
        if not staged:
            source = SQL("(SELECT * FROM ({}) AS q WHERE q.ops_differs AND NOT q.ops_held)").format(
                self.rows(holds=holds)
            )
        return SQL("SELECT {}, ARRAY[{}] FROM {} AS r ORDER BY {} LIMIT {}").format(
            self.key_text("r"), comma(values), source, order, Literal(limit)
        )

    def refusals(self, limit: int) -> Composable:
        """Return the first refused keys with their reasons."""
        return SQL(
            "SELECT {}, r.ops_refused FROM ({}) AS r WHERE r.ops_refused IS NOT NULL ORDER BY {} LIMIT {}"
        ).format(self.key_text("r"), self.rows(holds=False), comma(self.key_of("r")), Literal(limit))

    def difference(
        self, *, holds: bool, after: Sequence[str] | None = None, upto: Sequence[str] | None = None, slot: int = 0
    ) -> Composable:
        """Return the statement that stages the rows of a window that are to be written, from a slot on.

        They lie in the order of slot and key, so that a batch reads one stretch and writes in key order.
        """
        rest = SQL(" AND {} >= {}").format(self.slot("r"), Literal(slot)) if slot else SQL("")
        if not self.job.reconciles:
            return SQL(
                "CREATE TEMPORARY TABLE {} AS SELECT {} AS ops_slot, {} FROM ({}) AS r WHERE {}{} ORDER BY ops_slot, {}"
            ).format(
                ident(DIFFERENCE),
                self.slot("r"),
                comma(self.key_of("r")),
                self._select(),
                self.within("r", after, upto),
                rest,
                comma(self.key_of("r")),
            )
        columns = comma(
            [SQL("{} AS ops_slot").format(self.slot("r")), *self.key_of("r"), SQL("r.ops_version")]
            + [SQL("r.{}").format(column) for column in (*self.before, *self.after)]
            + ([SQL("r.ops_times")] if self.job.money else [])
        )
        return SQL(
            "CREATE TEMPORARY TABLE {} AS SELECT {} FROM ({}) AS r "
            "WHERE r.ops_differs AND NOT r.ops_held{} ORDER BY ops_slot, {}"
        ).format(
            ident(DIFFERENCE), columns, self.rows(holds=holds, after=after, upto=upto), rest, comma(self.key_of("r"))
        )

    def lift_moot_holds(self) -> Composable:
        """Return the statement that deletes the holds of rows for which other values are wanted now."""
        return SQL(
            "DELETE FROM ops_hold AS h USING ({}) AS r WHERE h.job = {} AND h.key = {} AND NOT r.ops_held"
        ).format(self.rows(holds=True), text(self.hold_name), self.key_text("r"))
