"""One replay for many histories: what it found holds for other recorded migrations of the same files too.

Which migrations are recorded decides the order of a replay, and what of it is expected now. What each makes stays the
same as long as those that change places have nothing in common.
"""

from collections.abc import Sequence
from dataclasses import replace

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.state import ProjectState

from ops.drift import fielding, graph
from ops.drift.model import Expected, Made, Node, Objects, key


def ordered(loader: graph.Loader) -> tuple[list[graph.Key], list[graph.Key]]:
    """Return what is recorded with all that it needs, and then what is pending, each in the order of the graph."""
    keys = graph.order(loader)
    recorded = [one for one in keys if one in loader.applied_migrations]
    needed = {parent for one in recorded for parent in loader.graph.forwards_plan(one)}
    return [one for one in keys if one in needed], [one for one in keys if one not in needed]


def state_at(loader: graph.Loader, keys: Sequence[graph.Key]) -> ProjectState:
    """Return the state of Django's models after some migrations, in their order."""
    state = ProjectState(real_apps=loader.unmigrated_apps)
    for one in keys:
        state = loader.graph.nodes[one].mutate_state(state, preserve=False)
    return state


def _touched(expected: Expected) -> dict[Node, set[str]]:
    """Return the keys of what each migration has to do with: what it changed, its tables, and what that needs."""
    found: dict[Node, set[str]] = {}
    objects: Objects = dict(expected.base)
    for made in expected.made:
        touched = found[made.node] = set(made.delta)
        for name, now in made.delta.items():
            for one in (objects.get(name), now):
                if one is not None:
                    touched |= _about(one)
            if now is None:
                objects.pop(name, None)
            else:
                objects[name] = now
    return found


def _about(one: dict[str, object]) -> set[str]:
    """Return the keys of the table that an object is of, and of those that it refers to."""
    found = {str(one[name]) for name in ("references", "partition_of", "function") if one.get(name)}
    if one.get("table"):
        found.add(key("table", str(one["schema"]), str(one["table"])))
    for name in ("depends", "inherits"):
        several = one.get(name)
        found |= {str(each) for each in several} if isinstance(several, list) else set()
    return found


def commutes(expected: Expected, order: Sequence[Node]) -> bool:
    """Say whether migrations make the same in another order: those that change places have nothing in common."""
    touched = _touched(expected)
    if set(touched) != set(order) or len(order) != len(expected.made):
        return False
    waiting = [made.node for made in expected.made]
    for node in order:
        place = waiting.index(node)
        if any(touched[node] & touched[overtaken] for overtaken in waiting[:place]):
            return False
        waiting.pop(place)
    return True


def derive(
    expected: Expected, loader: graph.Loader, connection: BaseDatabaseWrapper, path: Sequence[str]
) -> Expected | None:
    """Return what is expected at the history of the loader, from a replay at another one; None where it can't be told.

    `path` are the schemas that a name without one is looked for in.
    """
    first, pending = ordered(loader)
    order = [Node(*one) for one in (*first, *pending)]
    if any(made.error for made in expected.made) or not commutes(expected, order):
        return None
    by_node = {made.node: made for made in expected.made}
    made = [_marked(by_node[Node(*one)], one, loader, needed=True) for one in first]
    made += [_marked(by_node[Node(*one)], one, loader, needed=False) for one in pending]
    found = replace(expected, made=made)
    objects = found.objects()

    def located(db_table: str) -> tuple[str, str] | None:
        schema, table = fielding.named(db_table)
        places = [(one, table) for one in ([schema] if schema else path)]
        return next((one for one in places if key("table", *one) in objects), None)

    found.fields, found.tables = fielding.describe(state_at(loader, first).apps, connection, located)
    if pending:
        objects = {name: attributes for one in made for name, attributes in one.delta.items() if attributes}
        more, _ = fielding.describe(state_at(loader, [*first, *pending]).apps, connection, located)
        found.fields = {**more, **found.fields}
    return found


def _marked(made: Made, one: graph.Key, loader: graph.Loader, *, needed: bool) -> Made:
    recorded = one in loader.applied_migrations
    return replace(made, recorded=recorded, implied=needed and not recorded)
