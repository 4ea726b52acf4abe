"""What an operator decided, held against what was found: a decision that fits nothing is said, not passed over."""

from collections.abc import Iterator, Sequence

from django.apps import apps

from ops.drift.graph import Graph
from ops.drift.history import History
from ops.drift.model import Attributes, Choices, Objects


class UnknownApp(Exception):
    """An app that neither the project nor the history knows; the message says which."""


def must_know(labels: Sequence[str], known: History) -> None:
    """Raise UnknownApp for a label that is misspelt: nothing would ever be found of it."""
    there = {*apps.app_configs, *(row.app for row in known.rows)}
    for label in labels:
        if label not in there:
            raise UnknownApp(f"There is no app {label!r} in this project or in its history: correct --app.")


def idle(choices: Choices, known: History, loaded: Graph, want: Objects, have: Objects) -> list[str]:
    """Return a note for each decision that fits nothing that was found."""
    return [
        f"--{said} fits nothing that was found, and was left aside."
        for said in _idle(choices, known, loaded, want, have)
    ]


def _idle(choices: Choices, known: History, loaded: Graph, want: Objects, have: Objects) -> Iterator[str]:
    recorded = {str(node) for node in known.nodes}
    files = {str(node) for node in loaded.disk} | {str(old) for old in loaded.replaced}
    yield from (f"record {name}" for name in choices.record if name not in files or name in recorded)
    yield from (f"prune {name}" for name in choices.prune if name not in recorded - files)
    missing = [one for name, one in want.items() if name not in have]
    extra = [one for name, one in have.items() if name not in want]
    for pair in choices.rename:
        old, _, new = pair.partition("=")
        of_history = old in recorded and new in files
        if not (of_history or (any(_is_named(one, old) for one in extra) and _is_to_be(missing, old, new))):
            yield f"rename {pair}"
    yield from (
        f"value {name}={value}"
        for name, value in choices.value.items()
        if not any(one["kind"] == "column" and _is_named(one, name) for one in missing)
    )


def _is_to_be(missing: list[Attributes], old: str, new: str) -> bool:
    """Say whether what a renaming would lead to is missing: a column of the same table, or a table."""
    if "." in new:
        return any(one["kind"] in ("table", "type") and _is_named(one, new) for one in missing)
    return any(_is_named(one, f"{old.rpartition('.')[0]}.{new}".removeprefix(".")) for one in missing)


def _is_named(one: Attributes, said: str) -> bool:
    """Say whether a name, with the schema or without, is that of a table or a column."""
    names = [str(part) for part in (one["schema"], one.get("table"), one["name"]) if part]
    return said.replace('"', "") in (".".join(names), ".".join(names[1:]))
