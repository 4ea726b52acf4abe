"""Migrations that were applied and are not recorded, or not under their name (H01 H02 H03 H09 H10 H11).

A migration is recorded only when its objects are proven, or when a person says so (`--record`), and only together with
all that it depends on.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import SequenceMatcher

from ops.drift import comparing, history_findings_lacking
from ops.drift.graph import Known
from ops.drift.history_findings_case import Case, counted, covers, finding, listed, record_choice, recording
from ops.drift.judging import Verdict
from ops.drift.model import Choice, Finding, HistoryChange, Node, Row, Step

_MOMENT = timedelta(microseconds=1)
_NUMBER = re.compile(r"\d+")
_NEAR = 0.75
_AGAIN = "Django does not know that it was applied: showmigrations has it open, and the next migrate does it again."


@dataclass
class _Unrecorded:
    """A migration that is to be recorded, and what is found of it."""

    known: Known
    verdict: Verdict
    code: str
    applied: datetime | None = None
    # Those that are recorded and depend on it.
    children: list[Node] = field(default_factory=list)
    # Those that migrate would run a second time once this one is recorded.
    held: list[Node] = field(default_factory=list)


def find(case: Case) -> list[Finding]:
    """Return a finding for each migration that has no row and ought to have one, in the order of the graph."""
    case.renamed = renames(case)
    found = [_renamed(case, node, row) for node, row in case.renamed.items()]
    recorded = {node for node in case.graph.nodes if case.is_recorded(node)} | set(case.renamed)
    unrecorded = _unrecorded(case)
    held = _held(case, unrecorded)
    for one in unrecorded:
        one.held = held.get(one.known.node, [])
        outcome = _found(case, one, recorded)
        if one.code == "H11":
            case.squashed |= {row.node for row in _ghosts_of(case, one.known.node)}
        if outcome.steps and not outcome.refused:
            recorded.add(one.known.node)
        found.append(outcome)
    return found


def _wanting(case: Case) -> set[Node]:
    """Return what has no row though a row that comes after it has one, or though its objects are there."""
    found = set()
    for node, known in case.graph.nodes.items():
        if known.recorded or node in case.renamed:
            continue
        verdict = case.verdict(node)
        # Of what is there under other names alone nothing stops migrate, which makes it by its own.
        done = verdict.what == "partly" or (verdict.what == "present" and not verdict.renamed)
        if known.implied or done or _is_half_squash(case, known):
            found.add(node)
    return found


def _is_half_squash(case: Case, known: Known) -> bool:
    """Say whether a squash has a row that Django does not believe, because what it replaces has none."""
    return bool(known.replaces) and known.node in case.history.nodes


def _unrecorded(case: Case) -> list[_Unrecorded]:
    """Return what is to be recorded, each with all before it that is not: Django takes no child without its parent."""
    wanting = _wanting(case)
    needed = {parent for node in wanting for parent in case.graph.ancestors(node)}
    nodes = [
        known
        for node, known in case.graph.nodes.items()
        if node in wanting or (node in needed and not known.recorded and node not in case.renamed)
    ]
    trouble = _takes_no_row(case)
    found = {known.node: _Unrecorded(known, case.verdict(known.node), _code(case, known, trouble)) for known in nodes}
    for one in reversed(found.values()):
        children = case.graph.children(one.known.node)
        one.children = [
            child
            for child in children
            if case.history.applied(child) or case.is_recorded(child) or child in case.renamed
        ]
        times = [case.history.applied(child) for child in children]
        times += [case.renamed[child].applied for child in children if child in case.renamed]
        times += [found[child].applied for child in children if child in found]
        first = min((time for time in times if time), default=None)
        one.applied = first - _MOMENT if first else None
    # What is absent and has no recorded child is simply pending; those that come after it say that it is in the way.
    return [one for one in found.values() if one.known.implied or one.verdict.what != "absent"]


def _held(case: Case, unrecorded: Iterable[_Unrecorded]) -> dict[Node, list[Node]]:
    """Return what is not recorded, though it is proven: else migrate would run what comes after it a second time.

    As long as a migration that makes what is there has no row, migrate stops at it. One after it that only moves rows
    would not stop anything: it would run again, though what comes after it shows that it ran.
    """
    by_node = {one.known.node: one for one in unrecorded}
    walls = {node for node, one in by_node.items() if _is_wall(case, one)}
    held: dict[Node, list[Node]] = {}
    for node, one in by_node.items():
        if one.known.implied or not case.unseen(one.known) or (node in walls and one.known.atomic):
            continue
        before = [parent for parent in case.graph.ancestors(node) if parent in walls]
        for parent in before:
            if not any(parent in case.graph.ancestors(other) for other in before):
                held.setdefault(parent, []).append(node)
    return held


def _is_wall(case: Case, one: _Unrecorded) -> bool:
    """Say whether migrate would fail at a migration, since something that it makes is there."""
    node = one.known.node
    there = {*one.verdict.proven, *one.verdict.unfinished}
    return one.verdict.what in ("present", "partly") and any(
        name in there and attributes and case.expected.makers(name)[0].node == node
        for name, attributes in case.made[node].delta.items()
    )


def _only_alters(case: Case, known: Known) -> bool:
    """Say whether migrate could do a migration once more: it neither makes nor drops an object, nor moves rows."""
    if case.unseen(known) or case.verdict(known.node).what not in ("present", "partly", "state-only"):
        return False
    return all(
        attributes is not None and case.expected.makers(name)[0].node != known.node
        for name, attributes in case.made[known.node].delta.items()
    )


def _takes_no_row(case: Case) -> bool:
    """Say whether the next row would get a key that is taken, or none."""
    column = case.history.columns.get("id")
    largest = max((row.id for row in case.history.rows if row.id is not None), default=0)
    return bool(column and (not column.fills_itself or (column.next_key is not None and column.next_key <= largest)))


def _code(case: Case, known: Known, trouble: bool) -> str:
    rows = case.history.nodes
    squashes = [case.graph.disk[squash] for old, squash in case.graph.replaced.items() if old == known.node]
    if _is_half_squash(case, known) or any(one.node in rows for one in squashes):
        return "H10"
    of_app = _ghosts_of(case, known.node)
    is_squash = bool(known.replaces) or "squashed" in known.node.name
    is_squash = is_squash or any(_like(row.name, known.node.name) and _squashed_in(case, known.node, row)
                                 for row in of_app)  # fmt: skip
    if of_app and (is_squash or (known.implied and not any(one.app == known.node.app for one in known.parents))):
        return "H11"
    if known.implied:
        return "H03"
    return "H02" if trouble else "H01"


def _ghosts_of(case: Case, node: Node) -> list[Row]:
    """Return the rows without a file that a squash may have replaced: by its name, or those that no other does."""
    of_app = [row for row in case.ghosts if row.app == node.app]
    own = [row for row in of_app if covers(node, row)]
    return own or [row for row in of_app if not any(covers(other, row) for other in case.graph.nodes)]


def _found(case: Case, one: _Unrecorded, recorded: set[Node]) -> Finding:
    """Return what is to be said of one, with the steps that make what it lacks and record it, or why not."""
    node, verdict = one.known.node, one.verdict
    outcome = finding(one.code, "error", node, _words(case, one))
    if one.code == "H01" and _only_alters(case, one.known):
        outcome.severity, outcome.breaks = "warning", _AGAIN
    outcome.claims = _done(case, one.known, verdict)
    reasons = _in_the_way(case, one, recorded)
    if reasons:
        outcome.refused = " ".join(words for words, _ in reasons)
        outcome.choices = [*{choice.option: choice for _, choice in reasons if choice is not None}.values()]
        return outcome
    steps, refused, choices, claims = history_findings_lacking.make(case, one.known, verdict, one.code)
    outcome.claims += claims
    outcome.steps = steps
    if refused:
        outcome.refused, outcome.choices = refused, choices
        return outcome
    # Of an index in another form that is not valid either, what is found once this is recorded tells.
    other = [name for name in verdict.other if comparing.usable(case.have[name])]
    needs = [*verdict.proven, *verdict.unfinished, *other, *verdict.missing]
    outcome.steps = [*steps, recording(case, one.code, node, one.applied, needs)]
    own = sum(name in case.made[node].delta for name in claims)
    outcome.action = (
        f"What is missing is made ({counted(own, 'object')}), then it is recorded." if claims
        else "It is recorded, as its objects prove." if verdict.proven
        else "It is recorded: it changes no object." if verdict.what == "state-only"
        else "It is recorded."
    )  # fmt: skip
    return outcome


def _done(case: Case, known: Known, verdict: Verdict) -> list[str]:
    """Return what a migration has done: its own row being away, else what it dropped would be missed and made again."""
    if known.implied or verdict.what not in ("present", "partly"):
        return list(verdict.proven)
    waiting = {*verdict.missing, *verdict.unfinished, *verdict.undone}
    return list(
        dict.fromkeys([*verdict.proven, *(name for name in case.made[known.node].delta if name not in waiting)])
    )


def _words(case: Case, one: _Unrecorded) -> str:
    node, verdict = one.known.node, one.verdict
    there = {
        "present": f"all of its {counted(verdict.total, 'change')} that can be seen are in the catalogue",
        "partly": f"{verdict.done} of its {counted(verdict.total, 'change')} are in the catalogue"
        + (f", missing: {listed(verdict.missing)}" if verdict.missing else "")
        + (f", as before it: {listed(verdict.undone)}" if verdict.undone else "")
        + (f", not valid: {listed(verdict.unfinished)}" if verdict.unfinished else "")
        + (f", in another form: {listed(verdict.other)}" if verdict.other else ""),
        "absent": f"none of its {counted(verdict.total, 'change')} is in the catalogue",
        "unprovable": f"nothing proves or disproves it: {verdict.why}",
        "state-only": verdict.why,
    }[verdict.what]
    if one.code == "H10":
        rows = [old for old in one.known.replaces if old in case.history.nodes]
        why = f"a squash is recorded, and only {len(rows)} of {len(one.known.replaces)} that it replaces are" if (
            one.known.replaces
        ) else "the squash that replaces it is recorded, and it is not"  # fmt: skip
        return f"{node} does not count as applied: {why}; {there}."
    if one.code == "H11":
        ghosts = [row.name for row in _ghosts_of(case, node)]
        return f"{node} is not recorded, rows of what it replaces are there ({listed(ghosts)}); {there}."
    if one.known.implied:
        others = [child for child in case.graph.children(node) if child not in one.children]
        told = f"recorded before it: {listed(one.children, 20)}" if one.children else (
            f"{listed(others)} needs it and is not recorded either, though what comes after is"
        )  # fmt: skip
        return f"{node} is not recorded; {told}; {there}."
    return f"{node} is not recorded; {there}."


def _in_the_way(case: Case, one: _Unrecorded, recorded: set[Node]) -> list[tuple[str, Choice | None]]:
    """Return why a migration can't be recorded, each with the way out that a person has."""
    node, verdict = one.known.node, one.verdict
    found: list[tuple[str, Choice | None]] = []
    if node in case.elsewhere:
        found.append((f"The django_migrations of schema {case.elsewhere[node]!r} records it: see H12.", None))
    lacking = [parent for parent in one.known.parents if parent not in recorded]
    pending = [parent for parent in lacking if case.verdict(parent).what == "absent"]
    if pending:
        ways = listed(f"'manage.py migrate {parent.app} {parent.name}'" for parent in pending)
        found.append((f"It depends on {listed(pending)}, which was not applied: run {ways}, then repair again.", None))
    elif lacking:
        found.append((f"It depends on {listed(lacking)}, which can't be recorded.", None))
    for other in one.held:
        words = f"Once it is recorded, migrate would run {other} again, of which nothing proves that it ran."
        found.append((words, record_choice(other)))
    unseen = case.unseen(one.known)
    if unseen:
        found.append((f"Whether {listed(unseen)} ran can't be proven.", record_choice(node)))
    if verdict.what == "unprovable" and not unseen and not case.decided(node):
        found.append((f"Nothing proves it: {verdict.why}.", record_choice(node)))
    renamed = {name for told in history_findings_lacking.elsewhere(case, one.known, verdict) for name in told.claims}
    foreign = [name for name in verdict.other if name not in renamed]
    if foreign and not case.decided(node) and not one.known.implied:
        found.append((f"{listed(foreign)} may be somebody else's.", record_choice(node)))
    return found


