"""Compile what reads the merge table against the target, and what merges a range of it, with its changesets.

In all of them the target's row is `target` and the loaded one `excluded`, as in ON CONFLICT, so that an expression of
the user's means the same in the plan and in the write.
"""

from collections.abc import Sequence
from typing import cast

from psycopg2.sql import SQL, Composable, Literal

from ops.engine.batches import changeset
from ops.engine.shape import comma, digest_of, ident
from ops.load.compiler import cast as as_kind
from ops.load.compiler import verbatim
from ops.load.filling import Filling
from ops.load.spec import Wanted
from ops.models import Changeset

RANGE = SQL("excluded.ops_n > %(first)s AND excluded.ops_n <= %(last)s")


class Merging(Filling):
    """The statements that compare with the target and write it."""

    # How a loaded row and the target's compare

    def _target(self) -> Composable:
        """Return the target's rows that the key is about, with the parts of the key that are expressions."""
        rows: Composable = self.target
        if self.spec.arbiter.predicate:
            rows = SQL("(SELECT p.* FROM {} AS p WHERE {})").format(rows, verbatim(self.spec.arbiter.predicate))
        return self.with_keys(rows, "target")

    def _excluded(self) -> Composable:
        return self.with_keys(self.with_defaults(self.merge), "excluded")

    def _same_key(self) -> Composable:
        parts = []
        for key, name in zip(self.keys_of(), self.spec.arbiter.names, strict=True):
            equal = SQL("target.{0} = excluded.{0}").format(key)
            nullable = name is None or not self.spec.table.columns[name].required
            if self.spec.arbiter.equal_nulls and nullable:
                # IS NOT DISTINCT FROM would find no index.
                equal = SQL("({1} OR (target.{0} IS NULL AND excluded.{0} IS NULL))").format(key, equal)
            parts.append(equal)
        return SQL(" AND ").join(parts)

    def _is_new(self) -> Composable:
        return SQL("target.{} IS NULL").format(self.keys[0])

    def _becomes(self, one: Wanted) -> Composable:
        """Return what a row's column becomes."""
        name = ident(one.column.name)
        if one.text is None:
            return SQL("excluded.{}").format(name)
        # The line end ends a comment in the user's text.
        return SQL("({}\n)::{}").format(verbatim(one.text), as_kind(one.column))

    def _column_differs(self, one: Wanted) -> Composable:
        present: Composable = SQL("target.{}").format(ident(one.column.name))
        wanted = self._becomes(one)
        if not one.column.hashable:
            # Not every type has an equality: json has none.
            present, wanted = SQL("{}::text").format(present), SQL("{}::text").format(wanted)
        return SQL("{} IS DISTINCT FROM {}").format(present, wanted)

    def differs(self) -> Composable:
        """Return the condition that a loaded row changes the target's; neither clocks nor older versions do."""
        compared = [one for one in self.spec.wanted if not one.clock]
        if not compared:
            return SQL("false")
        condition = SQL("({})").format(SQL(" OR ").join(self._column_differs(one) for one in compared))
        if self.spec.newest:
            newer = SQL("(target.{0} IS NULL OR excluded.{0} > target.{0})").format(ident(self.spec.newest))
            condition = SQL("{} AND {}").format(condition, newer)
        return condition

    def compared(self) -> Composable:
        """Return the join of all loaded rows with the target's."""
        return SQL("{} LEFT JOIN {} ON {}").format(self._excluded(), self._target(), self._same_key())

    # The plan

    def totals(self) -> Composable:
        """Return how many rows are new, differ, and how often each column of `differing` does."""
        changed = SQL("NOT ({}) AND {}").format(self._is_new(), self.differs())
        counts: list[Composable] = [
            SQL("count(*) FILTER (WHERE {} AND {})").format(changed, self._column_differs(one))
            for one in self.differing()
        ]
        return SQL("SELECT {} FROM {}").format(
            comma(
                [
                    SQL("count(*) FILTER (WHERE {})").format(self._is_new()),
                    SQL("count(*) FILTER (WHERE {})").format(changed),
                    *counts,
                ]
            ),
            self.compared(),
        )

    def differing(self) -> list[Wanted]:
        """Return the columns whose differences are counted."""
        return [one for one in self.spec.wanted if not one.clock]

    def samples(self, limit: int, upto: int, *, new: bool) -> Composable:
        """Return the first rows, up to a number, that are new or differ: line, key, values before and after."""
        condition = self._is_new() if new else SQL("NOT ({}) AND {}").format(self._is_new(), self.differs())
        keys = [SQL("excluded.{}::text").format(key) for key in self.keys_of()]
        loaded = [name for name in self.spec.merged if name not in self.spec.arbiter.names]
        if new:
            before: list[Composable] = [SQL("NULL::text") for _ in loaded]
            after = [SQL("excluded.{}::text").format(ident(name)) for name in loaded]
        else:
            before = [SQL("target.{}::text").format(ident(one.column.name)) for one in self.differing()]
            after = [SQL("({})::text").format(self._becomes(one)) for one in self.differing()]
        return SQL(
            "SELECT excluded.ops_line, ARRAY[{}]::text[], ARRAY[{}]::text[], ARRAY[{}]::text[] FROM {} "
            "WHERE excluded.ops_n <= {} AND {} ORDER BY excluded.ops_n LIMIT {}"
        ).format(comma(keys), comma(before), comma(after), self.compared(), Literal(upto), condition, Literal(limit))

    # A batch

    def _columns(self) -> Composable:
        spec = self.spec
        names = [*spec.merged, *spec.inserted]
        numbered = any(spec.table.columns[name].identity == "a" for name in names)
        overriding = SQL(" OVERRIDING SYSTEM VALUE" if numbered else "")
        return SQL("({}){}").format(comma([ident(name) for name in names]), overriding)

    def _values(self) -> Composable:
        values = [SQL("excluded.{}").format(ident(name)) for name in self.spec.merged]
        return comma([*values, *(self.inserted_value(name) for name in self.spec.inserted)])

    def _conflict(self) -> Composable:
        arbiter = self.spec.arbiter
        where = SQL(" WHERE {}").format(verbatim(arbiter.predicate)) if arbiter.predicate else SQL("")
        return SQL("({}){}").format(comma([verbatim(part) for part in arbiter.parts]), where)

    def _sets(self) -> Composable:
        return comma([SQL("{} = {}").format(ident(one.column.name), self._becomes(one)) for one in self.spec.wanted])

    def _insert(self, *, fresh: bool, action: Composable, returning: Composable) -> Composable:
        """Return the INSERT of a range; `fresh` looks first which rows are there already and equal, and leaves them."""
        source, condition = self._excluded(), cast(Composable, RANGE)
        if fresh:
            source = self.compared()
            wanted = SQL(" OR ").join([self._is_new(), SQL("({})").format(self.differs())])
            condition = SQL("{} AND ({})").format(RANGE, wanted)
        return SQL(
            "INSERT INTO {} AS target {} SELECT {} FROM {} WHERE {} ORDER BY excluded.ops_n "
            "ON CONFLICT {} {} RETURNING {}"
        ).format(self.target, self._columns(), self._values(), source, condition, self._conflict(), action, returning)

    def _update(self) -> Composable:
        if not self.spec.wanted:
            return SQL("DO NOTHING")
        return SQL("DO UPDATE SET {} WHERE {}").format(self._sets(), self.differs())

    def _digest_as(self, alias: str) -> Composable:
        """Return the hash of a whole row, as a changeset of inserted rows takes it."""
        columns = [(one.name, one.hashable) for one in self.spec.table.columns.values() if not one.generated]
        return SQL("{} AS ops_digest").format(digest_of(columns, alias))

    def _after(self, alias: str) -> list[Composable]:
        pairs = zip(self.columns, self.after, strict=True)
        return [SQL("{}.{} AS {}").format(SQL(alias), column, name) for column, name in pairs]

    def _before(self, alias: str) -> list[Composable]:
        pairs = zip(self.columns, self.before, strict=True)
        return [SQL("{}.{} AS {}").format(SQL(alias), column, name) for column, name in pairs]

    def _key(self, alias: str) -> list[Composable]:
        return [SQL("{}.{}").format(SQL(alias), key) for key in self.keys]

    def _kept(self, kind: Changeset.Kind, rows: str, *, keys: bool = False) -> Composable:
        return changeset(self, SQL(rows), masked=self._masked(), kind=kind, keys=keys)

    def _masked(self) -> list[str]:
        hidden = self.spec.masked
        return [one.name for one in self.spec.model._meta.local_concrete_fields if str(one.column) in hidden]

    def merge_range(self, *, fresh: bool) -> Composable:
        """Return the statement that merges a range and keeps it; from PostgreSQL 18 on, which returns what was before.

        It returns how many rows it inserted and updated.
        """
        returning = comma(
            [
                SQL("(old.{} IS NULL) AS ops_new").format(self.keys[0]),
                *self._key("new"),
                *self._before("old"),
                *self._after("new"),
                self._digest_as("new"),
            ]
        )
        return SQL("WITH written AS ({}), {} {}").format(
            self._insert(fresh=fresh, action=self._update(), returning=returning), self._keep_both(), COUNTS
        )

    def _keep_both(self) -> Composable:
        return SQL("inserted AS ({}), updated AS ({})").format(
            self._kept(Changeset.Kind.INSERT, "(SELECT * FROM written WHERE ops_new) AS w"),
            self._kept(Changeset.Kind.UPDATE, "(SELECT * FROM written WHERE NOT ops_new) AS w"),
        )

    def _present(self) -> Composable:
        """Return the rows of a range that the target has, with their values before."""
        return SQL("SELECT {} FROM {} INNER JOIN {} ON {} WHERE {}").format(
            comma([*self._key("target"), *self._before("target")]),
            self._excluded(),
            self._target(),
            self._same_key(),
            RANGE,
        )

    def merge_range_as_of(self, *, fresh: bool) -> Composable:
        """Return the same for a transaction that reads as of one moment: what is there before is read first."""
        # What was there at that moment may have been deleted since, without an error: then it was inserted. (A
        # partitioned table can't tell.)
        partitioned = next(iter(self.spec.table.columns.values())).partitioned
        new = SQL("{} AS ops_inserted").format(SQL("false" if partitioned else "target.xmax = 0"))
        returning = comma([*self._key("target"), *self._after("target"), self._digest_as("target"), new])
        own = [SQL("o.{}").format(name) for name in (*self.keys, *self.after)]
        before = [SQL("b.{}").format(name) for name in self.before]
        return SQL(
            "WITH present AS MATERIALIZED ({}), own AS ({}), "
            "written AS (SELECT (o.ops_inserted OR b.{} IS NULL) AS ops_new, {}, o.ops_digest "
            "FROM own AS o LEFT JOIN present AS b ON {}), {} {}"
        ).format(
            self._present(),
            self._insert(fresh=fresh, action=self._update(), returning=returning),
            self.keys[0],
            comma([*own, *before]),
            self._same("o", "b"),
            self._keep_both(),
            COUNTS,
        )

    def _same(self, left: str, right: str) -> Composable:
        return SQL(" AND ").join(SQL("{}.{} = {}.{}").format(SQL(left), key, SQL(right), key) for key in self.keys)

    # The same where others write the same rows: first insert and lock, in the key's order, then update what is locked

    def insert_and_lock(self) -> Composable:
        """Return the statement that inserts the new rows of a range and locks the others, in one order.

        It returns the changeset's count, and the keys that it inserted.
        """
        action: Composable = SQL("DO NOTHING")
        if self.spec.wanted:
            first = ident(self.spec.wanted[0].column.name)
            action = SQL("DO UPDATE SET {0} = target.{0} WHERE false").format(first)
        returning = comma([*self._key("target"), *self._after("target"), self._digest_as("target")])
        return SQL("WITH written AS ({}) {}").format(
            self._insert(fresh=False, action=action, returning=returning),
            self._kept(Changeset.Kind.INSERT, "written", keys=True),
        )

    def update_locked(self) -> Composable:
        """Return the statement that updates the locked rows of a range, but those just inserted: %(inserted)s."""
        names = [ident(f"ops_pk_{i}") for i in range(len(self.keys))]
        found = [SQL("{} AS {}").format(key, name) for key, name in zip(self._key("target"), names, strict=True)]
        source = SQL("(SELECT excluded.*, {} FROM {} INNER JOIN {} ON {} WHERE {}) AS excluded").format(
            comma([*found, *self._before("target")]), self._excluded(), self._target(), self._same_key(), RANGE
        )
        match = SQL(" AND ").join(
            SQL("{} = excluded.{}").format(key, name) for key, name in zip(self._key("target"), names, strict=True)
        )
        before = [SQL("excluded.{}").format(name) for name in self.before]
        return SQL(
            "WITH written AS (UPDATE {} AS target SET {} FROM {} WHERE {} AND {} AND {} <> ALL (%(inserted)s::text[]) "
            "RETURNING {}) {}"
        ).format(
            self.target,
            self._sets(),
            source,
            match,
            self.differs(),
            SQL(" || chr(31) || ").join(SQL("{}::text").format(one) for one in self._key("target")),
            comma([*self._key("target"), *before, *self._after("target")]),
            self._kept(Changeset.Kind.UPDATE, "written"),
        )

    def key_at(self) -> Composable:
        """Return the key of the row with number %(n)s."""
        return SQL("SELECT ARRAY[{}]::text[] FROM {} WHERE excluded.ops_n = %(n)s").format(
            comma([SQL("excluded.{}::text").format(key) for key in self.keys_of()]), self._excluded()
        )

    def record_at(self) -> Composable:
        """Return line and fields of the record that became the row with number %(n)s."""
        return SQL(
            "SELECT s.ops_line, {} FROM {} AS m INNER JOIN {} AS s ON s.ops_line = m.ops_line WHERE m.ops_n = %(n)s"
        ).format(self._fields(), self.merge, self.stage)

    def number_of(self, key: Sequence[str | None]) -> Composable:
        """Return the number of the last row whose key is not above one that was kept as text."""
        typed = []
        for i, (text, kind) in enumerate(zip(key, map(verbatim, self.spec.arbiter.kinds), strict=True)):
            typed.append(self._sorted(SQL("{}::{}").format(Literal(text and text.replace("%", "%%")), kind), i))
        own = [self._sorted(SQL("excluded.{}").format(part), i) for i, part in enumerate(self.keys_of())]
        return SQL("SELECT coalesce(max(excluded.ops_n), 0) FROM {} WHERE ({}) <= ({})").format(
            self._excluded(), comma(own), comma(typed)
        )


COUNTS = SQL("SELECT coalesce((SELECT rows FROM inserted), 0), coalesce((SELECT rows FROM updated), 0)")
