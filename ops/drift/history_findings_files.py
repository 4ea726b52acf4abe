"""Rows and files that do not fit: ghosts, two leaves, a graph that does not load, fakes (H04 H06 H07 H08 H10 H22)."""

from collections.abc import Iterator

from ops.drift import comparing
from ops.drift.graph import Failure
from ops.drift.history import TABLE
from ops.drift.history_findings_case import Case, counted, covers, finding, listed, record_choice
from ops.drift.history_findings_rows import maybe_renames
from ops.drift.judging import Verdict
from ops.drift.model import Choice, Finding, HistoryChange, Node, Row, Step, key

# What repairs keep, and what ops puts on tables without a migration.
_OWN = ("ops_repair", "ops_version", "setwise_")


def find(case: Case) -> list[Finding]:
    """Return what the rows and the files say of each other."""
    return [*_conflicts(case), *_half_squashed(case), *_faked(case), *_ghosts(case), *_irreversible(case)]


def _conflicts(case: Case) -> Iterator[Finding]:
    for app, leaves in case.graph.conflicts.items():
        nodes = [Node(app, name) for name in leaves]
        told = [f"{node} ({'recorded' if case.is_recorded(node) else 'not recorded'})" for node in nodes]
        yield finding(
            "H04", "error", f"app {app}", f"{app} has {len(nodes)} last migrations: {listed(told)}.",
            refused="How the branches are joined is for whoever wrote them: run 'manage.py makemigrations --merge', or "
            "give one of them the other as its dependency; both stay as they are here.",
        )  # fmt: skip


def _faked(case: Case) -> Iterator[Finding]:
    """Yield what is recorded although nothing of it is there; what is missing is made by the findings of schema."""
    for node, known in case.graph.nodes.items():
        verdict = case.verdicts.get(node)
        if verdict is None or verdict.what != "absent" or not known.recorded or node not in case.history.nodes:
            continue
        if _went_with_a_table(case, node, verdict):
            continue
        delta = case.made[node].delta
        drops_only = not verdict.missing and all(delta.get(name) is None for name in verdict.undone)
        # Of an index and the like that is missing its own finding tells, whether it was dropped or never made.
        of_tables = any(name.startswith(("table ", "column ")) for name in (*verdict.missing, *verdict.undone))
        when = case.history.applied(node)
        one = finding(
            "H06", "info" if not of_tables else "warning" if drops_only else "error", node,
            f"{node} is recorded ({when:%Y-%m-%d %H:%M}), and " if when else f"{node} is recorded, and ",
        )  # fmt: skip
        one.found += f"none of its {counted(verdict.total, 'change')} is in the catalogue" + (
            f": missing {listed(verdict.missing)}" if verdict.missing else ""
        )
        one.found += f"; as before it: {listed(verdict.undone)}." if verdict.undone else "."
        one.action = (
            "What is missing is made again, as it ought to be now, by the findings of each object; the row stays, for "
            "others depend on it."
        )
        if known.unseen:
            one.found += f" It has {listed(known.unseen)} too, which did not run either, perhaps."
        yield one


def _went_with_a_table(case: Case, node: Node, verdict: Verdict) -> bool:
    """Say whether all that a migration lacks was of a table that others made and that is missing: none was faked."""
    known = {name: one for made in case.expected.made for name, one in made.delta.items() if one}
    gone = {
        name
        for name, one in case.expected.objects().items()
        if one["kind"] == "table" and name not in case.have and case.expected.makers(name)[:1] != [case.made[node]]
    }
    for name in (*verdict.missing, *verdict.undone):
        one = known[name]
        # A foreign key of another table goes with what it refers to.
        of = {key("table", one["schema"], one["table"]) if one.get("table") else name, one.get("references")}
        if not of & gone:
            return False
    return True


def _irreversible(case: Case) -> Iterator[Finding]:
    """Yield what could not be taken back by `migrate` to an earlier state, since what that would drop is missing."""
    lacking = {
        node: case.verdicts[node].missing
        for node, known in case.graph.nodes.items()
        if known.recorded and node in case.verdicts and case.verdicts[node].missing
    }
    if lacking:
        told = [f"{node} ({listed(names, 3)})" for node, names in lacking.items()]
        yield finding(
            "H22", "info", f"table {case.history.schema}.{TABLE}",
            f"migrate to an earlier state stops at {listed(told)}: what it would drop is missing.",
            action="Once it is made again, the way back is open.",
        )  # fmt: skip


