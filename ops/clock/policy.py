"""Which slots of a schedule are due, which are missed and which is to run: pure functions of instants.

A rule is a text: `0 1 * * * Asia/Seoul`, `every 600 s`, `at 2026-12-01T00:00:00+00:00`, '' for none; with ` from ..` or
` until ..` behind it where a row of beat begins or ends. A frontier is how far a schedule's slots are settled; its
rules are those that were in force since, one after another. No clock is read and no database used.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import overload

from ops.clock.cron import Crontab
from ops.clock.zones import read_zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SKIP_DEADLINE = timedelta(minutes=5)
"""How late a slot that is skipped when late may start, where its schedule says nothing."""

MISSED = ("skip", "once", "each")


class BadRule(ValueError):
    """A text is no rule; the message says what was found."""


class Grid(Sequence[datetime]):
    """The multiples of an interval, counted from an origin, after an instant and up to another."""

    def __init__(self, every: timedelta, origin: datetime, after: datetime, upto: datetime) -> None:
        self.every, self.origin = every, origin
        self.numbers = range((after - origin) // every + 1, (upto - origin) // every + 1)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, at: int) -> datetime: ...

    @overload
    def __getitem__(self, at: slice) -> list[datetime]: ...

    def __getitem__(self, at: int | slice) -> datetime | list[datetime]:
        if isinstance(at, slice):
            return [self.origin + number * self.every for number in self.numbers[at]]
        return self.origin + self.numbers[at] * self.every


@dataclass(frozen=True)
class Rule:
    """A rule that was read: a crontab in a zone, an interval, one instant, or nothing; from an instant until another.

    An interval that begins at an instant is counted from it, else from 1970.
    """

    crontab: Crontab | None = None
    zone: str = "UTC"
    every: timedelta | None = None
    at: datetime | None = None
    begins: datetime | None = None
    ends: datetime | None = None

    def between(self, after: datetime, upto: datetime) -> Sequence[datetime]:
        """Return its instants after one and up to another, in their order."""
        after = max(after, self.begins - TICK) if self.begins else after
        upto = min(upto, self.ends - TICK) if self.ends else upto
        if upto <= after:
            return ()
        if self.every:
            return Grid(self.every, self.begins or EPOCH, after, upto)
        if self.at:
            return (self.at,) if after < self.at <= upto else ()
        if self.crontab is None:
            return ()
        return list(self.crontab.instants(read_zone(self.zone), after, upto, civil=True))

    def following(self, after: datetime) -> Iterator[datetime]:
        """Yield its instants after one, without end unless it has one."""
        after = max(after, self.begins - TICK) if self.begins else after
        if self.every:
            origin, number = self.begins or EPOCH, (after - (self.begins or EPOCH)) // self.every
            found: Iterator[datetime] = (origin + (number + n) * self.every for n in _counted())
        elif self.at:
            found = iter((self.at,) if self.at > after else ())
        elif self.crontab is not None:
            found = self.crontab.instants(read_zone(self.zone), after, civil=True)
        else:
            found = iter(())
        return takewhile(lambda instant: self.ends is None or instant < self.ends, found)


def _counted() -> Iterator[int]:
    number = 0
    while True:
        yield (number := number + 1)


@lru_cache(maxsize=1024)
def read_rule(text: str) -> Rule:
    """Read a rule's text; raise BadRule for what is none."""
    words, _, ends = text.partition(" until ")
    words, _, begins = words.partition(" from ")
    try:
        since, until = _instant(begins), _instant(ends)
        first, _, rest = words.partition(" ")
        if first == "every":
            seconds = float(rest.removesuffix(" s"))
            if seconds <= 0:
                raise BadRule(f"{text!r} has no interval: it must be more than 0 s.")
            return Rule(every=timedelta(seconds=seconds), begins=since, ends=until)
        if first == "at":
            return Rule(at=_instant(rest), begins=since, ends=until)
        if not words.strip():
            return Rule()
        fields, _, zone = words.rpartition(" ")
        read_zone(zone)
        return Rule(Crontab.parse(fields), zone, begins=since, ends=until)
    except ValueError as exc:
        raise exc if isinstance(exc, BadRule) else BadRule(str(exc)) from exc


def _instant(text: str) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def instants(text: str, after: datetime, upto: datetime) -> Sequence[datetime]:
    """Return the instants of a rule; none where its text is no rule, for such a row of beat never fires."""
    try:
        return read_rule(text).between(after, upto)
    except BadRule:
        return ()


def next_instants(text: str, after: datetime, count: int) -> list[datetime]:
    """Return the next instants of a rule after one; none where its text is no rule."""
    try:
        return list(islice(read_rule(text).following(after), count))
    except BadRule:
        return []


