"""A history that is wrong as a whole: faked, emptied, or another schema's (H05 H12 H16)."""

from collections.abc import Iterator

from ops.drift.history import TABLE, Other
from ops.drift.history_findings_case import Case, counted, finding, listed, record_choice, recording
from ops.drift.history_findings_table import parts
from ops.drift.model import Attributes, Choice, Finding, HistoryChange, Node, Step, key


def find(case: Case) -> list[Finding]:
    """Return what is wrong with all of the history; what is found row by row is then left out."""
    faked = _faked(case)
    if faked is not None:
        return [faked]
    emptied = _emptied(case) if not any(_is_shadowed(case, other) for other in case.history.others) else None
    return [*_shadowing(case, emptied is not None), *([emptied] if emptied else [])]


def _tables(case: Case, *, recorded: bool) -> dict[str, tuple[str, str]]:
    """Return the project's tables, at the recorded migrations or at any, by key, as (schema, name)."""
    objects = case.expected.objects() if recorded else {}
    if not recorded:
        for one in case.expected.made:
            objects |= {name: attributes for name, attributes in one.delta.items() if attributes}
    return {
        name: (one["schema"], one["name"])
        for name, one in objects.items()
        if one["kind"] == "table" and one["name"] != TABLE
    }


def _faked(case: Case) -> Finding | None:
    """Return that everything is recorded and nothing is there, None where one table of the project is."""
    wanted = _tables(case, recorded=True)
    if not wanted or not case.history.rows or case.expected.doubtful or any(name in case.have for name in wanted):
        return None
    every = {name for _, name in _tables(case, recorded=False).values()}
    found = finding(
        "H05", "error", case.history.key,
        f"{counted(len(case.history.rows), 'migration')} recorded, and none of the "
        f"{counted(len(wanted), 'table')} that they make is there: the whole history was faked, or this is the wrong "
        f"database or search_path ({listed(case.history.search_path)}).",
    )  # fmt: skip
    found.claims = [*case.expected.objects()]
    elsewhere = sorted(f"{schema}.{name}" for schema, name in case.history.tables if name in every)
    others = [f"{one.schema}.{TABLE}" for one in case.history.others]
    if elsewhere or others:
        found.refused = (
            f"There is {listed([*elsewhere, *others])}: the search_path of this connection seems to be wrong. Correct "
            "OPTIONS or the role's search_path; nothing is taken out of the history."
        )
        return found
    if not case.choices.unrecord_all:
        found.refused = "That nothing was ever made here, and that this is the right database, a person has to say."
        found.choices = [Choice("--unrecord-all", "move all rows of the history to the audit; then run migrate")]
        return found
    found.action = "All rows are moved to the audit. Then run migrate, which makes everything."
    changes = [HistoryChange("delete", row.node, row.applied, id=row.id) for row in case.history.rows]
    found.steps = [Step("H05", found.object, "history", "take all rows out of the history", history=changes)]
    return found


def _is_emptied(case: Case) -> bool:
    """Say whether no migration of this project is recorded, and the objects of at least one are there."""
    if any(row.node in case.graph.disk for row in case.history.rows):
        return False
    return any(verdict.what == "present" for verdict in case.verdicts.values())


def _state(case: Case) -> tuple[list[Node], list[str], list[Node]]:
    """Return the newest set of migrations that explains what is there, why there is none, and what may belong to it.

    It is what is present, with all that this depends on. What leaves no trace and is not needed stays out of it.
    """
    present = {
        node
        for node in case.graph.nodes
        if (case.verdict(node).what == "present" and not case.verdict(node).renamed) or case.decided(node)
    }
    needed = {parent for node in present for parent in case.graph.ancestors(node)}
    nodes = [node for node in case.graph.nodes if node in needed or node in present]
    wrong = [
        f"{node} is absent, and {'--record' if case.decided(node) else listed(case.graph.children(node))} needs it"
        for node in nodes
        if case.verdict(node).what == "absent"
    ]
    # What comes after something that is absent was not applied.
    maybe = [
        node
        for node in case.graph.nodes
        if node not in nodes
        and case.verdict(node).what == "unprovable"
        and not any(case.verdict(parent).what == "absent" for parent in case.graph.ancestors(node))
    ]
    return nodes, wrong, maybe