def _extras(case: Case) -> list[str]:
    """Return what no migration explains, tables first: a ghost's row may be all that tells who made it."""
    explained = {name for one in case.expected.made for name in one.delta}
    found = {
        one.key: one.have
        for one in comparing.compare(case.expected.objects(), case.have)
        if one.want is None and one.have and one.key not in explained and one.have["kind"] != "schema"
        if TABLE not in (one.have["name"], one.have.get("table"))
        if not any(str(name or "").startswith(_OWN) for name in (one.have["name"], one.have.get("table")))
    }
    parts = {name for name, one in found.items() if one.get("table") and
             key("table", one["schema"], one["table"]) in found}  # fmt: skip
    return sorted(found.keys() - parts, key=lambda name: (not name.startswith(("table", "column")), name))


def _ghosts(case: Case) -> Iterator[Finding]:
    """Yield the rows without a file, by what became of it."""
    renamed = {row.node for row in case.renamed.values()}
    rows = [row for row in case.ghosts if row.node not in renamed]
    maybe = maybe_renames(case, rows)
    classes: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        classes.setdefault((row.app, _class(case, row, maybe)), []).append(row)
    extras = _extras(case) if classes else []
    for (app, what), of in classes.items():
        yield _ghost(case, app, what, of, maybe, extras)


def _class(case: Case, row: Row, maybe: dict[Node, Node]) -> str:
    if row.node in case.graph.replaced or row.node in case.squashed:
        return "squashed away"
    if row.node in maybe:
        return "renamed, perhaps"
    if row.app not in case.graph.migrated | case.graph.unmigrated:
        label = _new_label(case, row.app)
        there = any(case.verdict(node).what == "present" for node in case.graph.nodes if node.app == label)
        # Where its tables are there, whatever they are called, its migrations are recorded by what proves them.
        return "app removed" if not label else "app renamed with its tables" if there else "app renamed"
    if row.app in case.graph.unmigrated:
        return "migrations removed"
    if any(covers(node, row) for node in case.graph.nodes):
        return "squashed away"
    times = [case.applied(node) for node in case.graph.nodes if node.app == row.app]
    newest = max((time for time in times if time), default=None)
    return "older" if newest and row.applied and row.applied < newest else "other branch"


def _new_label(case: Case, app: str) -> str:
    """Return the app that has the migrations of one that is no more, none of which is recorded under its label."""
    names = {row.name for row in case.ghosts if row.app == app}
    for label in sorted(case.graph.migrated):
        own = {node.name for node in case.graph.nodes if node.app == label}
        recorded = any(case.is_recorded(node) for node in case.graph.nodes if node.app == label)
        alike = own & names
        # Every app has an initial one: that the names are the same tells nothing then.
        telling = alike != {"0001_initial"} or _has_tables_of(case, app, label)
        if alike and len(alike) * 2 >= len(names) and not recorded and telling:
            return label
    return ""


def _has_tables_of(case: Case, app: str, label: str) -> bool:
    """Say whether all tables of an app are there, under the name of another app."""
    names = [one["name"] for made in case.expected.made if made.node.app == label
             for one in made.delta.values() if one and one["kind"] == "table"]  # fmt: skip
    there = {name for _, name in case.history.tables}
    return bool(names) and all(f"{app}_{name.removeprefix(f'{label}_')}" in there for name in names)


def _ghost(case: Case, app: str, what: str, rows: list[Row], maybe: dict[Node, Node], extras: list[str]) -> Finding:
    one = rows[0].node
    many = f"{counted(len(rows), 'row')} without a file ({listed(row.node for row in rows)}): "
    new = [maybe[row.node] for row in rows if row.node in maybe]
    words = {
        "squashed away": "a squash replaces them, and its originals are gone from the code.",
        "renamed, perhaps": f"the file may have been renamed to {listed(new)}, which nothing can prove, for it "
        "leaves no object.",
        "app renamed": f"app {app!r} is not installed, and {_new_label(case, app)!r} has migrations of these names, "
        "none of them recorded: the app was renamed, and its tables perhaps were not; migrate would make them anew, "
        "empty.",
        "app renamed with its tables": f"app {app!r} is not installed, and {_new_label(case, app)!r} has migrations of "
        "these names, whose objects are there: the app was renamed.",
        "app removed": f"app {app!r} is not installed.",
        "migrations removed": f"app {app!r} is installed, and has no migrations now: its folder is missing, perhaps.",
        "other branch": "another branch of the code, or a later version of it, applied them; this database is ahead.",
        "older": "their files are gone from the code, and later ones are recorded.",
    }[what]
    harmless = what in ("squashed away", "app removed", "app renamed with its tables", "older")
    found = finding("H08", "info" if harmless else "warning", one if len(rows) == 1 else f"app {app}", many + words)
    if extras and not what.startswith("squashed"):
        found.found += f" No migration explains {listed(extras, 4)}."
    found.action = "The rows stay: they are the only trace of who made what."
    if not harmless:
        found.refused = "Whose they are a person has to see: bring the files back, or have the rows moved to the audit."
    found.choices = [Choice(f"--prune {row.node}", f"move the row of {row.node} to the audit") for row in rows]
    if what == "renamed, perhaps":
        found.refused = "Whether it is the same migration, a person has to say."
        found.choices += [
            Choice(f"--rename {row.node}={maybe[row.node]}", "the row gets the new name") for row in rows
            if row.node in maybe
        ] + [record_choice(maybe[row.node]) for row in rows if row.node in maybe]  # fmt: skip
    if what == "app renamed":
        found.refused = "Whose tables these are, a person has to see: rename them, or set db_table, before any migrate."
    _prune(case, found, rows, extras)
    return found


