"""What can be told of the versions of tables: whether everything that is written moves them."""

from collections.abc import Iterator

from ops.cache import functions, triggers
from ops.doctor import Finding, Site, finding
from ops.engine.session import Session


def look(site: Site, migrate: str) -> Iterator[Finding]:
    """Find what keeps versions from moving; `migrate` is the command that mends most of it."""
    session = Session(site.alias)
    if not functions.installed(session):
        return
    for name, owner in functions.differing(session).items():
        mends = f"{migrate}, as {owner}" if owner else migrate
        yield finding("E048", f"Function {name} is not what sql/ops defines.", mends)
    yield from unmoved(site.alias, migrate)


def unmoved(alias: str, migrate: str, *, new: bool = True) -> Iterator[Finding]:
    """Find tables whose version nothing moves, each once; not those without any trigger yet, unless `new` is given."""
    told = set()
    for one in triggers.differences(alias):
        table = f"{one.home}.{one.table}"
        if one.needless or table in told or (one.missing and not new):
            continue
        told.add(table)
        if one.wanted is None:
            yield finding("W049", f"Table {table} has no version as declared: {one.why}.")
        else:
            mends = migrate if one.does == "create" else f"{migrate}, as the owner of {table}"
            yield finding("W048", f"The version of table {table} is not moved: {one.why}.", mends)
