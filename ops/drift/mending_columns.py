"""Make a column that is missing, and set right one that is other, while its table is in use.

No value is made up: what a row gets is the default that the code has, or what the operator says. A key is never
numbered anew. What would write the whole table anew is only done where that was allowed.
"""

from psycopg2.sql import SQL

from ops.drift import comparing, making
from ops.drift.making_words import FROM_SEQUENCE, ident, literal, qualified
from ops.drift.measuring import Added
from ops.drift.measuring_fitting import rewrites, using, widens
from ops.drift.mending_values import holders, no_room, sequence_of, serial_of, started
from ops.drift.mending_work import Mended, Work, altering, comment, guarded, helper, relation
from ops.drift.model import Attributes, Choice, Field, Step, key, quoted

REWRITE = Choice("--allow-rewrite", "write the table anew; nobody can read it meanwhile")


def column(work: Work) -> Mended:
    """Return what brings a column to what it ought to be."""
    if work.found is None:
        return _missing(work)
    mended = Mended()
    differing = work.differing
    for names, part in (
        (("type", "collation"), _typed),
        (("generated", "expression"), _generated),
        (("not_null", "not_null_valid"), _nullable),
        (("identity",), _numbered),
        (("default",), _defaulted),
        (("serial",), _serial),
        (("comment",), _commented),
    ):
        if any(name in differing for name in names):
            mended.take(part(work, work.found))
    return mended


def value_option(work: Work) -> Choice:
    """Return the choice of a value for the rows that are there."""
    name = f"{work.ought['table']}.{work.ought['name']}"
    return Choice(f"--value {name}=VALUE", "the value that the rows that are there get")


def _missing(work: Work) -> Mended:
    ought = work.ought
    if work.fresh:
        return Mended()
    if work.have[work.table].get("partition_of"):
        return Mended(notes=["It comes with that of the parent table."])
    empty = work.empty()
    if not empty and comparing.numbered(ought):
        return Mended(
            refused="It is the key of rows that are there, and their old keys are lost: bring them back from a backup; "
            "a repair numbers no rows anew."
        )
    written = ought.get("generated") == "s"
    if not empty and written and not work.choices.allow_rewrite and not work.small():
        return Mended(refused="To compute it for every row writes the table anew: choose.", choices=[REWRITE])
    return _added(work, filling(work), empty)


def given(work: Work) -> str | None:
    """Return the value that the operator gave for the rows that are there, None where none was given."""
    ought, values = work.ought, work.choices.value
    name = f"{ought['table']}.{ought['name']}"
    return values.get(f"{ought['schema']}.{name}", values.get(name))


def filling(work: Work) -> tuple[str | None, str]:
    """Return the expression that the rows that are there get, None for null, and why there is none."""
    ought, value = work.ought, given(work)
    if value is not None:
        return f"{literal(_unquoted(value))}::{ought['type']}", ""
    if ought.get("generated") or comparing.numbered(ought):
        return None, ""
    if ought.get("default") is not None:
        return str(ought["default"]), ""
    state: Field | None = work.expected.fields.get(work.key) if work.expected else None
    if state is not None and state.default is not None:
        return state.default, ""
    if not ought["not_null"]:
        return None, ""
    if state is not None and state.default_trouble:
        return None, f"its default can't be had for old rows ({state.default_trouble})"
    return None, "it has no default"


def added(work: Work) -> list[Added]:
    """Return the columns that are made before the object of a work, with what the rows that are there get."""
    found = []
    for one in work.added:
        value = filling(work.of(key("column", one["schema"], one["table"], one["name"])))[0]
        found.append(Added(one["name"], one["type"], one["expression"] if one.get("generated") else value))
    return found


