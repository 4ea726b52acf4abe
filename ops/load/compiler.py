"""Compile the statements of a load's road up to its merge: what a record must be, what it becomes, how it is ordered.

`s` is a staged record (texts c0, c1, ..), `r` the same with the target's types, `m` a row of the merge table.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2.sql import SQL, Composable, Literal

from ops.engine.catalog import NUMBERS, WHOLE, Column
from ops.engine.shape import Shape, comma, ident
from ops.load.form import date_patterns
from ops.load.spec import Spec, Value

MASK = "***"

SHOWN = 200
"""Characters of a bad value that are kept to be shown; the record itself is kept whole."""

_TIMES = ("timestamp with time zone", "timestamp without time zone")
# All of it: the server's own parser overlooks a comma or a quote at the end.
_ISO = (
    "^\\s*\\d{4,}-\\d{1,2}-\\d{1,2}([ Tt]\\d{1,2}(:\\d{2}(:\\d{2}([.]\\d+)?)?)?"
    "\\s*([Zz]|UTC|[-+]\\d{1,2}(:?\\d{2}){0,2})?)?\\s*$"
)
_ARTICLES = {"integer": "no whole number", "bigint": "no whole number", "smallint": "no whole number"}


def verbatim(text: str) -> Composable:
    """Return SQL that the server itself wrote (a type, a condition), whatever percent signs it has."""
    return SQL(text.replace("%", "%%"))


def literal(value: Any) -> Composable:
    """Return a value as a literal that survives psycopg2's interpolation."""
    return Literal(value.replace("%", "%%") if isinstance(value, str) else value)


def _is_text(kind: str) -> bool:
    return kind.partition("(")[0] in ("text", "character varying", "character")


def cast(column: Column) -> Composable:
    """Return the type to cast to: of texts the one without a length, for a cast would cut what is too long."""
    return verbatim(
        {"character": "bpchar", "bit": "bit varying"}.get(column.base, column.base) if column.cuts else column.kind
    )


@dataclass(frozen=True)
class Rule:
    """What makes a record bad: a condition over it, the source column to name, its place (None: none), the reason."""

    condition: Composable
    source: str
    place: int | None
    reason: str
    narrower: tuple[Composable, str] | None = None
    """Where this holds, too, the reason is another one."""


