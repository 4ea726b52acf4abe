"""The functions in the database that move and read versions, held against the files that define them."""

import re

from ops import sql
from ops.engine.session import Session

FILES = (
    "ops/create_versioned_name.sql",
    "ops/create_merge_stripes.sql",
    "ops/create_merge_tags.sql",
    "ops/create_merge_versions.sql",
    "ops/create_bump.sql",
    "ops/create_bump_tags.sql",
    "ops/create_move_version.sql",
    "ops/create_move_tags.sql",
    "ops/create_begin_versions_anew.sql",
    "ops/create_bump_version.sql",
    "ops/create_versions.sql",
)
_FUNCTION = re.compile(r"CREATE\b.*? FUNCTION (\w+)\(.*?AS \$\$(.*)\$\$$", re.DOTALL)


def _defined() -> dict[str, tuple[str, str, bool]]:
    """Return for each function its file, its body as the server keeps it, and whether it runs as its owner."""
    found = {}
    for name in FILES:
        body = sql.load(name).body.replace("{{", "{").replace("}}", "}").replace("%%", "%")
        match = _FUNCTION.match(body)
        assert match, f"{name} defines no function"
        found[match[1]] = (name, match[2], "SECURITY DEFINER" in body)
    return found


def installed(session: Session) -> bool:
    """Tell whether the migration that makes them is applied: some are there."""
    return bool(_there(session))


def _there(session: Session) -> dict[str, tuple[str, bool, bool, str]]:
    found = session.execute("ops/list_version_functions.sql", {"names": list(_defined())})
    return {name: (body, definer, owned, owner) for name, body, definer, owned, owner in found}


def differing(session: Session) -> dict[str, str]:
    """Return the functions that are not as their files define them, each with the owner whose it is to mend, or ''."""
    there = _there(session)
    found = {}
    for name, (_, body, definer) in _defined().items():
        given = there.get(name)
        if given is None or given[:2] != (body, definer):
            found[name] = "" if given is None or given[2] else given[3]
    return found


def restore(session: Session, names: list[str]) -> None:
    """Make functions what their files define, and give all versions a new beginning: nobody knows what was missed."""
    defined = _defined()
    for name in names:
        session.execute(defined[name][0])
    session.execute("ops/set_version_search_path.sql")
    session.execute("ops/revoke_version_functions.sql")
    session.execute("ops/merge_beginning.sql")