def _emptied(case: Case) -> Finding | None:
    """Return that the history is empty and the tables are there, with the state that they are in."""
    if not case.graph.nodes or not _is_emptied(case):
        return None
    nodes, wrong, maybe = _state(case)
    lacks = _lacks(case, nodes)
    what = "is empty" if case.history.exists and not case.history.rows else "records no migration of this project"
    found = finding(
        "H16", "error", case.history.key,
        f"{TABLE} {what if case.history.exists else 'is not there'}, and the objects of {len(nodes)} of "
        f"{counted(len(case.graph.nodes), 'migration')} are{', but for some' if lacks else ''}: the schema is at "
        f"{listed(_leaves(case, nodes), 40)}."
        + (f" Missing of what they make: {listed(lacks)}; once they are recorded, that is found and mended." if lacks
           else "")
        + (f" Nothing tells whether {listed(maybe)} ran: migrate will run it." if maybe else ""),
    )  # fmt: skip
    found.claims = parts(case)
    found.claims += sorted({name for verdict in case.verdicts.values() for name in (*verdict.proven, *verdict.other)})
    others = [one.schema for one in case.history.others if one.rows]
    if others:
        found.refused = f"Schema {listed(others)} has a {TABLE} with rows: see to the search_path first (H12)."
    elif wrong:
        found.refused = f"No state of the migrations explains what is there, for {listed(wrong)}."
    elif not case.choices.record_history:
        found.refused = f"That all of them were applied a person has to say: {listed(nodes, len(nodes))}."
        found.choices = [Choice("--record-history", f"record these {len(nodes)} migrations, as of now")]
        found.choices += [record_choice(node) for node in maybe]
    else:
        found.action = f"{counted(len(nodes), 'migration')} recorded, as of now, in the order of the graph."
        found.steps = [*_creating(case), *(_recording(case, node) for node in nodes)]
    return found


def _lacks(case: Case, nodes: list[Node]) -> list[str]:
    """Return what a set of migrations makes and leaves, and what is missing; a table speaks for its parts."""
    left: dict[str, Attributes] = {}
    for one in case.expected.made:
        if one.node in nodes:
            left |= {name: attributes or {} for name, attributes in one.delta.items()}
    missing = {name for node in nodes for name in case.verdict(node).missing if left.get(name)}
    return sorted(
        name
        for name in missing
        if not (table := left[name].get("table")) or key("table", left[name]["schema"], table) not in missing
    )


def unbegun(case: Case) -> list[Finding]:
    """Return that there is no history and nothing of the project, which is what the first migrate finds."""
    if case.history.exists:
        return []
    one = finding("H16", "info", case.history.key, "No migration was ever applied here.", action="Run migrate.")
    one.claims = parts(case)
    return [one]


def _leaves(case: Case, nodes: list[Node]) -> list[Node]:
    """Return the last migration of each app within a set."""
    return [node for node in nodes if not any(child in nodes and child.app == node.app
                                              for child in case.graph.children(node))]  # fmt: skip


def _creating(case: Case) -> Iterator[Step]:
    if not case.history.exists:
        # It has rows by the time of any undo, and those of later migrations too; so it stays.
        yield Step(
            "H16", case.history.key, "history table", f"create {TABLE}", sql=case.history.creation
        )  # fmt: skip


def _recording(case: Case, node: Node) -> Step:
    verdict = case.verdict(node)
    return recording(case, "H16", node, None, [*verdict.proven, *verdict.other])


def _shadowing(case: Case, emptied: bool) -> Iterator[Finding]:
    """Yield other tables of that name: of harm is one of the search_path that records what this one ought to."""
    for other in case.history.others:
        where = f"{other.schema}.{TABLE}"
        lost = [
            node
            for node, schema in case.elsewhere.items()
            if schema == other.schema and case.verdict(node).what in ("present", "partly")
        ]
        rows = "an unknown number of rows" if other.rows is None else counted(len(other.rows), "row")
        shadowed = _is_shadowed(case, other)
        hidden = shadowed and other.place is not None
        harm = bool(lost) or hidden or (emptied and bool(other.rows))
        one = finding(
            "H12", "error" if harm else "warning" if shadowed else "info", f"table {where}",
            f"{where} has {rows}, {case.history.schema}.{TABLE}, which Django reads, {len(case.history.rows)}"
            + (f"; only the former records {listed(lost)}, whose objects are there" if lost else "")
            + (
                f"; the project's tables are in {other.schema}{'' if hidden else ', outside of the search_path'}, and "
                f"migrate would make all of them a second time in {case.history.schema}" if shadowed else ""
            )
            + (f" (search_path: {listed(case.history.search_path)})." if case.history.search_path else "."),
        )  # fmt: skip
        if harm:
            one.refused = (
                "Which of the two is this project's, a person has to see: correct the search_path of the role or of "
                f"OPTIONS, or move the empty table away, so that {where} is found. No row is moved between them."
            )
        elif shadowed:
            one.refused = (
                f"If this is not a new tenant, correct the search_path of the role or of OPTIONS, so that {where} is "
                "found. No row is moved between them."
            )
        yield one


def _is_shadowed(case: Case, other: Other) -> bool:
    """Say whether another history is that of the tables, and the one which is read has none of its own beside it.

    What ought to be is looked for in the schema of the history that is read, so no verdict tells. One that has tables
    of its own beside it is another tenant's, or the public one of all tenants; outside of the search_path every tenant
    is another, so that only a history without a row of the project is none.
    """
    names = {name for _, name in _tables(case, recorded=False).values()}
    ours, theirs = (
        {name for schema, name in case.history.tables if schema == one} & names
        for one in (case.history.schema, other.schema)
    )
    more = any(row.node in case.graph.disk and row.node not in case.history.nodes for row in other.rows or ())
    begun = any(row.node in case.graph.disk for row in case.history.rows)
    return (other.place is not None or not begun) and more and bool(theirs) and not ours
