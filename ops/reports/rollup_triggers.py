"""After each migrate: the triggers of all rollups that are declared, so that building one needs no owner of tables.

What is as it is to be is left alone. Triggers that can't be made now are said and left to `manage.py rollup refresh`;
until then the rollup is not used, for whoever reads looks at the triggers, too.
"""

import sys
from typing import Any

from django.db import Error, connections

from ops.engine.session import DatabaseTrouble, Session, in_words
from ops.reports import registry as reports
from ops.reports import rollup_building
from ops.reports.declaring import BrokenReport
from ops.reports.rollup_kept import NotKept, keep

LOCK_TIMEOUT = 5_000
"""Milliseconds that making a trigger waits for the transactions that write to its table."""


def after_migrate(using: str, verbosity: int = 1, **kwargs: Any) -> None:
    """Make the triggers that are missing, as Django's signal `post_migrate` asks."""
    if connections[using].vendor != "postgresql":
        return
    for name, trouble in install(using).items():
        if trouble and verbosity:
            sys.stderr.write(f"Rollup of report {name!r}: {trouble}\n")


def install(database: str) -> dict[str, str]:
    """Give the sources of all declared rollups their triggers; return what was in the way, by report, or ''."""
    session = Session(database)
    found = {}
    for name in reports.names():
        report = reports.find(name)
        if not report.rollup:
            continue
        try:
            kept = keep(report, database)
            with session.transaction(lock_timeout=LOCK_TIMEOUT, statement_timeout=0, committed=True):
                rollup_building.install(session, kept)
            found[name] = ""
        except (NotKept, BrokenReport, DatabaseTrouble):
            # No such table in this database, or none that could have a rollup: `manage.py rollup list` says so.
            continue
        except Error as exc:
            told = str(in_words(exc, "its triggers could not be made"))
            found[name] = f"{told} 'manage.py rollup refresh {name}' makes them then."
    return found