@dataclass(frozen=True)
class Policy:
    """What becomes of slots that nobody started in time; without a deadline they may be as late as they like."""

    missed: str = "once"
    deadline: timedelta | None = None

    @property
    def latest(self) -> timedelta | None:
        """How late a slot may start."""
        return self.deadline or (SKIP_DEADLINE if self.missed == "skip" else None)


@dataclass(frozen=True)
class Stretch:
    """Slots that are missed, one after another, and why."""

    first: datetime
    last: datetime
    count: int
    reason: str


@dataclass(frozen=True)
class Decision:
    """What is to be done: slots to record as missed, the slot to run, if any, and up to where all is settled then.

    `more` tells whether another slot is due after this one; `waiting` are all that were due and not too late.
    """

    missed: tuple[Stretch, ...] = ()
    slot: datetime | None = None
    settled_at: datetime | None = None
    more: bool = False


@dataclass(frozen=True)
class Frontier:
    """How far a schedule's slots are settled, and its rules since, each with its beginning."""

    settled_at: datetime
    seen_at: datetime
    rules: tuple[tuple[datetime, str], ...]

    @classmethod
    def read(cls, settled_at: datetime, seen_at: datetime, text: str) -> "Frontier":
        """Read what is stored: the rule in force at `settled_at`, and a line for each that came into force after it."""
        first, *later = text.split("\n")
        rules = [(settled_at, first)]
        for line in later:
            since, _, rule = line.partition(" | ")
            rules.append((datetime.fromisoformat(since), rule))
        return cls(settled_at, seen_at, tuple(rules))

    @property
    def text(self) -> str:
        """The rules as they are stored."""
        later = [f"{since.astimezone(UTC).isoformat()} | {rule}" for since, rule in self.rules[1:]]
        return "\n".join([self.rules[0][1], *later])

    @property
    def rule(self) -> str:
        """The rule in force now."""
        return self.rules[-1][1]

    def between(self, after: datetime, upto: datetime) -> Iterator[Sequence[datetime]]:
        """Yield the slots after an instant and up to another, of one rule after the other."""
        ends = [since for since, _ in self.rules[1:]] + [upto]
        for (since, rule), end in zip(self.rules, ends, strict=True):
            found = instants(rule, max(after, since), min(end, upto))
            if found:
                yield found

    def observed(self, rule: str, changed_at: datetime | None, now: datetime) -> "Frontier":
        """Return the frontier once the stored rule has been seen; `changed_at` is when it was last edited, if known.

        Slots of the old rule count up to the edit, those of the new one after it. What is not known counts from when
        the old one was seen last.
        """
        seen = max(self.seen_at, now)
        if rule == self.rule:
            return replace(self, seen_at=seen)
        since = self.seen_at
        if changed_at is not None and changed_at > since:
            since = min(changed_at, now)
        since = max(since, self.rules[-1][0], self.settled_at)
        return replace(self, seen_at=seen, rules=(*self.rules, (since, rule))).pruned()

    def pruned(self) -> "Frontier":
        """Forget the first rules, as long as none of their slots is unsettled."""
        settled, rules = self.settled_at, self.rules
        while len(rules) > 1 and not instants(rules[0][1], settled, rules[1][0]):
            settled, rules = max(settled, rules[1][0]), rules[1:]
        return replace(self, settled_at=settled, rules=rules)

    def settled(self, upto: datetime) -> "Frontier":
        """Return the frontier once all slots up to an instant are settled."""
        return replace(self, settled_at=max(self.settled_at, upto)).pruned()

    def overdue(self, policy: Policy, now: datetime) -> Decision:
        """Decide about the slots that are too late by now: all of them are missed."""
        latest = policy.latest
        if latest is None:
            return Decision()
        return _missed(self.between(self.settled_at, now - latest - TICK), f"not started within {shown(latest)}")

    def decide(self, policy: Policy, now: datetime) -> Decision:
        """Decide about all slots that are due: which are missed, and which one is to run now."""
        late = self.overdue(policy, now)
        after = late.settled_at or self.settled_at
        due = list(self.between(after, now))
        if not due:
            return late
        count = sum(map(len, due))
        if policy.missed != "once":
            return Decision(late.missed, due[0][0], due[0][0], more=count > 1)
        last = due[-1][-1]
        passed = _missed(self.between(after, last - TICK), "a later slot was due")
        return Decision((*late.missed, *passed.missed), last, last)


def _missed(found: Iterator[Sequence[datetime]], reason: str) -> Decision:
    parts = list(found)
    if not parts:
        return Decision()
    stretch = Stretch(parts[0][0], parts[-1][-1], sum(map(len, parts)), reason)
    return Decision((stretch,), settled_at=stretch.last)


def shown(length: timedelta) -> str:
    """Return a length of time in words: 6 h, 5 min, 1 d 2 h, 50 s."""
    seconds = int(length.total_seconds())
    parts = ((seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"
