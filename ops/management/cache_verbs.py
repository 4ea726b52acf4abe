"""The verbs of `manage.py cache`: each asks the cache once and prints."""

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError

from ops import clock
from ops.cache import registry, triggers, verifying, versions
from ops.cache.caching import Cached
from ops.cache.store import Entry, StoreAway, store
from ops.management import display
from ops.management.engine_command import FAILED, USAGE, EngineCommand

Given = dict[str, Any]
SHOWN = 20
"""How many values are shown to a person."""


def list_cached(command: EngineCommand, options: Given) -> None:
    """Print what is cached, with its counters; what the cache itself can't say is unknown."""
    store.reopen()
    try:
        kept: Counter[str] | None = Counter(name for name, _ in store.kept())
    except StoreAway as exc:
        kept = None
        command.note(str(exc))
    found = [_document(cached, kept) for cached in registry.everything()]
    if options["json"]:
        command.print_json({"caches": found})
        return
    if not found:
        command.stdout.write("Nothing is cached: docs/cache.md shows how a function is.")
        return
    columns = ("name", "ttl", "hits", "misses", "ratio", "entries")
    rows = [
        [
            one["name"],
            _seconds(one["ttl"]),
            *(None if one[kind] is None else f"{one[kind]:,}" for kind in ("hits", "misses")),
            "-" if one["ratio"] is None else f"{one['ratio']:.0%}",
            one["entries"],
        ]
        for one in found
    ]
    title = f"{len(found)} cached"
    terminal = command.stdout.isatty()
    command.stdout.write(display.table(title, columns, rows, columns[1:], terminal).lstrip("\n"))
    command.stdout.write("")
    for one in found:
        reads = f"{one['name']} reads {', '.join(one['tables'])}"
        command.stdout.write(textwrap.fill(reads, 80, subsequent_indent="  ", break_long_words=False))
    for one in found:
        if one["trouble"]:
            command.note(f"{one['name']}: {one['trouble']}")


def _document(cached: Cached[Any], kept: Counter[str] | None) -> dict[str, Any]:
    counters: dict[str, Any] = cached.counters()
    asked = counters["hits"] + counters["misses"]
    ratio = counters["hits"] / asked if asked else None
    if not store.is_open():
        # Those of this process alone would be taken for all.
        counters, ratio = dict.fromkeys(counters), None
    trouble = ""
    try:
        versions.read(cached.table_names(), {}, cached.database)
    except versions.Unversioned as exc:
        trouble = str(exc)
    return {
        "name": cached.name,
        "tables": list(cached.table_names()),
        "database": cached.database,
        "ttl": cached.ttl,
        **counters,
        "ratio": ratio,
        "entries": None if kept is None else kept[cached.name],
        "trouble": trouble,
    }


def show(command: EngineCommand, options: Given) -> None:
    """Print the values that are kept of one name, or of one set of arguments."""
    cached = registry.find(options["name"])
    store.reopen()
    moment = clock.now()
    found = [_shown(cached, entry, moment) for entry in _chosen(cached, options["given"])]
    if options["json"]:
        command.print_json({"name": cached.name, "database": cached.database, "entries": found})
        return
    what = f" of {json.dumps(options['given'][0] or options['given'][1])}" if options["given"] else ""
    if not found:
        command.stdout.write(f"{cached.name}: nothing is kept{what}.")
        return
    shown = found[:SHOWN]
    paragraphs = [
        display.facts(
            [
                ("arguments", _text(one["arguments"])),
                ("value", _text(one["value"])),
                ("state", one["state"]),
                ("age", f"{_age(one['age'])}, computed {one['computed_at']} in {one['took']:.3f} s"),
                ("versions", ", ".join(f"{_brief(name)} {number}" for name, number in one["versions"].items())),
            ],
            terminal=command.stdout.isatty(),
        )
        for one in shown
    ]
    more = f", the first {SHOWN} of" if len(found) > SHOWN else ","
    command.stdout.write("\n\n".join([f"{cached.name}{more} {display.count(len(found), 'value')}:", *paragraphs]))


def _shown(cached: Cached[Any], entry: Entry, moment: datetime) -> dict[str, Any]:
    return {
        "arguments": entry.arguments,
        "value": cached.comparable(entry.value),
        "state": _state(cached, entry, moment),
        "computed_at": clock.shown(entry.computed_at),
        "age": (moment - entry.computed_at).total_seconds(),
        "expires_in": (entry.expires_at - moment).total_seconds(),
        "took": entry.took,
        "versions": {name: _number(version) for name, version in entry.by_table.items()},
    }


def _brief(name: str) -> str:
    """Return the name of a version; of what stands for the arguments the beginning is enough."""
    return f"{name.partition('#')[0]}#{name.partition('#')[2][:6]}.." if name.startswith(versions.PSEUDO) else name


def _state(cached: Cached[Any], entry: Entry, moment: datetime) -> str:
    """Return in words whether a value still answers, or why not."""
    question = verifying.question_of(cached, entry)
    if question is None:
        return "of other code or unknown arguments: answers no more"
    try:
        found = cached.read(question)
    except versions.Unversioned as exc:
        return f"not used: {exc}"
    if moment >= entry.expires_at:
        return "expired"
    if entry.answers(found.key, moment):
        return "answers"
    moved = [name for name, version in found.by_table.items() if entry.by_table.get(name) != version]
    invalidated = [name for name in moved if name.startswith(versions.PSEUDO)]
    if invalidated:
        return "invalidated"
    return f"passed: {', '.join(moved)} moved" if moved else "passed: a table moved while it was computed"


