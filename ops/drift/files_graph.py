"""The graph that files of migrations make by their names alone, squashes as Django takes them."""

from collections import defaultdict
from dataclasses import dataclass, field

from ops.drift.files_reading import File, Target
from ops.drift.model import Node


@dataclass
class Graph:
    """Parents by migration, after squashes stand for what they replace; and what could not be found."""

    parents: dict[Node, set[Node]] = field(default_factory=dict)
    # The migration that names it, what it names, and whether by run_before.
    missing: list[tuple[Node, Target, bool]] = field(default_factory=list)
    # What a squash that can't be used replaces: some of it is recorded, some is not.
    partly: dict[Node, Node] = field(default_factory=dict)

    def leaves(self) -> dict[str, list[Node]]:
        """Return the ends of each app that has more than one."""
        inner = {parent for node, parents in self.parents.items() for parent in parents if parent.app == node.app}
        ends: dict[str, list[Node]] = defaultdict(list)
        for node in sorted(self.parents, key=str):
            if node not in inner:
                ends[node.app].append(node)
        return {app: nodes for app, nodes in ends.items() if len(nodes) > 1}

    def circles(self) -> list[list[Node]]:
        """Return one circle for each set of migrations that depend on each other, child before parent."""
        done: set[Node] = set()
        found: list[list[Node]] = []
        for start in sorted(self.parents, key=str):
            if start not in done:
                self._descend(start, done, found)
        return found

    def _descend(self, start: Node, done: set[Node], found: list[list[Node]]) -> None:
        """Walk depth first without recursion: histories are longer than Python's stack."""
        path: list[Node] = []
        on_path: set[Node] = set()
        stack: list[tuple[Node, bool]] = [(start, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif node in on_path:
                found.append(path[path.index(node) :])
            elif node not in done:
                path.append(node)
                on_path.add(node)
                stack.append((node, True))
                stack.extend((parent, False) for parent in sorted(self.parents[node], key=str, reverse=True))


def build(files: dict[Node, File], recorded: set[Node], unmigrated: set[str]) -> Graph:
    """Build the graph; `recorded` decides which squashes stand for what they replace."""
    graph = Graph()
    stands = _standing(files, recorded, graph)
    gone = set(stands)
    graph.parents = {node: set() for node in files if node not in gone and node not in graph.partly.values()}
    first, last = _ends(files)

    def resolve(target: Target, origin: Node) -> Node | None:
        node = target.node
        if node.name in {"__first__", "__latest__"}:
            if node.app == origin.app or node.app in unmigrated:
                return None
            node = (first if node.name == "__first__" else last).get(node.app, node)
        seen = {node}
        while node in stands and stands[node] not in seen:
            node = stands[node]
            seen.add(node)
        return node

    for origin, one in files.items():
        if origin in gone:
            continue
        for target, before in [*((t, False) for t in one.dependencies), *((t, True) for t in one.run_before)]:
            node = resolve(target, origin)
            if node is None or node == origin:
                continue
            if node not in files:
                graph.missing.append((origin, target, before))
            elif origin in graph.parents and node in graph.parents:
                child, parent = (node, origin) if before else (origin, node)
                graph.parents[child].add(parent)
    return graph


def _standing(files: dict[Node, File], recorded: set[Node], graph: Graph) -> dict[Node, Node]:
    """Return what stands for each replaced migration: Django takes a squash where all or none of it is recorded."""
    stands: dict[Node, Node] = {}
    for node, one in files.items():
        states = {target.node in recorded for target in one.replaces}
        if len(states) == 1:
            stands.update({target.node: node for target in one.replaces})
        elif states:
            graph.partly.update({target.node: node for target in one.replaces})
    return {node: other for node, other in stands.items() if node != other}


def _ends(files: dict[Node, File]) -> tuple[dict[str, Node], dict[str, Node]]:
    """Return the first and the last migration of each app, as `__first__` and `__latest__` name them."""
    first: dict[str, Node] = {}
    last: dict[str, Node] = {}
    parents = {target.node for one in files.values() for target in one.dependencies if target.node.app == one.node.app}
    for node in sorted(files, key=str):
        if not any(target.node.app == node.app for target in files[node].dependencies):
            first.setdefault(node.app, node)
        if node not in parents:
            last.setdefault(node.app, node)
    return first, last
