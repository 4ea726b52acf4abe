"""Compose what writes a report's rollup and holds it against its source; rollup_reading.py what answers from it.

`types` are those of the server: of each expression that is kept, then of each part. In all statements rows of the
source are `t`, buckets are instants (a date is its midnight in UTC), what is told apart is `g<k>`, parts are `p<i>`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg2.sql import SQL, Composable, Identifier

from ops.engine.shape import comma, ident
from ops.reports import compiler
from ops.reports.rollup_kept import Kept, Part

DIFFERENCES = 20
"""So many differences are named."""


def typed(name: str) -> Composable:
    """Return the name of a type, as the server has told it."""
    return SQL(name.replace("%", "%%"))


def aggregated(part: Part) -> Composable:
    """Return an aggregate over rows of the source."""
    call = compiler.expression(part.call)
    return SQL("{} FILTER (WHERE ({}))").format(call, compiler.expression(part.where)) if part.where else call


def time_of(kept: Kept) -> Composable:
    """Return the time of a row of the source."""
    return SQL("t.{}").format(ident(kept.column))


def between(kept: Kept, since: Composable, until: Composable) -> Composable:
    """Return the condition that bounds a scan of the source by two instants, in the column's own type for its index."""
    if kept.by_date:
        since, until = (SQL("({} AT TIME ZONE 'UTC')::date").format(edge) for edge in (since, until))
    return SQL("{0} >= {1} AND {0} < {2}").format(time_of(kept), since, until)


def summed(
    kept: Kept,
    told: Sequence[tuple[str, Composable]],
    conditions: Iterable[Composable],
    outputs: Sequence[Composable],
    sets: Sequence[Sequence[str]] = (),
) -> Composable:
    """Return a SELECT over the source by what is told apart, which is (name, SQL); groups without a row are none."""
    source = compiler.origin(kept.report)
    if told:
        # Each is computed once and grouped by its name: a constant is a group, too, and 1 is no position.
        named = comma([SQL("({}) AS {}").format(text, Identifier(name)) for name, text in told])
        source = SQL("{} CROSS JOIN LATERAL (SELECT {}) AS ops_g").format(source, named)
    where = [*conditions, *([SQL("({})").format(compiler.expression(kept.report.where))] if kept.report.where else [])]
    grouped: Composable = SQL("")
    if told:
        made = [
            SQL("({})").format(comma([told_apart(name) for name in names])) for names in sets or [[n for n, _ in told]]
        ]
        grouped = SQL(" GROUP BY GROUPING SETS ({})").format(comma(made))
    return SQL("SELECT {} FROM {} WHERE {}{} HAVING count(*) > 0").format(
        comma(outputs), source, SQL(" AND ").join(where), grouped
    )


def told_apart(name: str) -> Composable:
    """Return what tells rows of the source apart, by its name in `summed`."""
    return SQL("ops_g.{}").format(Identifier(name))


def column(letter: str, place: int) -> Identifier:
    """Return the name of the column at a place."""
    return Identifier(f"{letter}{place}")


def _all(kept: Kept) -> list[tuple[str, Composable]]:
    """Return all that is told apart, by the names of its columns."""
    return [(f"g{k}", compiler.expression(text)) for k, text in enumerate(kept.expressions)]


def _levels(kept: Kept) -> tuple[list[list[str]], Composable]:
    """Return the sets by which rows are grouped, and what tells their level."""
    names = [f"g{k}" for k in range(len(kept.expressions))]
    if not kept.filtered:
        return [names], SQL("0")
    told = told_apart(names[len(kept.groups)])
    return [names, names[: len(kept.groups)]], SQL("1 - grouping({})").format(told)


def values(kept: Kept) -> dict[str, Any]:
    """Return the values that the statements of a rollup name, but for those of what is asked, or of a batch."""
    return {
        "rollup": kept.name,
        "rollup_digest": kept.digest,
        "rollup_source": kept.relation,
        "rollup_column": kept.column,
        "rollup_grain": kept.grain,
        "rollup_zone": kept.bucket_zone,
        "zone": kept.zone,
    }


# Types, and whether expressions give the same at any time


def types(kept: Kept) -> Composable:
    """Return the statement that asks for the types of expressions and parts; it reads no row."""
    origin = compiler.origin(kept.report)
    groups = [
        SQL("pg_typeof((SELECT {} FROM {} WHERE false))::text").format(compiler.expression(text), origin)
        for text in kept.expressions
    ]
    parts = [
        SQL("(SELECT pg_typeof({})::text FROM {} WHERE false)").format(aggregated(part), origin) for part in kept.parts
    ]
    return SQL("SELECT ARRAY[{}]::text[]").format(comma(groups + parts))


