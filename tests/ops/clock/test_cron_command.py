"""`manage.py cron`: what its verbs print, their exit codes, and the sentence of each error."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ops import clock
from tests.ops.shop import ROOT, Said, command

NOW = datetime(2026, 11, 25, 3, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


def cron(*arguments: str) -> Said:
    return command("cron", *arguments)


def lines(text: str) -> list[str]:
    """Return what is printed, line by line, without rules of tables and space."""
    return [" ".join(line.split()) for line in text.replace("─", "").splitlines() if line.replace("─", "").strip()]


def document(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cron(*arguments, "--json").out)
    return found


def test_convert_prints_lines() -> None:
    done = cron("convert", "0 8-10 * * 1-5", "--from", "Asia/Seoul", "--to", "UTC")
    assert (done.code, done.out, done.err) == (0, "0 23 * * 0-4\n0 0,1 * * 1-5\n", "")


def test_convert_takes_several_lines_as_one_schedule_and_five_words_as_one_line() -> None:
    zones = ("--from", "Asia/Seoul", "--to", "UTC")
    assert cron("convert", "0 1 * * 1", "0 1 * * 2", *zones).out == "0 16 * * 0,1\n"
    assert cron("convert", "0", "1", "2", "3", "mon", *zones).out == "0 16 1 3 0\n"


def test_convert_takes_an_offset_behind_utc_with_an_equals_sign() -> None:
    assert cron("convert", "0 1 * * *", "--from=-03:30", "--to=Z").out == "30 4 * * *\n"


def test_convert_says_where_celery_and_vixie_cron_would_differ() -> None:
    done = cron("convert", "0 1 10 * 1", "--from", "Asia/Seoul", "--to", "UTC")
    assert done.out == "0 16 9 * 0\n"
    assert done.err == "Lines with both days are Celery's: both must fit. Vixie cron would take either.\n"


def test_convert_refuses_with_3() -> None:
    zones = ("--from", "Asia/Seoul", "--to", "UTC")
    reason = (
        "'0 1 1 * *' in Asia/Seoul would have to fire in UTC at 16:00 on 28 February in common years and not in leap "
        "years, which no crontab line can say: give the schedule the zone Asia/Seoul instead."
    )
    done = cron("convert", "0 1 1 * *", *zones)
    assert (done.code, done.out, done.error) == (3, "", reason)
    refused = cron("convert", "0 1 1 * *", *zones, "--json")
    assert (refused.code, json.loads(refused.out)) == (3, {"state": "refused", "lines": None, "reason": reason})


def test_convert_as_json() -> None:
    found = document("convert", "0 1 * * *", "--from", "Asia/Seoul", "--to", "UTC")
    assert found == {"state": "done", "lines": ["0 16 * * *"], "from": "Asia/Seoul", "to": "UTC"}


def test_convert_looks_at_the_period_that_is_given() -> None:
    arguments = ("convert", "0 9 * * *", "--from", "America/New_York", "--to", "UTC")
    assert cron(*arguments).code == 3
    assert cron(*arguments, "--start", "2027-03-15", "--end", "2027-11-07").out == "0 13 * * *\n"


EITHER = "Give either lines to convert, such as '0 1 * * *', or a crontab with --file, - for stdin."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("60 * * * *",),
            "'60 * * * *' is no crontab: in its minute, 60 is out of range: write a number from 0 to 59.",
        ),
        ((), EITHER),
        (("* * * * *", "--file", "x"), EITHER),
        (("--file", "/no/file"), "There is no file '/no/file' to convert: give the path of a crontab, or - for stdin."),
        (("* * * * *", "--start", "x"), "The start 'x' is not a date: write it as 2026-12-25."),
    ],
)
def test_what_convert_can_not_read_ends_with_2(arguments: tuple[str, ...], sentence: str) -> None:
    done = cron("convert", *arguments, "--from", "Asia/Seoul", "--to", "UTC")
    assert (done.code, done.out, done.error) == (2, "", sentence)


def test_an_unknown_zone_and_a_missing_one_end_with_2() -> None:
    done = cron("convert", "0 1 * * *", "--from", "Asia/Soul", "--to", "UTC")
    assert done.code == 2
    assert "argument --from: 'Asia/Soul' is not a time zone: did you mean Asia/Seoul?" in done.error
    assert "the following arguments are required: --from, --to" in cron("convert", "0 1 * * *").error


def test_a_file_that_is_no_text_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "crontab").write_bytes(b"\xff\xfe")
    done = cron("convert", "--file", str(tmp_path / "crontab"), "--from", "UTC", "--to", "UTC")
    assert done.code == 1
    assert done.error.startswith(f"'{tmp_path}/crontab' can't be read as a crontab: ")


CRONTAB = """\
# Nightly jobs, in Seoul.
MAILTO=ops@example.com