def _stem(name: str) -> str:
    return re.sub(r"^\d+_", "", name)


def _like(old: str, new: str) -> bool:
    """Say whether one name may have been made of another: the number or the rest was kept, or nearly all of it."""
    numbers = [match[0] if (match := _NUMBER.match(name)) else "" for name in (old, new)]
    return (
        _stem(old) == _stem(new) or (numbers[0] == numbers[1] != "") or SequenceMatcher(None, old, new).ratio() >= _NEAR
    )


def renames(case: Case) -> dict[Node, Row]:
    """Return the migrations whose row is under an older name, each with that row.

    The old file is gone, so its operations can't be read: the objects have to prove the new one, and one row without
    a file has to be like it alone. What a person says (`--rename APP.OLD=APP.NEW`) needs no proof.
    """
    replaced = case.graph.replaced
    ghosts = [
        row for row in case.ghosts
        if row.node not in replaced and not any(covers(node, row) for node in case.graph.nodes)
    ]  # fmt: skip
    unrecorded = [
        known for known in case.graph.nodes.values()
        if not known.recorded and not known.replaces and "squashed" not in known.node.name
    ]  # fmt: skip
    said = {(old, new) for one in case.choices.rename for old, _, new in [one.partition("=")] if new}
    pairs = [
        (known.node, row)
        for known in unrecorded
        for row in ghosts
        if row.app == known.node.app and (str(row.node), str(known.node)) in said
    ]
    found = dict(pairs)
    likely = [
        (known.node, row)
        for known in unrecorded
        for row in ghosts
        if known.node.app == row.app and known.node not in found and row not in found.values()
        if case.verdict(known.node).what == "present" and _like(row.name, known.node.name)
    ]
    # Where numbers changed hands, the rest of the name tells.
    stems = [(node, row) for node, row in likely if _stem(row.name) == _stem(node.name)]
    sure = {row.node for node, row in _alone(stems)}
    found |= {node: row for node, row in _alone(stems) if not _squashed_in(case, node, row, sure)}
    rest = [(node, row) for node, row in likely if node not in found and row not in found.values()]
    found |= {node: row for node, row in _alone(rest) if not _squashed_in(case, node, row)}
    return found


