"""Damages of any kind to whatever is in a copy of the sample project's database, for tests that take them at random.

Each is named by a word and a number; the number picks among what the catalogue has at that moment.
"""

from dataclasses import dataclass

from psycopg2 import errors
from psycopg2.sql import SQL, Identifier

from tests.ops.scratch import connected

Names = tuple[str, ...]

NOT_OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relname !~ '^ops_repair'"
TABLES = f"""
SELECT n.nspname, c.relname FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE c.relkind = 'r' AND {NOT_OURS} AND c.relname <> 'django_migrations' ORDER BY 1, 2
"""
COLUMNS = f"""
SELECT n.nspname, c.relname, a.attname
FROM pg_attribute AS a
INNER JOIN pg_class AS c ON a.attrelid = c.oid INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE
    c.relkind = 'r' AND {NOT_OURS} AND c.relname <> 'django_migrations' AND a.attnum > 0 AND NOT a.attisdropped
    AND {{}}
ORDER BY 1, 2, 3
"""
CONSTRAINTS = f"""
SELECT n.nspname, c.relname, k.conname
FROM pg_constraint AS k
INNER JOIN pg_class AS c ON k.conrelid = c.oid INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE {NOT_OURS} AND c.relname <> 'django_migrations' AND k.contype IN ({{}}) AND k.conparentid = 0
ORDER BY 1, 2, 3
"""
INDEXES = f"""
SELECT n.nspname, c.relname
FROM pg_index AS i
INNER JOIN pg_class AS c ON i.indexrelid = c.oid INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE
    {NOT_OURS} AND NOT c.relispartition
    AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY 1, 2
"""
RELATIONS = f"""
SELECT n.nspname, c.relname FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE c.relkind = '{{}}' AND {NOT_OURS} ORDER BY 1, 2
"""
TRIGGERS = f"""
SELECT n.nspname, c.relname, t.tgname
FROM pg_trigger AS t
INNER JOIN pg_class AS c ON t.tgrelid = c.oid INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE NOT t.tgisinternal AND {NOT_OURS} ORDER BY 1, 2, 3
"""
OWNED = f"""
SELECT n.nspname, c.relname FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE
    c.relkind = 'S' AND {NOT_OURS}
    AND EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)
ORDER BY 1, 2
"""
HISTORY = "SELECT id::text FROM django_migrations ORDER BY id"


# Done to the same thing before, or in the way of something else: then it is left out.
IMPOSSIBLE = (errors.DuplicateColumn, errors.DependentObjectsStillExist)


@dataclass(frozen=True)
class Kind:
    """What is looked for, and what is done to the one that is picked: {0}, {1}, .. are its names."""

    among: str
    statement: str


PRIMARY = """
EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
"""
INTEGER = "a.atttypid = 'integer'::regtype AND a.attgenerated = '' AND a.attidentity = ''"
TWICE = (
    "INSERT INTO django_migrations (app, name, applied) SELECT app, name, now() FROM django_migrations WHERE id = {0}"
)

KINDS = {
    "drop a table": Kind(TABLES, "DROP TABLE {0}.{1} CASCADE"),
    "drop a column": Kind(COLUMNS.format("true"), "ALTER TABLE {0}.{1} DROP COLUMN {2} CASCADE"),
    "drop an index": Kind(INDEXES, "DROP INDEX {0}.{1}"),
    "break an index": Kind(INDEXES, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{0}.{1}'::regclass"),
    "drop a constraint": Kind(
        CONSTRAINTS.format("'u', 'c', 'x', 'p'"), "ALTER TABLE {0}.{1} DROP CONSTRAINT {2} CASCADE"
    ),
    "drop a foreign key": Kind(CONSTRAINTS.format("'f'"), "ALTER TABLE {0}.{1} DROP CONSTRAINT {2}"),
    "drop a view": Kind(RELATIONS.format("v"), "DROP VIEW {0}.{1}"),
    "drop a materialized view": Kind(RELATIONS.format("m"), "DROP MATERIALIZED VIEW {0}.{1}"),
    "drop a trigger": Kind(TRIGGERS, "DROP TRIGGER {2} ON {0}.{1}"),
    "disable a trigger": Kind(TRIGGERS, "ALTER TABLE {0}.{1} DISABLE TRIGGER {2}"),
    "drop an identity": Kind(COLUMNS.format("a.attidentity <> ''"), "ALTER TABLE {0}.{1} ALTER {2} DROP IDENTITY"),
    "drop a default": Kind(
        COLUMNS.format("a.atthasdef AND a.attgenerated = ''"), "ALTER TABLE {0}.{1} ALTER {2} DROP DEFAULT"
    ),
    "set a default": Kind(
        COLUMNS.format(INTEGER),
        "ALTER TABLE {0}.{1} ALTER {2} SET DEFAULT 7",
    ),
    "allow nulls": Kind(
        COLUMNS.format(f"a.attnotnull AND NOT {PRIMARY}"),
        "ALTER TABLE {0}.{1} ALTER {2} DROP NOT NULL",
    ),
    "rename a column": Kind(COLUMNS.format("true"), "ALTER TABLE {0}.{1} RENAME {2} TO renamed_by_hand"),
    "set a sequence back": Kind(OWNED, "SELECT setval('{0}.{1}', 1)"),
    "forget a migration": Kind(HISTORY, "DELETE FROM django_migrations WHERE id = {0}"),
    "record a migration twice": Kind(HISTORY, TWICE),
    "add a table": Kind("SELECT 'public'", "CREATE TABLE IF NOT EXISTS extra_by_hand (id integer)"),
    "add a column": Kind(TABLES, "ALTER TABLE {0}.{1} ADD COLUMN extra_by_hand text"),
    "add an index": Kind(COLUMNS.format("a.atttypid = 'integer'::regtype"), "CREATE INDEX ON {0}.{1} ({2})"),
    "unvalidate a foreign key": Kind(
        CONSTRAINTS.format("'f'"),
        "UPDATE pg_constraint SET convalidated = false WHERE conrelid = '{0}.{1}'::regclass AND conname = {2}",
    ),
}


def harm(database: str, kind: str, number: int) -> str:
    """Do a damage; return it as SQL, or nothing where there is nothing left that it can be done to."""
    found = KINDS[kind]
    with connected(database) as opened, opened.cursor() as cursor:
        cursor.execute(found.among)
        names: list[Names] = [tuple(map(str, row)) for row in cursor.fetchall()]
        if not names:
            return ""
        picked = names[number % len(names)]
        statement = _written(found.statement, picked, cursor)
        try:
            cursor.execute(statement)
        except IMPOSSIBLE:
            return ""
        return statement


def _written(template: str, names: Names, cursor: object) -> str:
    """Return a statement with names put in: as literals within quotes and in comparisons, else as identifiers."""
    quoted = [SQL("{}").format(Identifier(name)).as_string(cursor) for name in names]
    literals = [f"'{name}'" for name in names]
    text = template
    for number, name in enumerate(quoted):
        literal = template.find(f"= {{{number}}}") >= 0
        text = text.replace(f"{{{number}}}", literals[number] if literal else name)
    return text
