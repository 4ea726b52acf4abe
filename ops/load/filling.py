"""Compile what carries staged records over: the bad ones to the rejects, the others, sorted by key, to the merge."""

from collections.abc import Sequence

from psycopg2.sql import SQL, Composable, Literal

from ops.engine.shape import comma, ident
from ops.load.compiler import MASK, SHOWN, Road, Rule, literal, verbatim


class Filling(Road):
    """The statements that write rejects and the merge table."""

    def reject_texts(self, rules: Sequence[Rule]) -> Composable:
        """Return the statement that sets the records aside whose texts break a rule."""
        return self._reject(rules, SQL("{} AS s").format(self.stage))

    def reject_rows(self, rules: Sequence[Rule], joins: Composable, *, rejects: bool) -> Composable:
        """Return the statement that sets the typed rows aside that break a rule."""
        rows = SQL("({}) AS r{} INNER JOIN {} AS s ON s.ops_line = r.ops_line").format(
            self.judged(rejects=rejects), joins, self.stage
        )
        return self._reject(rules, rows)

    def reject_repeats(self) -> Composable:
        """Return the statement that sets all rows aside whose key is in the input more than once."""
        rows, several = self.repeats()
        rule = Rule(
            several, ", ".join(self._label(n) for n in self.spec.arbiter.names if n), None, "its key is not unique"
        )
        return self._reject(
            [rule], SQL("{} AS r INNER JOIN {} AS s ON s.ops_line = r.ops_line").format(rows, self.stage)
        )

    def _fields(self) -> Composable:
        hidden = self.masked_places()
        places = range(len(self.spec.sources))
        return SQL("ARRAY[{}]::text[]").format(
            comma([Literal(MASK) if i in hidden else SQL("s.{}").format(ident(f"c{i}")) for i in places])
        )

    def _reject(self, rules: Sequence[Rule], rows: Composable) -> Composable:
        """Return the INSERT of rejects: the first rule that a record breaks is the reason of it."""
        cases: list[Composable] = []
        known: list[Composable] = []

        def code_of(rule: Rule, reason: str) -> Composable:
            place = Literal(None if rule.place is None else rule.place + 1)
            number = Literal(len(known))
            known.append(SQL("({}, {}, {}::integer, {})").format(number, literal(rule.source), place, literal(reason)))
            return number

        for rule in rules:
            code = code_of(rule, rule.reason)
            if rule.narrower:
                # Within, so that the costly condition is tried once.
                condition, reason = rule.narrower
                code = SQL("CASE WHEN {} THEN {} ELSE {} END").format(condition, code_of(rule, reason), code)
            cases.append(SQL("WHEN {} THEN {}").format(rule.condition, code))
        return SQL(
            'INSERT INTO ops_reject (run_id, found, line, "column", value, reason, fields) '
            "SELECT %(run)s, 'judged', q.ops_line, v.source, left(q.fields[v.place], {}), v.reason, q.fields "
            "FROM (SELECT * FROM (SELECT s.ops_line, {} AS fields, CASE {} END AS code FROM {}) AS p "
            "WHERE p.code IS NOT NULL OFFSET 0) AS q "
            "INNER JOIN (VALUES {}) AS v (code, source, place, reason) ON v.code = q.code"
        ).format(Literal(SHOWN), self._fields(), SQL(" ").join(cases), rows, comma(known))

    # The merge table

    def fill(self, *, rejects: bool) -> Composable:
        """Return the statement that fills the merge table: one row a key, numbered in the key's order.

        All writers take rows in one order, so that none waits for another that waits for it.
        """
        spec = self.spec
        keys = [self._sorted(SQL("r.{}").format(key), i) for i, key in enumerate(self.keys_of())]
        values = []
        for name in spec.merged:
            value: Composable = SQL("r.{}").format(ident(name))
            if name in spec.summed:
                value = SQL("(sum({}) OVER (PARTITION BY {}))::{}").format(
                    value, comma(keys), verbatim(spec.table.columns[name].kind)
                )
            values.append(SQL("{} AS {}").format(value, ident(name)))
        order = [*keys]
        if spec.newest:
            order.append(SQL("r.{} DESC NULLS LAST").format(ident(spec.newest)))
        order.append(SQL("r.ops_line {}").format(SQL("ASC" if spec.duplicates == "first" else "DESC")))
        return SQL(
            "INSERT INTO {} (ops_n, ops_line, {}) SELECT row_number() OVER (), q.* FROM ("
            "SELECT DISTINCT ON ({}) r.ops_line, {} FROM ({}) AS r ORDER BY {}) AS q"
        ).format(
            self.merge,
            comma(self.merged_columns),
            comma(keys),
            comma(values),
            self.judged(rejects=rejects),
            comma(order),
        )

    def create_parents(self, number: int) -> Composable:
        """Return the statement that makes the rows of a foreign table that a natural key names and that are missing."""
        lookup = self.spec.lookups[number]
        given = [self._natural(kind, place) for _, kind, place in lookup.parts]
        return SQL(
            "INSERT INTO {} ({}) SELECT DISTINCT {} FROM {} AS s WHERE {} AND NOT EXISTS ("
            "SELECT 1 FROM ops_reject AS j WHERE j.run_id = %(run)s AND j.line = s.ops_line) "
            "ORDER BY {} ON CONFLICT DO NOTHING"
        ).format(
            verbatim(lookup.parent.other),
            comma([ident(other) for other, _, _ in lookup.parts]),
            comma(given),
            self.stage,
            SQL(" AND ").join(SQL("{} IS NOT NULL").format(self._raw(place)) for _, _, place in lookup.parts),
            comma([Literal(i + 1) for i in range(len(given))]),
        )

    def count_merge(self) -> Composable:
        """Return how many rows the merge table has, the highest number."""
        return SQL("SELECT coalesce(max(m.ops_n), 0) FROM {} AS m").format(self.merge)

    def copy_in(self) -> Composable:
        """Return the COPY of records into the staging table."""
        return SQL("COPY {} FROM STDIN").format(self.stage)

    def list_values(self, names: Sequence[str]) -> Composable:
        """Return the typed rows with these columns, for validators that only Python can run."""
        return SQL("SELECT r.ops_line, {} FROM ({}) AS r").format(
            comma([SQL("r.{}").format(ident(name)) for name in names]), self.judged(rejects=True)
        )

    def has_staged(self) -> Composable:
        """Return whether there is any staged record."""
        return SQL("SELECT EXISTS (SELECT 1 FROM {} AS s)").format(self.stage)

    def copy_fields(self) -> Composable:
        """Return the statement that sets the records of %(lines)s aside, whatever is wrong with them."""
        return SQL(
            "INSERT INTO ops_reject (run_id, found, line, reason, fields) "
            "SELECT %(run)s, 'judged', s.ops_line, '', {} FROM {} AS s WHERE s.ops_line = ANY(%(lines)s::bigint[])"
        ).format(self._fields(), self.stage)
