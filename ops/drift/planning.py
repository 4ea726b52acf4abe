"""The plan of a repair: what the recorded migrations ought to have made, against what is there.

Writes nothing. What can't be told is a note, or a finding (H07 where the migrations do not load), and the rest is told
all the same. Whoever is known and left so (`Choices.ignore`, the baseline) stays in the plan as information.
"""

import gc
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ops import clock
from ops.drift import (
    catalog,
    codes,
    comparing,
    data_findings,
    deciding,
    expecting,
    graph,
    history,
    history_findings,
    judging,
    linting,
    measuring,
    preflight,
    schema_findings,
    schema_findings_waiting,
)
from ops.drift.model import (
    SEVERITIES,
    Choices,
    Expected,
    Finding,
    Objects,
    RepairPlan,
    Row,
    digest,
    unclaimed,
)
from ops.drift.schema_findings_look import HISTORY

NOTHING = Choices()

IGNORED = "ignored: the baseline has it"


_COMMENT = re.compile(r"(^|\s)#.*")


class BadBaseline(Exception):
    """The baseline can't be read, or a line of it is none; the message says which."""


@dataclass
class _Clocked:
    """Seconds by part."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = clock.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0) + clock.monotonic() - began, 3)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let Python look for no garbage meanwhile: among what it imports and compares is none, and to look is a third."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def snapshot_of(have: Objects, rows: Sequence[Row]) -> str:
    """Return the digest of a catalogue and a history: what a plan is bound to."""
    return digest({"objects": have, "rows": [[one.id, one.app, one.name, str(one.applied)] for one in rows]})


def baseline(path: str | Path | None) -> tuple[str, ...]:
    """Read a baseline: a line for each finding that is known and left so, its code, a blank, its object; # comments.

    Without a path it is that of the setting OPS_DRIFT_BASELINE, if there is one. Raises BadBaseline.
    """
    named = path or getattr(settings, "OPS_DRIFT_BASELINE", None)
    if not named:
        return ()
    try:
        lines = Path(named).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise BadBaseline(f"The baseline {str(named)!r} can't be read: {exc}; correct --baseline.") from exc
    found = []
    for number, line in enumerate(lines, 1):
        text = _COMMENT.sub("", line).strip()
        if not text:
            continue
        code, _, thing = text.partition(" ")
        if code not in codes.CODES or not thing.strip():
            raise BadBaseline(
                f"Line {number} of the baseline {str(named)!r} is {line.strip()!r}, not a code and an object; write it "
                "as in 'S24 table public.legacy'."
            )
        found.append(f"{code}:{thing.strip()}")
    return tuple(found)


@_uncollected()
def plan(
    alias: str,
    *,
    app_labels: Sequence[str] = (),
    choices: Choices = NOTHING,
    snapshot: Path | None = None,
    run_python: bool = True,
    no_cache: bool = False,
    linted: bool = True,
) -> RepairPlan:
    """Look at one database and return all that is wrong with it, worst first; with `app_labels` of these apps alone.

    `snapshot` is a file of what ought to be, made elsewhere (`--write-snapshot`); without it that is replayed, or taken
    from the cache unless `no_cache`. Raises the database's errors where it can't be read at all.
    """
    connection = connections[alias]
    catalog.wake(connection)
    clocked = _Clocked()
    with clocked.part("history"):
        known = history.read(connection)
        deciding.must_know(app_labels, known)
        loaded = graph.load(alias, known.rows)
    blind = _blind(known, loaded)
    with clocked.part("expected"):
        if blind:
            expected = Expected("reduced", notes=[blind])
        else:
            expected = expecting.expect(alias, known.rows, snapshot=snapshot, run_python=run_python, no_cache=no_cache)
    want = expected.objects()
    with clocked.part("catalogue"):
        read = _schemas(expected, want, catalog.schemas_of(connection))
        have = catalog.read(connection, read)
        have |= elsewhere(connection, known, want, have, read)
    with clocked.part("comparison"):
        measure = measuring.Measure(connection)
        verdicts = judging.judge(expected, have)
        found = list(history_findings.find(known, loaded, expected, have, verdicts, choices, measure))
        if not blind:
            differences = unclaimed(comparing.compare(want, have), found)
            found += schema_findings.find(expected, have, differences, choices, measure)
        found += data_findings.find(expected, have, choices, measure)
    made = RepairPlan(alias, expected.mode, seconds=clocked.seconds, expected=expected.key, notes=list(expected.notes))
    made.snapshot = snapshot_of(have, known.rows)
    made.tables = sum(one["kind"] == "table" for one in want.values())
    made.pending = [str(one.node) for one in loaded.nodes.values() if one.pending]
    made.touched = preflight.touched(expected, have)
    made.notes += _failed(expected)
    if linted:
        # A plan that is made after a repair finds nothing any more that its decisions were for.
        ever = {name: one for part in expected.made for name, one in part.delta.items() if one}
        made.notes += deciding.idle(choices, known, loaded, {**ever, **want}, have)
    made.findings = _sorted(_of_apps(found, expected, app_labels))
    _ignore(made, choices.ignore)
    # What is ignored, or is another app's, is not made: what needs it waits.
    schema_findings_waiting.settle(made.findings, expected, have)
    history_findings.settle(made.findings, loaded)
    if linted and made.pending:
        with clocked.part("lint"):
            _lint(made)
    return made


def _blind(known: history.History, loaded: graph.Graph) -> str:
    """Return why what ought to be can't be told at all, as a note; "" where it can."""
    if known.unreadable:
        return f"The history can't be read ({known.unreadable}): what ought to be there is not known."
    if loaded.failure is not None:
        return "The migrations do not load (H07): what ought to be there is not known; the rest is told."
    return ""