def _prune(case: Case, found: Finding, rows: list[Row], extras: list[str]) -> None:
    """Take out the rows that a person asked for, unless something is there that only they may explain."""
    asked = [row for row in rows if str(row.node) in case.choices.prune]
    if not asked:
        return
    if extras:
        found.severity = "warning"
        found.refused = (
            f"Nothing is pruned while there is something that no migration explains: {listed(extras)}. The rows may be "
            "the only evidence of who made it."
        )
        return
    found.action = f"{counted(len(asked), 'row')} moved to the audit, as asked for."
    changes = [HistoryChange("delete", row.node, row.applied, id=row.id) for row in asked]
    found.steps = [Step("H08", found.object, "history", f"prune {listed(row.node for row in asked)}", history=changes)]


def unloaded(case: Case) -> list[Finding]:
    """Return why the graph does not load, and what the files say by themselves of everything else."""
    from ops.drift import files

    failure = case.graph.failure or Failure("import", "it has no migrations")
    troubles = files.scan(rows=case.history.rows)
    stops = [one for one in troubles if one.stops]
    found = finding(
        "H07", "error", failure.node or (f"file {failure.path}" if failure.path else "migrations"),
        f"The migrations do not load: {failure.words}." + (f" ({failure.path})" if failure.path else ""),
        refused="Nothing that depends on the migrations is looked at until this is put right in the code.",
    )  # fmt: skip
    unplaced = {one.app for one in stops if one.kind in ("syntax", "class", "missing dependency")}
    if stops:
        found.found += " " + " ".join(one.found for one in stops[:6])
    return [found, *_half_squashed(case), *(_told(one.kind, one.app, one.migration, one.found)
                                            for one in troubles if not one.stops and one.kind in _KINDS
                                            # What comes after what is not known then.
                                            and not (one.kind == "leaves" and one.app in unplaced))]  # fmt: skip


_KINDS = {"leaves": "H04", "case": "H19", "ghost": "H08", "order": "H03"}


def _told(kind: str, app: str, migration: str, words: str) -> Finding:
    return finding(
        _KINDS[kind], "info" if kind == "ghost" else "error",
        Node(app, migration) if migration else f"app {app}", words,
        refused="" if kind == "ghost" else "What is to be done is told once the migrations load.",
    )  # fmt: skip


def _half_squashed(case: Case) -> Iterator[Finding]:
    """Yield squashes of which some originals are recorded, where the files of the others are gone."""
    rows = case.history.nodes
    for node, known in case.graph.disk.items():
        lacking = [old for old in known.replaces if old not in rows]
        if not lacking or len(lacking) == len(known.replaces) or any(old in case.graph.disk for old in lacking):
            continue
        one = finding(
            "H10", "error", node,
            f"{node} replaces {counted(len(known.replaces), 'migration')}, of which {listed(lacking)} is not recorded, "
            "and has no file: Django can apply neither the squash nor what it replaces.",
        )  # fmt: skip
        if all(case.decided(old) for old in lacking):
            applied = max((time for old in known.replaces if (time := case.history.applied(old))), default=None)
            one.action = "What a person says was applied is recorded; the squash counts as applied then."
            changes = [HistoryChange("insert", old, applied) for old in lacking]
            one.steps = [Step("H10", one.object, "history", f"record what {node} replaces", history=changes)]
        else:
            one.refused = (
                "Whether they were applied, nothing tells: bring their files back, and run migrate, or say so."
            )
            one.choices = [record_choice(old) for old in lacking if not case.decided(old)]
        yield one