def _added(work: Work, filled: tuple[str | None, str], empty: bool | None) -> Mended:
    """Add the column with what old rows get, then set the default that it ought to have."""
    ought, (value, why) = work.ought, filled
    if value is None and why and not empty:
        return Mended(
            refused=f"It may not be null, {why}, and the table has rows: say what they get; a repair invents no value.",
            choices=[value_option(work)],
        )
    sql = making.create_column(work.objects, work.key, default=None if value == ought.get("default") else value)
    if comparing.numbered(ought):
        kept = holders(work.want, work.have, work.table, ought["name"])
        why = no_room(work, ought, kept)
        if why:
            return Mended(refused=why)
        sql.append(started(serial_of(_table(ought), ought["name"]), kept))
    # What came in since is not thrown away by the undo.
    name = ident(ought["name"])
    new = "FALSE" if ought.get("generated") else f"{name} IS DISTINCT FROM {value}" if value else f"{name} IS NOT NULL"
    undo = guarded(
        relation(ought),
        new,
        altering(ought, f"DROP COLUMN {name}"),
        f"Column {ought['name']} of {ought['table']} holds values that came since; it stays.",
    )
    said = (
        [] if empty or ought.get("generated") else [f"The values that it had are lost; old rows get {value or 'null'}."]
    )
    return Mended(steps=[work.step(f"add the column {ought['name']}", sql, [undo])], notes=said)


def _typed(work: Work, found: Attributes) -> Mended:
    have, want = found["type"], work.ought["type"]
    wider, written = widens(have, want), rewrites(have, want)
    collated = (work.ought.get("collation") or "") != (found.get("collation") or "")
    if (written or collated or wider is not True) and not work.choices.allow_rewrite:
        words = "wider" if wider else "narrower" if wider is False else "another type"
        costs = "writes the table anew" if written and have != want else "locks it while its indexes are made anew"
        return Mended(
            refused=f"To make it {want} ({words if have != want else 'another collation'}) {costs}: choose, or take "
            "what is there into the code by a new migration.",
            choices=[REWRITE, Choice(f"--ignore '{work.code}:{work.key}'", "leave it, and change the model instead")],
        )
    misfits = work.measure.misfits(found, want)
    if have != want and wider is not True and not misfits.none:
        if misfits.count is None:
            return Mended(refused=f"Whether all values fit {want} could not be read: {misfits.trouble}.")
        return Mended(
            refused=f"{misfits} values do not fit {want} ({'; '.join(misfits.samples)}): change them, then run again."
        )
    parent = (work.have.get(work.table) or {}).get("partition_of")
    above = work.have.get(parent.replace("table ", "column ", 1) + f".{quoted(found['name'])}") if parent else None
    if above is not None and above["type"] == have:
        return Mended(notes=["It comes with that of the parent table."])
    views = work.measure.dependents(found)
    if views:
        return Mended(
            refused=f"{', '.join(views)} read it, and the type of a column that a view reads can't be changed."
        )
    return Mended(steps=[_type_step(work, found)])


def _type_step(work: Work, found: Attributes) -> Step:
    def change(one: Attributes, old: Attributes) -> str:
        with_collation = f" COLLATE {one['collation']}" if one.get("collation") else ""
        name = ident(one["name"])
        expression = using(old["type"], one["type"], SQL(name)).as_string(None)  # type: ignore[arg-type] # no literals
        return altering(one, f"ALTER COLUMN {name} TYPE {one['type']}{with_collation} USING {expression}")

    def whole(one: Attributes, old: Attributes) -> list[str]:
        """Change it beside its default, which need not have a cast of its own."""
        name, now, then = ident(one["name"]), old.get("default"), one.get("default")
        away = [altering(one, f"ALTER COLUMN {name} DROP DEFAULT")] if now is not None and not _kin(one, old) else []
        again = [altering(one, f"ALTER COLUMN {name} SET DEFAULT {then}")] if away and then is not None else []
        return [*away, change(one, old), *again]

    back = widens(work.ought["type"], found["type"])
    undo = whole(found, work.ought) if back or "timestamp" in found["type"] else []
    return work.step(f"change the type of {work.ought['name']} to {work.ought['type']}", whole(work.ought, found), undo)


def _kin(one: Attributes, other: Attributes) -> bool:
    return widens(one["type"], other["type"]) is not None