def _failed(expected: Expected) -> Iterator[str]:
    """Yield a note for each recorded migration that failed in the replay: of what it touches little is proven."""
    tables = [name.partition(" ")[2] for name in expected.doubtful if name != "*"]
    of = "any table" if "*" in expected.doubtful else ", ".join(tables)
    for one in expected.made:
        if one.error and (one.recorded or one.implied) and of and expected.mode != "reduced":
            yield (
                f"{one.node} is recorded and failed in the replay ({one.error.rstrip('.')}): what it did is not known, "
                f"so that differences of {of} are notes, but for tables and columns that models need."
            )


def written(alias: str, path: Path, *, run_python: bool = True, no_cache: bool = False) -> Expected:
    """Write what ought to be at the recorded migrations of a database to a file, for `snapshot` elsewhere."""
    rows = history.read(connections[alias]).rows
    return expecting.write(alias, rows, path, run_python=run_python, no_cache=no_cache)


def _schemas(expected: Expected, want: Objects, path: Iterable[str]) -> list[str]:
    """Return where to look: where something ought to be, where a pending migration may have been, and Django looks."""
    made = (one for part in expected.made for one in part.delta.values() if one)
    return sorted({str(one["schema"]) for one in (*want.values(), *made) if one.get("schema")} | set(path))


def elsewhere(
    connection: BaseDatabaseWrapper, known: history.History, want: Objects, have: Objects, read: Sequence[str]
) -> Objects:
    """Return what there is of missing tables in schemas that are not read: by hand, a table may have been moved there.

    A schema with a django_migrations of its own is another project's, or another customer's.
    """
    missing = {one["name"] for name, one in want.items() if one["kind"] == "table" and name not in have}
    others = {schema for schema, name in known.tables if name == HISTORY} | set(read)
    schemas = sorted({schema for schema, name in known.tables if name in missing and schema not in others})
    if not schemas:
        return {}
    found = catalog.read(connection, schemas)
    return {
        name: one
        for name, one in found.items()
        if one.get("table") in missing or (one["kind"] == "table" and one["name"] in missing)
    }


def _sorted(found: Iterable[Finding]) -> list[Finding]:
    return sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one.code, one.object))


def _of_apps(found: Iterable[Finding], expected: Expected, labels: Sequence[str]) -> list[Finding]:
    """Return the findings of some apps; what belongs to none, as the history's own table, is all apps'."""
    return [one for one in found if not labels or not (of := apps_of(one, expected)) or of & set(labels)]


def apps_of(found: Finding, expected: Expected) -> set[str]:
    """Return the labels of the apps that a finding belongs to; none where that can't be told."""
    kind, _, name = found.object.partition(" ")
    if found.migration and kind != "file":
        return {found.migration.partition(".")[0]}
    if kind in ("migration", "app"):
        return {name.partition(".")[0]}
    made = {one.node.app for one in expected.makers(found.object)}
    if made:
        return made
    for table, about in expected.tables.items():
        if name == table.partition(" ")[2] or name.startswith(f"{table.partition(' ')[2]}."):
            return {str(about["model"]).partition(".")[0]}
    return set()


def _ignore(made: RepairPlan, lines: Iterable[str]) -> None:
    """Make information of what is known and left so; a line that fits nothing any more is told."""
    for line in lines:
        code, _, pattern = line.partition(":")
        fitting = [one for one in made.findings if one.code == code and fnmatchcase(one.object, pattern)]
        for one in fitting:
            one.severity, one.action, one.refused, one.steps, one.choices = "info", IGNORED, "", [], []
        if not fitting:
            made.notes.append(f"Nothing is found any more of {code} {pattern}, which is ignored: take it out.")
    made.findings = _sorted(made.findings)


def _lint(made: RepairPlan) -> None:
    """Add what the linter says of the pending migrations; that it can't is a note."""
    try:
        said, notes = linting.lint(made.alias)
    except Exception as exc:  # a graph that is inconsistent, an operation of somebody's own: it is told
        said, notes = [], [f"Pending migrations are not linted: {' '.join(str(exc).split()).rstrip('.')}."]
    made.lint = [one.as_json() for one in said]
    made.notes += notes