def _alone(pairs: list[tuple[Node, Row]]) -> list[tuple[Node, Row]]:
    """Return the pairs of which each half is in no other."""
    return [
        (node, row) for node, row in pairs
        if sum(one == node for one, _ in pairs) == 1 and sum(one.node == row.node for _, one in pairs) == 1
    ]  # fmt: skip


def _squashed_in(case: Case, node: Node, row: Row, renamed: Collection[Node] = ()) -> bool:
    """Say whether rows without a file come after this one, before what comes after the migration: it is a squash.

    Those that are `renamed` themselves do not tell.
    """
    times = [time for child in case.graph.children(node) if (time := case.history.applied(child))]
    first = min(times, default=None)
    return any(
        other.app == row.app and row.applied and other.applied and row.applied < other.applied
        and other.node not in renamed
        and (first is None or other.applied < first) and not any(covers(one, other) for one in case.graph.nodes)
        for other in case.ghosts
    )  # fmt: skip


def maybe_renames(case: Case, rows: Iterable[Row]) -> dict[Node, Node]:
    """Return, by rows without a file, the one migration each may be a former name of, though nothing proves it."""
    found = {}
    for row in rows:
        like = [
            node for node, known in case.graph.nodes.items()
            if node.app == row.app and not known.recorded and node not in case.renamed
            and case.verdict(node).what in ("unprovable", "state-only") and _like(row.name, node.name)
        ]  # fmt: skip
        if len(like) == 1:
            found[row.node] = like[0]
    return found


def _renamed(case: Case, node: Node, row: Row) -> Finding:
    verdict = case.verdict(node)
    outcome = finding(
        "H09", "error", node,
        f"{row.node} is recorded and has no file, {node} has one and is not recorded, and "
        + (f"all of its {counted(verdict.total, 'change')} that can be seen are in the catalogue: "
           if verdict.what == "present" else "somebody knows: ")
        + "the file was renamed.",
        action="The row gets the new name, and keeps the time at which it was applied.",
    )  # fmt: skip
    outcome.claims = _done(case, case.graph.nodes[node], verdict)
    changes = [
        HistoryChange("rename", one.node, one.applied, new_name=node.name, id=one.id)
        for one in case.history.nodes[row.node]
    ]
    title = f"rename {row.node} to {node.name}"
    outcome.steps = [Step("H09", outcome.object, "history", title, history=changes, needs=list(verdict.proven))]
    return outcome