def _generated(work: Work, found: Attributes) -> Mended:
    if found.get("generated") and "expression" not in work.differing:
        kinds = {"s": "stored", "v": "virtual"}
        there, ought = (kinds.get(str(one.get("generated")), "not at all") for one in (found, work.ought))
        return Mended(refused=f"It is {there}, not {ought}: rename it, then run again, and it is made anew beside it.")
    return Mended(
        refused=f"It is computed otherwise ({found.get('expression') or 'not at all'} instead of "
        f"{work.ought.get('expression') or 'not at all'}): rename it, then run again, and it is made anew beside it."
    )


def _nullable(work: Work, found: Attributes) -> Mended:
    """Forbid nulls by way of a check that is validated beside the writers, or allow them."""
    ought, name = work.ought, ident(work.ought["name"])
    forbid, allow = (altering(ought, f"ALTER COLUMN {name} {word} NOT NULL") for word in ("SET", "DROP"))
    if not ought["not_null"]:
        if work.redefined:
            return Mended(steps=[work.step(f"let {ought['name']} be null", [allow], [forbid])])
        option = f"--redefine {ought['table']}.{ought['name']}"
        return Mended(
            refused="Somebody may have forbidden nulls on purpose: choose, or take it into the code by a migration.",
            choices=[Choice(option, f"let {ought['name']} be null, as the migrations do")],
        )
    nulls = work.measure.nulls(found)
    if nulls.count is None:
        return Mended(refused=f"Whether it has nulls could not be read: {nulls.trouble}.")
    if nulls.count:
        return Mended(
            refused=f"{nulls} rows have no {ought['name']}: give them a value, then run again; a repair fills in none."
        )
    if work.partitioned:
        return Mended(steps=[work.step(f"forbid nulls in {ought['name']}", [forbid], [allow])])
    check = helper("not_null", ought["table"], ought["name"])
    drop = altering(ought, f"DROP CONSTRAINT IF EXISTS {ident(check)}")
    left = work.have.get(key("constraint", ought["schema"], ought["table"], check))
    steps = []
    if left is None:
        add = altering(ought, f"ADD CONSTRAINT {ident(check)} CHECK ({name} IS NOT NULL) NOT VALID")
        steps.append(work.step(f"let no new null into {ought['name']}", [add], [drop]))
    if left is None or not left.get("valid"):
        validate = altering(ought, f"VALIDATE CONSTRAINT {ident(check)}")
        steps.append(work.step(f"see that {ought['name']} has no null", [validate]))
    steps.append(work.step(f"forbid nulls in {ought['name']}", [forbid, drop], [allow]))
    return Mended(steps=steps)


def _defaulted(work: Work, found: Attributes) -> Mended:
    def setting(value: object) -> str:
        what = "DROP DEFAULT" if value is None else f"SET DEFAULT {value}"
        return altering(work.ought, f"ALTER COLUMN {ident(work.ought['name'])} {what}")

    step = work.step(
        f"{'drop' if work.ought.get('default') is None else 'set'} the default of {work.ought['name']}",
        [setting(work.ought.get("default"))],
        [setting(found.get("default"))],
    )
    return Mended(steps=[step])