0 1 * * 1-5 cd /srv && manage.py reprice --no-input
@daily\tdate +\\%F
@reboot start
0 12 1 * 5 both
CRON_TZ=Asia/Kolkata
30 5 * * * next
"""


def test_a_whole_crontab_keeps_its_commands(tmp_path: Path) -> None:
    path = tmp_path / "crontab"
    path.write_text(CRONTAB)
    arguments = ("convert", "--file", str(path), "--from", "Asia/Seoul", "--dialect", "vixie")
    assert cron(*arguments, "--to", "UTC").out.splitlines() == [
        "# Nightly jobs, in Seoul.",
        "MAILTO=ops@example.com",
        "",
        "0 16 * * 0-4 cd /srv && manage.py reprice --no-input",
        "0 15 * * *\tdate +\\%F",
        "@reboot start",
        "0 3 1 * * both",
        "# Celery's AND: both the day of month and the day of week must fit. Vixie cron would take either.",
        "0 3 2-31 * 5 both",
        "CRON_TZ=UTC",
        "0 0 * * * next",
    ]
    # Cron knows no offsets.
    offset = cron(*arguments, "--to", "+05:30").out.splitlines()
    assert offset[-2:] == ["# CRON_TZ=Asia/Kolkata, now +05:30", "30 5 * * * next"]
    assert document(*arguments, "--to", "UTC")["lines"][3].startswith("0 16 * * 0-4 cd")


def test_a_crontab_comes_from_standard_input_too() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "cron", "convert", "--file", "-", "--from", "Asia/Seoul", "--to", "UTC"],
        input="0 1 * * * x\n",
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 16 * * * x\n", "")


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        ("0 1 1 * * x", 3, "Line 2: '0 1 1 * *' in Asia/Seoul would have to fire in UTC at 16:00 on 28 February"),
        ("0 24 * * * x", 2, "Line 2: '0 24 * * *' is no crontab: in its hour, 24 is out of range"),
        ("0 1 * x", 2, "Line 2: '0 1 * x' is no crontab: it has 4 fields"),
        ("@daily x", 2, "Line 2: '@daily' is a word of Vixie cron that Celery does not have: write '0 0 * * *'."),
        ("CRON_TZ=Asia/Soul", 2, "Line 2: 'Asia/Soul' is not a time zone: did you mean Asia/Seoul?"),
    ],
)
def test_a_crontab_is_converted_whole_or_not_at_all(tmp_path: Path, line: str, code: int, sentence: str) -> None:
    path = tmp_path / "crontab"
    path.write_text(f"0 1 * * * x\n{line}\n")
    done = cron("convert", "--file", str(path), "--from", "Asia/Seoul", "--to", "UTC")
    assert (done.code, done.out) == (code, "")
    assert done.error.startswith(sentence)


def test_next_shows_three_zones_and_marks_what_clocks_skip() -> None:
    done = cron("next", "30 2 * * *", "--zone", "America/New_York", "--after", "2027-03-14", "--count", "2")
    assert done.code == 0
    assert lines(done.out) == [
        "'30 2 * * *' in America/New_York, after Sat 2027-03-13 10:00",
        "America/New_York Asia/Seoul UTC",
        "Sun 2027-03-14 02:30 - - skipped",
        "Mon 2027-03-15 02:30 Mon 2027-03-15 15:30 Mon 2027-03-15 06:30",
        "Tue 2027-03-16 02:30 Tue 2027-03-16 15:30 Tue 2027-03-16 06:30",
    ]
    assert max(map(len, done.out.splitlines())) <= 80


def test_next_marks_what_clocks_have_twice() -> None:
    done = cron("next", "30 1 * * *", "--zone", "America/New_York", "--after", "2027-11-07", "--count", "3")
    assert lines(done.out)[2:] == [
        "Sun 2027-11-07 01:30 Sun 2027-11-07 14:30 Sun 2027-11-07 05:30 first of two",
        "Sun 2027-11-07 01:30 Sun 2027-11-07 15:30 Sun 2027-11-07 06:30 second of two",
        "Mon 2027-11-08 01:30 Mon 2027-11-08 15:30 Mon 2027-11-08 06:30",
    ]
    assert max(map(len, done.out.splitlines())) <= 80


def test_next_shows_a_zone_once_and_is_in_the_projects_by_default() -> None:
    found = lines(cron("next", "0 1 * * *", "--count", "1").out)
    assert found == [
        "'0 1 * * *' in Asia/Seoul, after Wed 2026-11-25 12:30",
        "Asia/Seoul UTC",
        "Thu 2026-11-26 01:00 Wed 2026-11-25 16:00",
    ]
    assert lines(cron("next", "0 1 * * *", "--zone", "UTC", "--count", "1").out)[1] == "UTC Asia/Seoul"
    assert len(lines(cron("next", "0 1 * * *").out)) == 2 + 10


def test_next_names_a_long_zone_by_its_city() -> None:
    done = cron("next", "0 1 * * *", "--zone", "America/Argentina/Buenos_Aires", "--count", "1")
    assert lines(done.out)[1] == "Buenos_Aires Asia/Seoul UTC"


def test_next_says_that_nothing_comes() -> None:
    done = cron("next", "0 1 30 2 *", "--dialect", "vixie", "--zone", "UTC")
    assert (done.code, done.out) == (0, "'0 1 30 2 *' does not fire in UTC: February has no day 30.\n")
    # On a 29 March that is a Sunday clocks in Paris skip that hour.
    done = cron("next", "30 2 29 3 0", "--zone", "Europe/Paris")
    assert [line.split()[-1] for line in lines(done.out)[2:]] == ["skipped"] * (len(lines(done.out)) - 2)
    assert lines(done.out)[2] == "Sun 2037-03-29 02:30 - - skipped"


def test_next_as_json() -> None:
    after = ("--after", "2027-03-13T00:00Z", "--count", "2")
    found = document("next", "30 2 * * *", "--zone", "America/New_York", *after)
    assert found == {
        "expression": "30 2 * * *",
        "dialect": "celery",
        "zone": "America/New_York",
        "firings": [
            {"local": "2027-03-13T02:30:00-05:00", "utc": "2027-03-13T07:30:00+00:00", "note": None},
            {"local": "2027-03-14T02:30:00", "utc": None, "note": "skipped"},
            {"local": "2027-03-15T02:30:00-04:00", "utc": "2027-03-15T06:30:00+00:00", "note": None},
        ],
    }


def test_one_line_is_expected_of_the_others() -> None:
    done = cron("next", "0 1 * * *", "0 2 * * *")
    assert done.code == 2
    assert done.error == "One line was expected, 2 were given: put it in quotes, such as '0 1 * * *'."


def test_explain_says_it_in_words_and_field_by_field() -> None:
    done = cron("explain", "0 12 13 6 5", "--dialect", "vixie", "--zone", "UTC")
    assert lines(done.out) == [
        "At 12:00 on day 13 of the month, and also on every Friday of it, in June.",
        "'0 12 13 6 5', read by vixie",
        "field text is",
        "minute 0 0",
        "hour 12 12",
        "day of month 13 13",
        "month 6 June",
        "day of week 5 Friday",
        "'0 12 13 6 5' in UTC, after Wed 2026-11-25 03:30",
        "UTC Asia/Seoul",
        "Fri 2027-06-04 12:00 Fri 2027-06-04 21:00",
        "Fri 2027-06-11 12:00 Fri 2027-06-11 21:00",
        "Sun 2027-06-13 12:00 Sun 2027-06-13 21:00",
    ]
    found = document("explain", "0 1 * * mon")
    assert (found["words"], found["fields"][4]) == (
        "At 01:00 on Monday.",
        {"field": "day of week", "text": "mon", "values": "Monday"},
    )
    assert (
        lines(cron("explain", "0 1 30 2 *", "--dialect", "vixie").out)[0] == "It never fires: February has no day 30."
    )


def test_lint_says_that_nothing_is_found() -> None:
    done = cron("lint", "0 1 * * 1-5")
    assert (done.code, done.error) == (0, "")
    assert lines(done.out) == [
        "'0 1 * * 1-5'",
        "who reads",
        "Celery 0 1 * * 1-5",
        "beat admin takes it, for Celery to read",
        "Vixie cron 0 1 * * 1-5",
        "Nothing is found: all three read the same.",
    ]


def test_lint_ends_with_5_where_something_is_found() -> None:
    done = cron("lint", "0 1 1 * 1")
    assert (done.code, done.error) == (5, "1 thing found in '0 1 1 * 1'; what to do is said above.")
    assert lines(done.out)[-3:] == [
        "1 Vixie cron fires where the day of month OR the day of week fits,",
        "Celery where both do.",
        "Restrict one of them only; for OR in Celery write two lines.",
    ]
    found = json.loads(cron("lint", "0 1 1 * 1", "--json").out)
    assert [one["found"] for one in found["findings"]] == [
        "Vixie cron fires where the day of month OR the day of week fits, Celery where both do."
    ]


def test_lint_of_what_has_no_five_fields_ends_with_2() -> None:
    done = cron("lint", "0 1 * *")
    assert done.code == 2
    assert done.error.startswith("'0 1 * *' is no crontab: it has 4 fields")


def test_lint_without_celery_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery.schedules", None)
    done = cron("lint", "0 1 * * *")
    assert (done.code, done.error) == (
        1,
        (
            "lint asks Celery and django-celery-beat, and celery.schedules is not installed: install it, or see "
            "'manage.py cron explain'."
        ),
    )


def test_another_verb_is_refused() -> None:
    assert cron("translate", "0 1 * * *").code == 2


def test_it_needs_no_server() -> None:
    nowhere = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "manage.py", "cron", "next", "0 1 * * *", "--count", "1"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "SECRET_KEY": "x" * 60, "DEBUG": "1", **nowhere},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Asia/Seoul" in done.stdout