def collation(kept: Kept, place: int) -> Composable:
    """Return the statement that tells whether a text that is told apart has a collation that takes some for equal."""
    text = compiler.expression(kept.expressions[place])
    return SQL(
        "SELECT NOT c.collisdeterministic FROM pg_collation AS c "
        "WHERE c.oid = pg_collation_for((SELECT {} FROM {} WHERE false))::regcollation"
    ).format(text, compiler.origin(kept.report))


def rehearsal(kept: Kept) -> Composable:
    """Return the statement that makes an empty table like the source, of the name by which expressions know that."""
    return SQL("CREATE TEMPORARY TABLE t (LIKE {}) ON COMMIT DROP").format(SQL(kept.relation.replace("%", "%%")))


def probe(text: str) -> Composable:
    """Return the statement that the server refuses unless an expression is one, of a row alone and the same always."""
    return SQL("CREATE INDEX ON pg_temp.t ((1)) WHERE (({}) IS NOT NULL)").format(compiler.expression(text))


# Writing


def expand() -> Composable:
    """Return the statement that replaces the markers `ids` of all buckets by one for each that there is."""
    return SQL(
        "WITH ops_taken AS ("
        "DELETE FROM ops_rolluptouched AS m WHERE m.id = ANY(%(ids)s::bigint[]) RETURNING m.id"
        "), ops_there AS ("
        "SELECT b.bucket, b.ends_at FROM ops_rollup_buckets("
        "%(rollup_source)s::regclass, %(rollup_column)s, %(rollup_grain)s, %(rollup_zone)s) AS b "
        "UNION "
        "SELECT r.bucket, ops_rollup_ends(r.bucket, %(rollup_grain)s, %(rollup_zone)s) "
        "FROM ops_rolluprow AS r WHERE r.report = %(rollup)s"
        "), ops_marked AS ("
        "INSERT INTO ops_rolluptouched (report, bucket, ends_at) "
        "SELECT %(rollup)s, e.bucket, e.ends_at FROM ops_there AS e ORDER BY e.bucket RETURNING 1"
        ") SELECT (SELECT count(*) FROM ops_taken), (SELECT count(*) FROM ops_marked)"
    )


def take(kept: Kept) -> Composable:
    """Return the statement that takes the markers `ids` and computes their buckets anew, as of one moment.

    It returns how many rows of the rollup it wrote and deleted.
    """
    sets, level = _levels(kept)
    told = _all(kept)
    outputs = [
        SQL("{} AS level").format(level),
        SQL("ARRAY[{}]::text[] AS groups").format(
            comma([SQL("{}::text").format(told_apart(name)) for name, _ in told])
        ),
        SQL("ARRAY[{}]::text[] AS sums").format(
            comma([SQL("({})::text").format(aggregated(part)) for part in kept.parts])
        ),
    ]
    scanned = summed(kept, told, [between(kept, SQL("ops_k.bucket"), SQL("ops_k.ends_at"))], outputs, sets)
    return SQL(
        "WITH ops_taken AS ("
        "DELETE FROM ops_rolluptouched AS m WHERE m.id = ANY(%(ids)s::bigint[]) RETURNING m.bucket, m.ends_at"
        "), ops_k AS MATERIALIZED ("
        "SELECT m.bucket, max(m.ends_at) AS ends_at FROM ops_taken AS m GROUP BY m.bucket"
        "), ops_f AS MATERIALIZED ("
        "SELECT f.level, ops_k.bucket, sha256(convert_to(f.groups::text, 'UTF8')) AS key, f.groups, f.sums "
        "FROM ops_k CROSS JOIN LATERAL ({}) AS f"
        "), ops_gone AS ("
        "DELETE FROM ops_rolluprow AS r USING ops_k "
        "WHERE r.report = %(rollup)s AND r.level IN (0, 1) AND r.bucket = ops_k.bucket AND NOT EXISTS ("
        "SELECT FROM ops_f AS f WHERE f.level = r.level AND f.bucket = r.bucket AND f.key = r.key) RETURNING 1"
        "), ops_put AS ("
        "INSERT INTO ops_rolluprow AS r (report, level, bucket, key, groups, sums) "
        "SELECT %(rollup)s, f.level, f.bucket, f.key, f.groups, f.sums FROM ops_f AS f "
        "ORDER BY f.level, f.bucket, f.key "
        "ON CONFLICT (report, level, bucket, key) DO UPDATE SET sums = excluded.sums "
        "WHERE r.sums IS DISTINCT FROM excluded.sums RETURNING 1"
        ") SELECT (SELECT count(*) FROM ops_put) + (SELECT count(*) FROM ops_gone)"
    ).format(scanned)


