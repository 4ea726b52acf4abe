"""Types as Django writes them, spelled as `format_type` of PostgreSQL spells them."""

import re

_SAME = frozenset((
    "integer", "bigint", "smallint", "text", "boolean", "bytea", "date", "interval", "jsonb", "json", "uuid", "inet",
    "cidr", "macaddr", "double precision", "real", "numeric", "xml", "money", "tsvector", "tsquery", "int4range",
    "int8range", "numrange", "daterange", "tsrange", "tstzrange", "int4multirange", "int8multirange", "nummultirange",
    "datemultirange", "tsmultirange", "tstzmultirange", "character varying", "character", "bit", "bit varying", "oid",
))  # fmt: skip
_OTHER = {
    "varchar": "character varying", "char": "character", "int": "integer", "int4": "integer", "int8": "bigint",
    "int2": "smallint", "bool": "boolean", "decimal": "numeric", "float8": "double precision", "float4": "real",
    "float": "double precision", "timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone",
    "time": "time without time zone", "timetz": "time with time zone", "varbit": "bit varying", "serial": "integer",
    "bigserial": "bigint", "smallserial": "smallint",
}  # fmt: skip
_TYPE = re.compile(r"([a-z][a-z0-9_ ]*?)\s*(\([\d\s,]+\))?((?:\s+with(?:out)?\s+time\s+zone)?)\s*((?:\[\d*\])*)")
_NAME = re.compile(r"[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?")


def spelled(text: str) -> str | None:
    """Return a type as the server spells it; None for one that it knows by an extension, or that is not known here."""
    match = _TYPE.fullmatch(" ".join(text.lower().split()))
    if match is None:
        return None
    base, size, zone, array = match.groups()
    # The size of an array is not kept, and neither is how many dimensions it was made with.
    array = "[]" if array else ""
    size = (size or "").replace(" ", "")
    if base in ("time", "timestamp"):
        return f"{base}{size}{zone or ' without time zone'}{array}"
    base = _OTHER.get(base, base)
    if zone or (base not in _SAME and base not in _OTHER.values()):
        return None
    if base in ("timestamp with time zone", "time with time zone"):
        word, _, rest = base.partition(" ")
        return f"{word}{size} {rest}{array}"
    if base == "numeric" and size and "," not in size:
        size = f"{size[:-1]},0)"
    if base == "character" and not size:
        size = "(1)"
    return f"{base}{size}{array}"


def looked_up(text: str) -> str | None:
    """Return the plain name of a type that only the server can find; None for what is more than a name."""
    name = text.removesuffix("[]")
    return name if _NAME.fullmatch(name) else None
