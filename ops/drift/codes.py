"""Every code that a finding of drift can have: what it is called, and what it breaks.

H is history (django_migrations and the files), S a schema object, D data. A finding that has something more exact to
say of what it breaks says it; `docs/` and the tests read this table.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """One kind of finding."""

    code: str
    title: str
    breaks: str


TABLE = """
H01 applied but not recorded
    The next migrate makes again what is there, and stops with "already exists".
H02 half a migration: it was done, and django_migrations could not take its row
    The next migrate begins it again, and stops with "already exists".
H03 a migration is recorded before one that it depends on
    Every migrate stops with InconsistentMigrationHistory.
H04 an app has two last migrations
    migrate stops with "conflicting migrations", and neither branch goes on.
H05 the whole history was faked
    Django believes that all tables are there; the first query of any model fails.
H06 a migration is recorded whose objects are absent
    Django believes that they are there; the first query on them fails, and migrate says that there is nothing to do.
H07 the migration graph does not load
    No command of migrations works, and what each migration makes can't be told.
H08 a recorded migration has no file
    Nothing stops, but the code can't say what it made; the name can't be used again.
H09 the file of a recorded migration was renamed
    The next migrate applies it a second time, and stops with "already exists".
H10 a squashed migration is applied in part
    Django takes neither the squash nor what it replaces; migrate stops or begins with tables that are there.
H11 a squash is not recorded, and what it replaces is gone from the code
    migrate stops with InconsistentMigrationHistory, or makes all tables again.
H12 another schema has a django_migrations
    The search_path decides which history Django reads: migrations are repeated in one schema, or left out in another.
H14 recorded at a time that can't be
    Nothing stops; whoever reads the history is misled.
H15 django_migrations can't be read or written
    migrate changes tables and then can't record that it did.
H16 django_migrations is empty or gone, and the tables are there
    The next migrate begins at the first migration, and stops with "already exists".
H17 a migration is recorded twice
    Two ran at once: what its RunPython wrote may be there twice.
H18 django_migrations gives no key to a new row
    migrate changes tables and then can't record that it did.
H19 a migration is recorded under names that differ in case only
    Django takes them for two migrations: one has no file, or is applied again.
H22 a migration can't be taken back
    migrate to an earlier state stops at an object that is missing.
S01 a table is missing
    Every query of its model fails.
S02 a table is missing, and the foreign keys that pointed to it
    Every query of its model fails, and the other tables keep keys of rows that are gone.
S03 a column is missing
    Every query of its model fails.
S04 a column, table or type was renamed or moved by hand
    Every query of its model fails; a new column would leave the data behind in the other.
S05 a key has lost its identity or sequence
    Every INSERT fails: null value in the key.
S06 an index is invalid
    Queries don't use it, writes pay for it, and a unique one keeps nothing unique.
S07 the name of a constraint or index is taken by another
    What ought to be there can't be made, and migrate would change or drop the wrong one.
S08 a foreign key, or the table of a ManyToManyField, is missing
    Rows may point to what is not there.
S09 a constraint is not validated
    Old rows may break it; new ones can't.
S10 an index is missing or other than it ought to be
    Queries that need it read the whole table.
S11 a unique, exclusion or check constraint is missing or weaker
    Rows that the code takes to be impossible may come in.
S12 a column has another type
    Values are cut, refused or read otherwise than the code expects.
S13 NOT NULL is missing, or there where it ought not to be
    The code meets NULLs that it does not expect, or its INSERTs fail.
S14 a default is missing, or there where none ought to be
    INSERTs that leave the column out fail, or get a value that nobody chose.
S15 a serial column where a new database has an identity
    Nothing: both give keys.
S16 another owner
    migrate can't alter it unless its role is a member of the owner.
S17 a view, function, trigger, extension or other object is missing or other than it ought to be
    What reads or relies on it fails, or silently does nothing.
S18 a table is unlogged
    A crash of the server empties it, and a replica has none of its rows.
S19 row security differs
    Rows are shown that ought to be hidden, or hidden that ought to be shown.
S20 a comment differs
    Nothing.
S21 another collation
    Text is sorted and compared otherwise; an index may not serve.
S22 a trigger, or a constraint's own, is disabled, or enabled otherwise
    It does not fire.
S23 an identity is of another kind
    INSERTs that name the key fail, or are let in.
S24 something is there that no migration makes
    Nothing, unless an INSERT must fill it.
D01 a sequence is behind the rows
    INSERTs fail: duplicate key.
D02 a sequence is nearly used up, or of a smaller type than its column
    INSERTs will fail once it ends.
D03 rows point to what is not there
    A foreign key can't be validated; what follows the pointer fails.
"""
"""For each code its title, then what it breaks."""


def _read() -> Iterator[Code]:
    for part in re.split(r"\n(?=\S)", TABLE.strip()):
        head, _, breaks = part.partition("\n")
        code, _, title = head.partition(" ")
        yield Code(code, title, " ".join(breaks.split()))


CODES = {one.code: one for one in _read()}


def breaks(code: str) -> str:
    """Return what a code breaks, as findings say it that have nothing more exact to say."""
    return CODES[code].breaks if code in CODES else ""


def title(code: str) -> str:
    """Return what a code is called."""
    return CODES[code].title if code in CODES else ""