def explained(statement: Composable) -> Composable:
    """Return the statement that asks for the server's plan of another."""
    return SQL("EXPLAIN {}").format(statement)


# Verifying


def verifying(kept: Kept, types: Sequence[str]) -> Composable:
    """Return the statement that computes all buckets that were not touched anew and holds them against the rollup.

    It returns the numbers of all rows compared and of those that differ, then of the first of these level, bucket,
    whether it is kept and whether it is so in the source, what is told apart, each part kept, and each of the source.
    """
    sets, level = _levels(kept)
    told = _all(kept)
    width, parts = len(told), range(len(kept.parts))
    outputs = [SQL("{} AS level").format(level)]
    outputs += [SQL("{} AS {}").format(told_apart(name), Identifier(name)) for name, _ in told]
    outputs += [SQL("{} AS {}").format(aggregated(part), column("p", i)) for i, part in enumerate(kept.parts)]
    scanned = summed(kept, told, [between(kept, SQL("ops_k.bucket"), SQL("ops_k.ends_at"))], outputs, sets)
    columns = [*(Identifier(name) for name, _ in told), *(column("p", i) for i in parts)]
    rows = [
        SQL("(r.{}[{}])::{} AS {}").format(
            Identifier("groups" if k < width else "sums"),
            SQL(str(k + 1 if k < width else k - width + 1)),
            typed(types[k]),
            name,
        )
        for k, name in enumerate(columns)
    ]
    keys = [Identifier("level"), Identifier("bucket"), *columns[:width]]
    compared = [
        SQL("min(ops_s.{0}) FILTER (WHERE {2}) AS {1}").format(column("p", i), column(letter, i), side)
        for letter, side in (("k", SQL("ops_s.is_kept")), ("s", SQL("NOT ops_s.is_kept")))
        for i in parts
    ]
    differs: list[Composable] = [SQL("ops_d.kept <> 1 OR ops_d.found <> 1")]
    differs += [SQL("ops_d.{} IS DISTINCT FROM ops_d.{}").format(column("k", i), column("s", i)) for i in parts]
    shown = [*keys, Identifier("kept"), Identifier("found"), *(column(letter, i) for letter in "ks" for i in parts)]
    return SQL(
        "WITH ops_k AS MATERIALIZED ("
        "SELECT b.bucket, b.ends_at FROM ops_rollup_buckets("
        "%(rollup_source)s::regclass, %(rollup_column)s, %(rollup_grain)s, %(rollup_zone)s) AS b "
        "WHERE NOT EXISTS (SELECT FROM ops_rolluptouched AS m WHERE m.report = %(rollup)s AND m.bucket = b.bucket)"
        "), ops_s AS ("
        "SELECT false AS is_kept, f.level, ops_k.bucket, {found} FROM ops_k CROSS JOIN LATERAL ({scanned}) AS f "
        "UNION ALL "
        "SELECT true, r.level, r.bucket, {rows} FROM ops_rolluprow AS r WHERE r.report = %(rollup)s AND NOT EXISTS ("
        "SELECT FROM ops_rolluptouched AS m WHERE m.report = %(rollup)s AND m.bucket = r.bucket)"
        "), ops_d AS ("
        "SELECT {grouped}, count(*) FILTER (WHERE ops_s.is_kept) AS kept, "
        "count(*) FILTER (WHERE NOT ops_s.is_kept) AS found, {compared} FROM ops_s GROUP BY {grouped}"
        "), ops_w AS MATERIALIZED (SELECT ops_d.*, ({differs}) AS is_wrong FROM ops_d) "
        "SELECT n.compared, n.wrong, {shown} FROM ("
        "SELECT count(*) AS compared, count(*) FILTER (WHERE w.is_wrong) AS wrong FROM ops_w AS w) AS n "
        "LEFT JOIN LATERAL ("
        "SELECT w.* FROM ops_w AS w WHERE w.is_wrong ORDER BY {ordered} LIMIT {most}) AS d ON true "
        "ORDER BY {sorted}"
    ).format(
        found=comma([SQL("f.{}").format(name) for name in columns]),
        scanned=scanned,
        rows=comma(rows),
        grouped=comma([SQL("ops_s.{}").format(key) for key in keys]),
        compared=comma(compared),
        differs=SQL(" OR ").join(differs),
        shown=comma([SQL("d.{}").format(name) for name in shown]),
        ordered=comma([SQL("w.{}").format(key) for key in keys]),
        most=SQL(str(DIFFERENCES)),
        sorted=comma([SQL("d.{}").format(key) for key in keys]),
    )
