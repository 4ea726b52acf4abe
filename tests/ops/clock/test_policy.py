"""The pure part of slots: for any nudges, edits and downtimes each slot is settled exactly once, by its policy."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.clock.policy import EPOCH, BadRule, Decision, Frontier, Policy, instants, next_instants, read_rule, shown
from tests.ops.clock.fakes import at

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BEGIN = at("2027-03-12T00:00:00Z")

# Days on which the clocks of New York change are within reach of the steps below.
RULES = (
    "",
    "0 1 * * * Asia/Seoul",
    "30 2 * * * America/New_York",
    "0 */2 * * * America/New_York",
    "0 0 28-31 * * UTC",
    "every 5400 s",
    "every 3600 s from 2027-03-12T00:07:00+00:00",
    "0 7 * * * Asia/Seoul until 2027-03-15T00:00:00+00:00",
    "at 2027-03-13T05:00:00+00:00",
    "0 7 * * 9 UTC",
)
POLICIES = st.builds(
    Policy, st.sampled_from(("skip", "once", "each")), st.sampled_from((None, MINUTE, 10 * MINUTE, 6 * HOUR, 2 * DAY))
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from((timedelta(seconds=7), MINUTE, 10 * MINUTE, HOUR, 7 * HOUR, DAY, 5 * DAY)),
        st.sampled_from(("start", "start", "look", "edit", "busy")),
        st.sampled_from(RULES),
    ),
    max_size=20,
)


@dataclass
class World:
    """A schedule as it is stored, and what has become of its slots."""

    policy: Policy
    frontier: Frontier
    rule: str
    edited_at: datetime | None = None
    ran: list[datetime] = field(default_factory=list)
    missed: int = 0
    stretches: list[tuple[datetime, datetime]] = field(default_factory=list)
    late: list[timedelta] = field(default_factory=list)

    def settle(self, decision: Decision, upto: datetime) -> None:
        self.frontier = self.frontier.settled(upto)
        self.missed += sum(one.count for one in decision.missed)
        self.stretches += [(one.first, one.last) for one in decision.missed]

    def nudge(self, now: datetime, kind: str) -> None:
        """Do as `slots` does: look, or look and start all that is due; a busy job leaves its slot."""
        # What is stored is a text.
        stored = Frontier.read(self.frontier.settled_at, self.frontier.seen_at, self.frontier.text)
        self.frontier = stored.observed(self.rule, self.edited_at, now)
        while True:
            decision = self.frontier.decide(self.policy, now)
            if decision.slot is None or kind != "start":
                if decision.missed:
                    self.settle(decision, decision.missed[-1].last)
                return
            self.ran.append(decision.slot)
            self.late.append(now - decision.slot)
            self.settle(decision, decision.slot)


def timeline(edits: Sequence[tuple[datetime, str]], end: datetime) -> list[datetime]:
    """Return all slots of rules that came into force one after the other: a reference that looks at each by itself."""
    found: list[datetime] = []
    for number, (since, rule) in enumerate(edits):
        until = edits[number + 1][0] if number + 1 < len(edits) else end
        found += instants(rule, since, until)
    return found


@settings(max_examples=150, deadline=None)
@given(POLICIES, st.sampled_from(RULES), STEPS)
def test_each_slot_is_settled_exactly_once(policy: Policy, rule: str, steps: list[tuple[timedelta, str, str]]) -> None:
    now = BEGIN
    world = World(policy, Frontier(now, now, ((now, rule),)), rule)
    edits = [(now, rule)]
    for length, kind, new in steps:
        now += length
        if kind == "edit" and new != world.rule:
            world.rule, world.edited_at = new, now
            if edits[-1][0] > world.frontier.seen_at:
                edits.pop()  # nobody has seen that one: what counts is what it is now
            edits.append((now, new))
        elif kind != "edit":
            world.nudge(now, kind)
    world.nudge(now, "start")
    # An edit that was taken back before anybody looked is none.
    edits = [one for n, one in enumerate(edits) if n == 0 or one[1] != edits[n - 1][1]]
    due = timeline(edits, now)
    assert world.ran == sorted(set(world.ran))
    assert set(world.ran) <= set(due)
    assert len(world.ran) + world.missed == len(due)
    for slot in world.ran:
        assert not any(first <= slot <= last for first, last in world.stretches)
    assert world.frontier.decide(policy, now) == Decision()
    if policy.latest is not None:
        assert max(world.late, default=timedelta()) <= policy.latest
    if policy == Policy("each"):
        assert world.missed == 0


@given(st.sampled_from(RULES), st.integers(0, 20 * 1440), st.integers(1, 3 * 1440))
@settings(max_examples=200, deadline=None)
def test_the_next_instants_are_those_between(rule: str, begin: int, length: int) -> None:
    after, upto = BEGIN + begin * MINUTE, BEGIN + (begin + length) * MINUTE
    found = list(instants(rule, after, upto))
    assert [one for one in next_instants(rule, after, len(found) + 1) if one <= upto] == found
    assert all(after < one <= upto for one in found)


def test_a_grid_counts_without_making() -> None:
    found = instants("every 1 s", BEGIN, BEGIN + 4000 * DAY)
    assert (len(found), found[0], found[-1]) == (4000 * 86_400, BEGIN + timedelta(seconds=1), BEGIN + 4000 * DAY)
    assert list(found[:2]) == [BEGIN + timedelta(seconds=1), BEGIN + timedelta(seconds=2)]
    assert (found[0] - EPOCH) % timedelta(seconds=1) == timedelta()


@pytest.mark.parametrize(
    "text", ["every 0 s", "every x s", "0 1 * * *", "0 25 * * * UTC", "0 1 * * * Asia/Soul", "at x"]
)
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(BadRule):
        read_rule(text)
    assert list(instants(text, BEGIN, BEGIN + DAY)) == next_instants(text, BEGIN, 3) == []


def test_a_frontier_is_read_as_it_was_written() -> None:
    made = Frontier(BEGIN, BEGIN + HOUR, ((BEGIN, "every 600 s"), (BEGIN + HOUR, ""), (BEGIN + DAY, "every 60 s")))
    assert Frontier.read(made.settled_at, made.seen_at, made.text) == made
    assert replace(made, rules=((BEGIN, ""),)).text == ""


@pytest.mark.parametrize(
    ("length", "words"), [(50, "50 s"), (300, "5 min"), (21_600, "6 h"), (93_600, "1 d 2 h"), (0, "0 s")]
)
def test_lengths_in_words(length: int, words: str) -> None:
    assert shown(timedelta(seconds=length)) == words


def decided(policy: Policy, after: datetime, now: datetime) -> tuple[Any, ...]:
    found = Frontier(after, after, ((after, "every 600 s"),)).decide(policy, now)
    return [(one.count, one.reason) for one in found.missed], found.slot, found.more


def test_the_policies_side_by_side() -> None:
    now = BEGIN + HOUR + MINUTE
    later = "a later slot was due"
    assert decided(Policy("once"), BEGIN, now) == ([(5, later)], BEGIN + HOUR, False)
    assert decided(Policy("once", 25 * MINUTE), BEGIN, now) == (
        [(3, "not started within 25 min"), (2, later)],
        BEGIN + HOUR,
        False,
    )
    assert decided(Policy("skip"), BEGIN, now) == ([(5, "not started within 5 min")], BEGIN + HOUR, False)
    assert decided(Policy("skip"), BEGIN, now + 9 * MINUTE) == (
        [(6, "not started within 5 min")],
        BEGIN + HOUR + 10 * MINUTE,
        False,
    )
    assert decided(Policy("each", 25 * MINUTE), BEGIN, now) == (
        [(3, "not started within 25 min")],
        BEGIN + 40 * MINUTE,
        True,
    )
    assert decided(Policy("each"), BEGIN, BEGIN + MINUTE) == ([], None, False)
    # A deadline is met by who starts at it.
    assert decided(Policy("skip"), BEGIN, BEGIN + 15 * MINUTE) == ([], BEGIN + 10 * MINUTE, False)
