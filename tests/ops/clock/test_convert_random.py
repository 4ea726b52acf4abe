"""Conversions of crontabs made at random, held against a minute-by-minute expansion and an exact proof of refusals."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from ops.clock import CronRefused, convert
from tests.ops.clock.naive import CHANGING, STEADY, contradicts, expand, offsets, random_line

START, END = "2023-12-25", "2028-03-10"
CYCLE = ("2000-01-01", "2028-01-01")
"""28 years: each date on each day of the week that it can have, in leap years and in common ones."""
CASES = Path(__file__).resolve().parents[4] / "shared" / "cases" / "cron_cases.json"


def differences(source: str, target: str) -> set[int]:
    """Return by how many minutes the target is ahead, at the edges of all stretches of the two zones."""
    sides = [offsets(zone, START, END) for zone in (source, target)]
    edges = {begin for side in sides for begin, _, _ in side}
    now = [{at: next(o for a, b, o in side if a <= at < b) for at in edges} for side in sides]
    return {now[1][at] - now[0][at] for at in edges}


def judged(lines: list[str], source: str, target: str, dialect: str) -> str:
    """Convert, prove the result by expansion or the refusal by contradiction, and say what it was."""
    try:
        made = convert(lines, source, target, dialect, start=START, end=END)
    except CronRefused:
        first, *others = differences(source, target)
        # The source read as UTC, the target as so far ahead of it: whether any set of lines could have said it.
        fired, _ = expand(lines, "UTC", *CYCLE, dialect)
        if others:
            moved = any(fired[abs(one - first) :] != fired[: -abs(one - first)] for one in others)
            assert moved or contradicts(fired, first, CYCLE[0]), f"{lines} {source} -> {target}: no change matters"
            return "refused, the difference changes"
        assert contradicts(fired, first, CYCLE[0]), f"{lines} {dialect} {source} -> {target} could be said"
        return "refused, February"
    except ValueError:
        fired, _ = expand(lines, "UTC", *CYCLE, dialect) if len(lines) == 1 else (bytearray(), False)
        assert not any(fired), f"{lines} {dialect} is a crontab"
        return "never fires"
    wanted, _ = expand(lines, source, START, END, dialect)
    got, twice = expand(made, target, START, END)
    assert got == wanted, f"{lines} {dialect} {source} -> {target}: {made}"
    assert not twice, made
    return "equal"


def judge(number: int, seed: int) -> tuple[Counter[str], int]:
    """Judge so many conversions; return how they ended, and how many lines were the most."""
    chance, found = random.Random(seed), Counter[str]()
    for _ in range(number):
        dialect = chance.choice(["celery", "celery", "vixie"])
        lines = [random_line(chance, dialect) for _ in range(chance.choice([1, 1, 1, 2, 3]))]
        zones = chance.sample(STEADY if chance.random() < 0.85 else STEADY + CHANGING, 2)
        found[judged(lines, zones[0], zones[1], dialect)] += 1
    return found, sum(found.values())


def test_500_random_conversions_are_right_and_their_refusals_proven() -> None:
    found, judged_ones = judge(500, 20261125)
    assert judged_ones == 500
    assert found["equal"] > 250


@pytest.mark.soak
def test_5000_random_conversions_are_right_and_their_refusals_proven() -> None:
    found, judged_ones = judge(5_000, 5)
    assert judged_ones == 5_000
    assert found["equal"] > 2_500
    print(found)  # noqa: T201 - whoever runs the soak wants the numbers


@pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not beside this checkout")
def test_the_shared_cases_are_right() -> None:
    wrong = []
    for case in json.loads(CASES.read_text(encoding="utf-8")):
        given, start, end = case["source"], case["start"], case["end"]
        zones, dialect = (case["source_zone"], case["target_zone"]), case["source_dialect"]
        try:
            made = convert(given, *zones, dialect, start=start, end=end)
        except CronRefused:
            outcome = "refuse"
        except ValueError:
            outcome = "invalid"
        else:
            wanted, _ = expand(given, zones[0], start, end, dialect)
            outcome = "equal" if expand(made, zones[1], start, end) == (wanted, False) else "different"
        if outcome not in case["expect"].split("_or_"):
            wrong.append((case["id"], given, *zones, case["expect"], outcome))
    assert wrong == []