def invalidate(command: EngineCommand, options: Given) -> None:
    """Let no value answer any more that was computed so far, and forget those that are kept."""
    cached = registry.find(options["name"])
    store.reopen()
    try:
        chosen: list[Entry] | None = list(_chosen(cached, options["given"]))
    except StoreAway as exc:
        # The versions are in the database; what the cache holds answers no more.
        chosen = None
        command.note(str(exc))
    if options["given"] is None:
        cached.invalidate()
    else:
        args, kwargs = options["given"]
        digests = {_asked(cached, args, kwargs).digest}
        digests |= {asked.digest for entry in chosen or () if (asked := verifying.question_of(cached, entry))}
        for digest in sorted(digests):
            versions.bump(cached.pseudo_table, digest, cached.database)
    for entry in chosen or ():
        store.drop(cached.name, entry.address)
    if options["json"]:
        command.print_json({"name": cached.name, "dropped": None if chosen is None else len(chosen)})
        return
    dropped = "" if chosen is None else f" ({display.count(len(chosen), 'value')} dropped)"
    what = "of these arguments" if options["given"] else "that was computed so far"
    command.stdout.write(f"{cached.name}: no value {what} answers any more{dropped}.")


def warm(command: EngineCommand, options: Given) -> None:
    """Compute what is declared to be computed beforehand, and is not there."""
    chosen = [registry.find(options["name"])] if options["name"] else registry.everything()
    store.reopen()
    found = []
    for cached in chosen:
        answers = [cached.answer(**arguments) for arguments in cached.warm_sets()]
        if not store.is_open():
            raise StoreAway(f"{cached.name} could not be kept: the cache {store.alias!r} does not answer; start Redis.")
        there = sum(one.hit for one in answers)
        found.append({"name": cached.name, "computed": len(answers) - there, "there": there})
        if not options["json"] and answers:
            command.stdout.write(f"{cached.name}: {len(answers) - there} computed, {there} were there.")
    if options["json"]:
        command.print_json({"caches": found})
    elif not any(one["computed"] or one["there"] for one in found):
        command.stdout.write("Nothing is declared to be computed beforehand (warm=, docs/cache.md).")


def verify(command: EngineCommand, options: Given) -> None:
    """Compute anew and compare; name what differs. Raises CommandError where something does, or can't be computed."""
    if options["name"]:
        registry.find(options["name"])
    store.reopen()
    outcomes: Counter[str] = Counter()
    wrong = []
    for found in verifying.verify(options["name"]):
        outcomes[found.outcome] += 1
        if found.outcome in (verifying.DIFFERENT, verifying.FAILED):
            wrong.append(found)
    if options["mend"]:
        # Not before all are looked at: it moves the tables of the others as well.
        verifying.mend([found.entry for found in wrong if found.outcome == verifying.DIFFERENT])
    if options["json"]:
        told = [
            {"name": one.entry.name, "arguments": one.entry.arguments, "outcome": one.outcome, "told": one.told}
            for one in wrong
        ]
        command.print_json({**{outcome: outcomes[outcome] for outcome in verifying.OUTCOMES}, "entries": told})
    else:
        for one in wrong:
            command.stdout.write(f"{one.entry.name} {_text(one.entry.arguments)}: {one.outcome}: {one.told}")
        command.stdout.write(
            f"{display.count(outcomes[verifying.RIGHT], 'value')} right, {outcomes[verifying.DIFFERENT]} different, "
            f"{outcomes[verifying.FAILED]} failed; {outcomes[verifying.PASSED]} answer no more, "
            f"{outcomes[verifying.UNKNOWN]} can't be compared."
        )
    if wrong:
        raise CommandError(_advice(wrong, mended=options["mend"]), returncode=FAILED)


def _advice(wrong: list[verifying.Verified], *, mended: bool) -> str:
    different = [one for one in wrong if one.outcome == verifying.DIFFERENT]
    if not different:
        failed = display.count(len(wrong), "value")
        return f"{failed} could not be computed anew; correct the function, then verify again."
    count = display.count(len(different), "value")
    names = ", ".join(sorted({one.entry.name for one in different}))
    found = "differed and answer no more" if mended else "differ from what the tables say: --mend drops them"
    return f"{count} of {names} {found}; docs/runbooks/stale-number.md has what to look for."


def install(command: EngineCommand, options: Given) -> None:
    """Make the triggers what they are to be."""
    try:
        said = triggers.install(options["database"])
    except triggers.NotInstalled as exc:
        raise CommandError(str(exc), returncode=FAILED) from exc
    if options["json"]:
        command.print_json({"done": said})
        return
    command.stdout.write("\n".join(said) or "Every table that is read has its triggers.")


def _chosen(cached: Cached[Any], given: tuple[list[Any], dict[str, Any]] | None) -> Iterator[Entry]:
    """Yield what is kept of a name: all, or of these arguments, as they are or as JSON has them."""
    asked = None if given is None else _asked(cached, *given)
    told = "" if asked is None else _text(asked.bound.arguments)
    for entry in store.entries(cached.name):
        if asked is None or entry.address == asked.address or _text(entry.arguments) == told:
            yield entry


def _asked(cached: Cached[Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    try:
        return cached.question(tuple(args), kwargs)
    except (TypeError, ValueError) as exc:
        raise CommandError(str(exc), returncode=USAGE) from exc


def _text(value: Any) -> str:
    """Return a value as JSON, what JSON does not know as its text."""
    if isinstance(value, Mapping):
        value = dict(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _number(version: int) -> int:
    """Return a version without what it was before its tables were emptied, which is in its upper half."""
    return version & (2**64 - 1)


def _seconds(number: float) -> str:
    return f"{number:,g} s"


def _age(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


ACTS: dict[str, Callable[[EngineCommand, Given], None]] = {
    "list": list_cached,
    "show": show,
    "invalidate": invalidate,
    "warm": warm,
    "verify": verify,
    "install": install,
}
