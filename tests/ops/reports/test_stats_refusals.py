"""What `manage.py stats` refuses, each in a sentence with its exit code; and what --as-of names."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from ops.management.stats_actions import instant
from ops.models import Run
from ops.reports import BadChoice
from tests.ops.shop import command

pytestmark = pytest.mark.django_db

SAO_PAULO = ZoneInfo("America/Sao_Paulo")


@pytest.mark.parametrize(
    ("text", "zone", "found"),
    [
        ("2026-12-01", ZoneInfo("Asia/Seoul"), datetime(2026, 11, 30, 15, tzinfo=UTC)),
        ("2026-12-01T09:00", ZoneInfo("Asia/Seoul"), datetime(2026, 12, 1, 0, tzinfo=UTC)),
        ("2026-12-01T09:00+01:00", ZoneInfo("Asia/Seoul"), datetime(2026, 12, 1, 8, tzinfo=UTC)),
        # Clocks skipped that midnight: the day began at 01:00.
        ("2018-11-04", SAO_PAULO, datetime(2018, 11, 4, 3, tzinfo=UTC)),
    ],
)
def test_an_as_of_without_offset_is_of_the_reports_zone(text: str, zone: ZoneInfo, found: datetime) -> None:
    assert instant(text, zone) == found
    # From Python it may be given as what it is.
    assert instant(datetime(2026, 12, 1, 9), ZoneInfo("Asia/Seoul")) == datetime(2026, 12, 1, tzinfo=UTC)
    assert instant(date(2026, 12, 1), ZoneInfo("Asia/Seoul")) == datetime(2026, 11, 30, 15, tzinfo=UTC)


def test_a_time_that_clocks_skip_is_no_instant() -> None:
    with pytest.raises(BadChoice, match="'2018-11-04T00:30' does not exist in America/Sao_Paulo"):
        instant("2018-11-04T00:30", SAO_PAULO)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ("upload", 2, "There is no report 'upload'; there is: revenue, runs, subscriptions, uploads."),
        ("uploads --window tody", 2, "There is no window 'tody'; there is: today, yesterday, this_week"),
        ("uploads --window today today", 2, "The window 'today' is named twice; name it once."),
        ("uploads --filter x=1", 2, "Report 'uploads' has no filter 'x'; there is: client."),
        ("uploads --filter client", 2, "'client' is no filter: write it as NAME=VALUE."),
        ("uploads --filter client=x", 2, "Filter 'client' of report 'uploads': Enter a whole number."),
        ("uploads --measure cnt", 2, "Report 'uploads' has no measure 'cnt'; there is: count, total_size."),
        ("uploads --group plan", 2, "Report 'uploads' has no group 'plan'; there is: none."),
        ("uploads --as-of 2026-02-30", 2, "'2026-02-30' is not a day that a calendar has: write it as 2026-12-01."),
        ("uploads --as-of soon", 2, "'soon' is not an instant: write it as 2026-12-01, 2026-12-01T00:00 or"),
        ("uploads --zone Mars/Base", 2, "'Mars/Base' is no IANA time zone: name one, as Asia/Seoul."),
        ("uploads --plot x.pdf", 2, "x.pdf does not say of what kind the picture is to be: end it with .svg or .png."),
        ("uploads --advise --explain", 2, "--advise and --explain print different things: choose one."),
        ("uploads --explain --save", 2, "--explain computes nothing that --save could save."),
        ("uploads --history --save", 2, "--history computes nothing that --save could save."),
        ("uploads --show-sql --plot x.svg", 2, "--show-sql has nothing that --plot could draw."),
        ("uploads --advise --csv", 2, "--advise has no CSV; leave --csv out."),
        ("uploads --analyze", 2, "--analyze measures what --explain shows: add --explain."),
        ("runs --group job --no-groups", 2, "--group and --no-groups exclude each other: choose one."),
        (
            "uploads --history today --window today",
            2,
            "--history shows what was saved, as it was saved: leave --window",
        ),
        ("uploads --history --zone UTC", 2, "--history shows what was saved, as it was saved: leave --zone out."),
        ("uploads --history --measure x", 2, "Report 'uploads' has no measure 'x'; there is: count, total_size."),
        ("uploads --save --zone UTC", 2, "Results are saved in the report's own zone, so that they can be compared:"),
        ("runs --save --no-groups", 2, "Results are saved with all groups, so that they can be compared: leave --no-g"),
        ("runs --save --measure count", 2, "Results are saved with all measures, so that they can be compared:"),
        ("uploads --save --as-of 2199-01-01", 3, "2199-01-01 00:00:00 KST lies in the future, and what is saved is"),
        ("uploads --history", 2, "Nothing of report 'uploads' is saved: 'manage.py stats uploads --save' saves it."),
        ("uploads --list", 2, "--list lists all reports: leave 'uploads' or it out."),
        ("--save", 2, "--save is for one report: name it; 'manage.py stats' lists them."),
        ("--as-of 2026-05-20", 2, "--as-of is for one report: name it; 'manage.py stats' lists them."),
        ("--window today", 2, "--window is for one report: name it; 'manage.py stats' lists them."),
        ("--history", 2, "--history is for one report: name it; 'manage.py stats' lists them."),
        (
            "uploads --json --csv",
            2,
            "argument --csv: not allowed with argument --json; 'stats --help' shows what there",
        ),
        ("uploads --database nowhere", 2, "argument --database: there is no database 'nowhere' in DATABASES"),
    ],
)
def test_what_there_is_not_is_said_in_a_sentence(words: str, code: int, error: str) -> None:
    said = command("stats", *words.split())
    assert (said.code, said.out) == (code, "")
    assert said.error.startswith(error)
    assert not Run.objects.exists()