class Road(Shape):
    """The statements from the staged records to the merge table, for one run."""

    def __init__(
        self, spec: Spec, run: int, params: Mapping[str, Any], connection: Any, *, null: Sequence[str]
    ) -> None:
        super().__init__(spec.model, spec.kept, connection)
        self.spec = spec
        self.params = params
        self.null = tuple(null)
        self.stage = ident(f"ops_stage_{run}")
        self.merge = ident(f"ops_merge_{run}")
        # pg_input_is_valid came with 16.
        self.validates = connection.pg_version >= 160000
        self.merged_columns = [ident(name) for name in spec.merged]

    # One value

    def _raw(self, place: int, *, keeps_empty: bool = False) -> Composable:
        """Return a source's text as it counts: blanks taken away where asked for, null for a word that means it."""
        text: Composable = SQL("s.{}").format(ident(f"c{place}"))
        if self.params["trim"]:
            text = SQL("btrim({}, E' \\t\\r\\n\\u00a0')").format(text)
        words = [word for word in self.null if word or not keeps_empty]
        if len(words) == 1:
            return SQL("nullif({}, {})").format(text, literal(words[0]))
        if words:
            return SQL("CASE WHEN {0} <> ALL (ARRAY[{1}]) THEN {0} END").format(
                text, comma([literal(w) for w in words])
            )
        return text

    def _text(self, column: Column, place: int) -> Composable:
        """Return the text that is cast to a column's type."""
        if column.textual:
            return self._raw(place, keeps_empty=self._stays_empty(column))
        text = self._raw(place)
        if column.base in NUMBERS:
            if self.params["thousands"]:
                text = SQL("replace({}, {}, '')").format(text, literal(self.params["thousands"]))
            if self.params["decimal"] != ".":
                text = SQL("translate({}, {}, '.')").format(text, literal(self.params["decimal"]))
        if column.base in WHOLE:
            # 9.0 is a whole number, too.
            return SQL("CASE WHEN strpos({0}, '.') > 0 THEN regexp_replace({0}, '\\.0*\\s*$', '') ELSE {0} END").format(
                text
            )
        if self.params["date_format"] and column.kind in ("date", *_TIMES):
            cases = [
                SQL("WHEN {0} ~ {1} THEN regexp_replace({0}, {1}, {2})").format(text, literal(pattern), literal(iso))
                for pattern, iso, _ in date_patterns(self.params["date_format"])
            ]
            # What is not of the format must not pass as something else; an empty text is no date, and null stays null.
            return SQL("CASE {} ELSE left({}, 0) END").format(SQL(" ").join(cases), text)
        return text

    def _stays_empty(self, column: Column) -> bool:
        """Tell whether an empty text stays one: where it can't be null, as Django has it, but not as a key."""
        return column.textual and column.required and column.name not in self.spec.arbiter.names

    def _value(self, column: Column, place: int) -> Composable:
        return SQL("{}::{}").format(self._text(column, place), cast(column))

    def _natural(self, kind: str, place: int) -> Composable:
        """Return a part of a natural key; joins may look at it before its record is known to be good."""
        text = self._raw(place)
        if _is_text(kind):
            return SQL("{}::{}").format(text, verbatim(kind.partition("(")[0]))
        return SQL("CASE WHEN {} THEN NULL ELSE {}::{} END").format(self._invalid(text, kind), text, verbatim(kind))

    # The first look: is each text a value of its column?

    def text_rules(self) -> Iterator[Rule]:
        """Yield what makes a staged record bad by its texts alone."""
        for name, place in self.spec.fed.items():
            column = self.spec.table.columns[name]
            source = self.spec.sources[place]
            text = self._text(column, place)
            if column.required:
                nullable = SQL("{} IS NULL").format(self._raw(place, keeps_empty=self._stays_empty(column)))
                yield Rule(nullable, source, place, "null in a required column")
            if column.length is not None:
                too_long = SQL("char_length({}) > {}").format(text, Literal(column.length))
                yield Rule(too_long, source, place, f"too long: at most {column.length} characters")
            elif not column.textual:
                yield from self._type_rules(column, text, source, place)
        for lookup in self.spec.lookups:
            for other, kind, place in lookup.parts:
                if not _is_text(kind):
                    invalid = self._invalid(self._raw(place), kind)
                    yield Rule(invalid, self.spec.sources[place], place, f"no {kind} (of {other})")

    def _type_rules(self, column: Column, text: Composable, source: str, place: int) -> Iterator[Rule]:
        invalid = self._invalid(text, column.kind)
        if column.kind in ("date", *_TIMES) and not self.params["date_format"]:
            # 1.2.2026 would be read by the server's DateStyle, as January 2 perhaps; and it knows 'today'.
            # The regular expression is six times as dear as to see that it is of the usual form.
            usual = SQL("({0} LIKE '____-__-__' AND btrim({0}, '0123456789-') = '')").format(text)
            if column.kind != "date":
                usual = SQL(
                    "(({0} LIKE '____-__-__ __:__%%' OR {0} LIKE '____-__-__T__:__%%') "
                    "AND btrim({0}, '0123456789-: +.TZ') = '')"
                ).format(text)
            invalid = SQL("((NOT {} AND {} !~ {}) OR {})").format(usual, text, literal(_ISO), invalid)
        narrower = None
        if column.base in WHOLE:
            narrower = SQL("{} ~ '^\\s*[-+]?\\d+\\s*$'").format(text), f"out of range of {column.kind}"
        elif column.base == "numeric":
            outside = SQL("{} !~* 'n' AND NOT {}").format(text, self._invalid(text, "numeric"))
            narrower = outside, f"out of range of {column.kind}"
            # NaN and infinity: no other number has an n.
            invalid = SQL("({0} OR strpos({1}, 'n') > 0 OR strpos({1}, 'N') > 0)").format(invalid, text)
        named = "no number" if column.base in NUMBERS else f"no {column.base.removesuffix(' without time zone')}"
        yield Rule(invalid, source, place, _ARTICLES.get(column.base, named), narrower)
        if column.base == "numeric" and column.scale is not None and not self.params["round"]:
            # Counted digit by digit only where there are so many behind the point, or an exponent.
            finer = SQL(
                "((strpos({0}, '.') > 0 AND length({0}) - strpos({0}, '.') > {1}) OR strpos({0}, 'e') > 0 "
                "OR strpos({0}, 'E') > 0) AND scale(trim_scale({0}::numeric)) > {1}"
            ).format(text, Literal(column.scale))
            yield Rule(finer, source, place, f"more than {column.scale} decimals: --round rounds them")

    def _invalid(self, text: Composable, kind: str) -> Composable:
        if self.validates:
            return SQL("NOT pg_input_is_valid({}, {})").format(text, literal(kind))
        # A function that catches errors is costly, so what is plainly right is not given to it.
        plain = {
            "smallint": "^[-+]?\\d{1,4}$",
            "integer": "^[-+]?\\d{1,9}$",
            "bigint": "^[-+]?\\d{1,18}$",
            "uuid": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        }.get(kind)
        asked = SQL("ops_input_error({}, {}) IS NOT NULL").format(text, literal(kind))
        if plain is None:
            return asked
        return SQL("({} !~ {} AND {})").format(text, literal(plain), asked)

    # The second look: rows with the target's types

    def typed(self, *, rejects: bool) -> Composable:
        """Return a SELECT of the staged records as rows of the target's types, with what other rules need of them.

        `rejects` leaves those out that were refused by now.
        """
        spec = self.spec
        outputs: list[Composable] = [SQL("s.ops_line")]
        source: Composable = SQL("{} AS s").format(self.stage)
        for name, place in spec.fed.items():
            outputs.append(SQL("{} AS {}").format(self._value(spec.table.columns[name], place), ident(name)))
        for number, lookup in enumerate(spec.lookups):
            parent = ident(f"l{number}")
            match = SQL(" AND ").join(
                SQL("{}.{} = {}").format(parent, ident(other), self._natural(kind, place))
                for other, kind, place in lookup.parts
            )
            source = SQL("{} LEFT JOIN {} AS {} ON {}").format(source, verbatim(lookup.parent.other), parent, match)
            outputs.append(SQL("{}.{} AS {}").format(parent, ident(lookup.parent.others[0]), ident(lookup.column)))
            given = SQL(" OR ").join(SQL("{} IS NOT NULL").format(self._raw(place)) for _, _, place in lookup.parts)
            outputs.append(SQL("({}) AS {}").format(given, ident(f"ops_given_{number}")))
        for name, text in spec.constants.items():
            outputs.append(SQL("{}::{} AS {}").format(literal(text), cast(spec.table.columns[name]), ident(name)))
        outputs += [SQL("{} AS {}").format(self.inserted_value(name), ident(name)) for name in sorted(self._needed())]
        where = SQL("true")
        if rejects:
            # OFFSET 0 is a fence: no text may be cast before it is known to be good.
            where = SQL(
                "NOT EXISTS (SELECT 1 FROM ops_reject AS j WHERE j.run_id = %(run)s AND j.line = s.ops_line) OFFSET 0"
            )
        return SQL("SELECT {} FROM {} WHERE {}").format(comma(outputs), source, where)

    def inserted_value(self, name: str) -> Composable:
        """Return what a new row has in a column that is not loaded."""
        column = self.spec.table.columns[name]
        given = self.spec.inserted.get(name, column.given)
        if isinstance(given, Value):
            return SQL("{}::{}").format(literal(given.value), cast(column))
        return SQL("({})::{}").format(verbatim(given or "NULL"), cast(column))

    def _checked(self) -> list[tuple[str, str]]:
        """Return the checks that can be tried beforehand, by name: not those of a column that numbers itself."""
        columns = self.spec.table.columns
        loaded = set(self.spec.merged)
        found = []
        for check in self.spec.table.checks:
            own = [columns[name] for name in check.names if name not in loaded]
            if loaded & set(check.names) and not any(
                one.identity or one.generated or "nextval" in (one.given or "") for one in own
            ):
                found.append((check.name, check.condition))
        return found

    def _needed(self) -> set[str]:
        """Return the columns that are not loaded and are named by a check or the key's condition."""
        names = {name for check in self.spec.table.checks for name in check.names}
        if self.spec.arbiter.predicate or None in self.spec.arbiter.names:
            names |= set(self.spec.table.columns)
        return {
            name
            for name in names - set(self.spec.merged)
            if not self.spec.table.columns[name].generated
            and not self.spec.table.columns[name].identity
            and "nextval" not in (self.spec.table.columns[name].given or "")
        }

    def keys_of(self) -> list[Composable]:
        """Return the names of the key's parts beside a row: its own columns, or ops_key_i for an expression."""
        names = self.spec.arbiter.names
        return [ident(name) if name else ident(f"ops_key_{i}") for i, name in enumerate(names)]

    def with_keys(self, rows: Composable, alias: str) -> Composable:
        """Return rows as a table with ops_key_i for each part of the key that is an expression."""
        arbiter = self.spec.arbiter
        more = [
            SQL("{} AS {}").format(verbatim(part), ident(f"ops_key_{i}"))
            for i, part in enumerate(arbiter.parts)
            if arbiter.names[i] is None
        ]
        if not more:
            return SQL("{} AS {}").format(rows, ident(alias))
        return SQL("(SELECT q.*, {} FROM {} AS q) AS {}").format(comma(more), rows, ident(alias))

    def with_defaults(self, rows: Composable) -> Composable:
        """Return loaded rows with what an inserted one has in the columns that an expression of the key may name."""
        if None not in self.spec.arbiter.names:
            return rows
        more = [SQL("{} AS {}").format(self.inserted_value(name), ident(name)) for name in sorted(self._needed())]
        return SQL("(SELECT {} FROM {} AS m)").format(comma([SQL("m.*"), *more]), rows)

    def judged(self, *, rejects: bool) -> Composable:
        """Return a SELECT of the typed rows with the verdict of each condition: ops_ok_i, ops_in, and the key's parts.

        Conditions are the server's own texts with unqualified names, so here is one table in scope.
        """
        more = [
            SQL("({}) AS {}").format(verbatim(condition), ident(f"ops_ok_{i}"))
            for i, (_, condition) in enumerate(self._checked())
        ]
        if self.spec.arbiter.predicate:
            more.append(SQL("({}) AS ops_in").format(verbatim(self.spec.arbiter.predicate)))
        typed = SQL("({})").format(self.typed(rejects=rejects))
        keyed = self.with_keys(typed, "k")
        return SQL("SELECT {} FROM {}").format(comma([SQL("k.*"), *more]), keyed)

    def row_rules(self, messages: Mapping[str, str]) -> tuple[list[Rule], Composable]:
        """Return what makes a typed row `r` bad, and the joins that it takes; `messages` are by constraint."""
        spec = self.spec
        rules: list[Rule] = []
        joins: Composable = SQL("")
        for number, lookup in enumerate(spec.lookups):
            column = spec.table.columns[lookup.column]
            places = lookup.parts[0][2]
            given = SQL("r.{}").format(ident(f"ops_given_{number}"))
            if not lookup.create:
                missing = SQL("r.{} IS NULL AND {}").format(ident(lookup.column), given)
                rules.append(Rule(missing, lookup.word, places, f"unknown key of {lookup.table}"))
            if column.required:
                rules.append(Rule(SQL("NOT {}").format(given), lookup.word, places, "null in a required column"))
        for number, key in enumerate(spec.table.refers_to):
            if not set(key.own) & set(spec.fed) or set(key.own) - set(spec.merged):
                continue  # a constant was looked up before
            parent = ident(f"f{number}")
            pairs = list(zip(key.own, key.others, strict=True))
            match = SQL(" AND ").join(
                SQL("{}.{} = r.{}").format(parent, ident(other), ident(own)) for own, other in pairs
            )
            joins = SQL("{} LEFT JOIN {} AS {} ON {}").format(joins, verbatim(key.other), parent, match)
            missing = SQL(" AND ").join(
                [SQL("r.{} IS NOT NULL").format(ident(own)) for own in key.own]
                + [SQL("{}.{} IS NULL").format(parent, ident(key.others[0]))]
            )
            if key.itself and set(key.others) <= set(spec.merged):
                among = SQL(" AND ").join(SQL("o.{} = r.{}").format(ident(other), ident(own)) for own, other in pairs)
                missing = SQL("{} AND NOT EXISTS (SELECT 1 FROM ({}) AS o WHERE {})").format(
                    missing, self.typed(rejects=True), among
                )
            rules.append(self._rule_of(missing, key.own, f"unknown key of {key.other}"))
        rules += [
            Rule(SQL("r.{} IS NULL").format(key), self._label(name), self._place(name), "null in a part of the key")
            for key, name in zip(self.keys_of(), spec.arbiter.names, strict=True)
            if not spec.arbiter.equal_nulls and not self._created(name)
            if name is None or not spec.table.columns[name].required
        ]
        if spec.arbiter.predicate:
            outside = f"outside of the key's condition ({spec.arbiter.predicate}): it would be inserted again each time"
            rules.append(Rule(SQL("r.ops_in IS NOT true"), "", None, outside))
        names = {check.name: check.names for check in spec.table.checks}
        for i, (name, condition) in enumerate(self._checked()):
            violated = SQL("r.{} IS false").format(ident(f"ops_ok_{i}"))
            words = messages.get(name) or f"violates {name}: {condition}"
            rules.append(self._rule_of(violated, [one for one in names[name] if one in spec.merged], words))
        return rules, joins

    def choice_rules(self) -> Iterator[Rule]:
        """Yield a rule for each loaded field with choices."""
        for one in self.spec.model._meta.local_concrete_fields:
            if one.column in self.spec.merged and one.flatchoices:
                known = [str(value) for value, _ in one.flatchoices]
                strange = SQL("r.{0} IS NOT NULL AND r.{0}::text <> ALL (ARRAY[{1}]) AND r.{0}::text <> ''").format(
                    ident(str(one.column)), comma([literal(value) for value in known])
                )
                yield self._rule_of(strange, [str(one.column)], f"none of {', '.join(known[:10])}")

    def repeats(self) -> tuple[Composable, Composable]:
        """Return rows with how many of them have the same key, and the condition that there are several."""
        keys = comma([self._sorted(SQL("r.{}").format(key), i) for i, key in enumerate(self.keys_of())])
        rows = SQL("(SELECT r.*, count(*) OVER (PARTITION BY {}) AS ops_same FROM ({}) AS r)").format(
            keys, self.judged(rejects=True)
        )
        return rows, SQL("r.ops_same > 1")

    def _rule_of(self, condition: Composable, columns: Sequence[str], reason: str) -> Rule:
        labels = ", ".join(self._label(name) for name in columns)
        return Rule(condition, labels, self._place(columns[0]) if columns else None, reason)

    def _label(self, name: str | None) -> str:
        return self.spec.labels.get(name, name) if name else ""

    def _place(self, name: str | None) -> int | None:
        return self.spec.fed.get(name) if name else None

    def _created(self, name: str | None) -> bool:
        return any(lookup.create and lookup.column == name for lookup in self.spec.lookups)

    def masked_places(self) -> set[int]:
        """Return the places of the sources whose values are not to be shown."""
        return {place for name, place in self.spec.fed.items() if name in self.spec.masked}

    def _sorted(self, part: Composable, number: int) -> Composable:
        return SQL('{} COLLATE "C"').format(part) if self.spec.arbiter.bytewise[number] else part