def _numbered(work: Work, found: Attributes) -> Mended:
    """Give a key its identity or sequence again, above all keys that are kept anywhere."""
    ought, name = work.ought, ident(work.ought["name"])
    if work.ought.get("identity") and found.get("identity"):
        words = {"a": "ALWAYS", "d": "BY DEFAULT"}
        change, back = (
            altering(ought, f"ALTER COLUMN {name} SET GENERATED {words[one['identity']]}") for one in (ought, found)
        )
        return Mended(steps=[work.step(f"set the kind of identity of {ought['name']}", [change], [back])])
    if not comparing.numbered(ought):
        if not found.get("identity"):
            return Mended()
        return Mended(refused="Its keys come from an identity that no migration makes; a repair takes none away.")
    plain = FROM_SEQUENCE.fullmatch(ought.get("default") or "")
    if plain and not ought.get("serial") and not ought.get("identity"):
        return _shared(work, found, *plain.groups())
    own = sequence_of(found)
    # A sequence that is there goes on above the rows; a new one above all that still point to the table, too.
    kept = [found] if own else holders(work.want, work.have, work.table, ought["name"])
    why = no_room(work, ought, kept)
    if why:
        return Mended(refused=why)
    if own:
        give = altering(ought, f"ALTER COLUMN {name} SET DEFAULT nextval({literal(own)}::regclass)")
        back = altering(ought, f"ALTER COLUMN {name} DROP DEFAULT")
        raised = started(serial_of(_table(ought), ought["name"]), kept, last=own)
    else:
        kind = "ALWAYS" if ought.get("identity") == "a" else "BY DEFAULT"
        free = ought.get("identity") and not _sequence_there(work)
        identity = making.identity_of(ought) if free else f"GENERATED {kind} AS IDENTITY"
        give = altering(ought, f"ALTER COLUMN {name} ADD {identity}")
        back = altering(ought, f"ALTER COLUMN {name} DROP IDENTITY IF EXISTS")
        raised = started(serial_of(_table(ought), ought["name"]), kept)
    return Mended(steps=[work.step(f"give {ought['name']} its sequence", [give, raised], [back])])


def _shared(work: Work, found: Attributes, name: str, sequence: str) -> Mended:
    """Let a column take its numbers again from a sequence that is not its own: others may take theirs from it, too."""
    column, was = f"ALTER COLUMN {ident(work.ought['name'])}", found.get("default")
    give = altering(work.ought, f"{column} SET DEFAULT {work.ought['default']}")
    back = altering(work.ought, f"{column} {'DROP DEFAULT' if was is None else f'SET DEFAULT {was}'}")
    raised = started(name, [found], last=sequence.replace("''", "'"))
    return Mended(steps=[work.step(f"give {work.ought['name']} its sequence", [give, raised], [back])])


def _sequence_there(work: Work) -> bool:
    """Say whether the name that its sequence ought to have is given, or is not known."""
    schema, name = work.ought["schema"], work.ought.get("sequence")
    return not name or any(
        one["schema"] == schema and name in (one["name"] if one["kind"] != "column" else None, one.get("sequence"))
        for one in work.have.values()
    )


def _serial(work: Work, found: Attributes) -> Mended:
    """Make an identity of a serial, where that is asked for; its sequence stays under another name."""
    ought, name, own = work.ought, ident(work.ought["name"]), sequence_of(found)
    if not work.choices.identity or not ought.get("identity") or not own:
        return Mended()
    old = helper("old", str(found["sequence"]))
    kept = qualified(found["schema"], old)
    back = [
        altering(ought, f"ALTER COLUMN {name} DROP IDENTITY IF EXISTS"),
        f"ALTER SEQUENCE {kept} RENAME TO {ident(str(found['sequence']))}",
        f"ALTER SEQUENCE {own} OWNED BY {relation(ought)}.{name}",
        altering(ought, f"ALTER COLUMN {name} SET DEFAULT nextval({literal(own)}::regclass)"),
        started(serial_of(_table(ought), ought["name"]), [found], last=own),
    ]
    sql = [
        f"LOCK TABLE {relation(ought)} IN ACCESS EXCLUSIVE MODE",
        altering(ought, f"ALTER COLUMN {name} DROP DEFAULT"),
        f"ALTER SEQUENCE {own} OWNED BY NONE",
        f"ALTER SEQUENCE {own} RENAME TO {ident(old)}",
        altering(ought, f"ALTER COLUMN {name} ADD GENERATED BY DEFAULT AS IDENTITY"),
        started(serial_of(_table(ought), ought["name"]), [found], last=kept),
    ]
    return Mended(
        steps=[work.step(f"make {ought['name']} an identity", sql, back)], notes=[f"Its old sequence is kept as {old}."]
    )


def _commented(work: Work, found: Attributes) -> Mended:
    return Mended(steps=[comment(work, f"COLUMN {relation(work.ought)}.{ident(work.ought['name'])}")])


def _table(one: Attributes) -> Attributes:
    return {"schema": one["schema"], "name": one["table"]}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    return value
