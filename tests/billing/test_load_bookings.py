"""`load_bookings`: bookings without an id are known by what was fixed when they were made, and by their place."""

import re
from calendar import month_name
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from billing.bookings import FIXED
from billing.models import HotelBooking
from ops.models import Anomaly, Reject, Run
from tests.billing.files import SHARED, counts, load, packed, random_bookings, records, write_bookings
from tests.ops.shop import command

REAL = SHARED / "hotel_bookings_2015_2017.csv.gz"
pytestmark = pytest.mark.django_db


def rows(*fields: str) -> list[tuple[Any, ...]]:
    return sorted(HotelBooking.objects.values_list(*fields), key=repr)


def naive(path: Path) -> Counter[tuple[Any, ...]]:
    """Count the bookings of a file by what a row ought to say of each."""
    found: Counter[tuple[Any, ...]] = Counter()
    for one in records(path):
        missing = {name: None if value in ("", "NULL") else value for name, value in one.items()}
        arrives = date(
            int(one["arrival_date_year"]),
            list(month_name).index(one["arrival_date_month"]),
            int(one["arrival_date_day_of_month"]),
        )
        found[
            one["hotel"],
            one["reservation_status"],
            date.fromisoformat(one["reservation_status_date"]),
            date.fromordinal(arrives.toordinal() - int(one["lead_time"])),
            arrives,
            int(one["stays_in_weekend_nights"]) + int(one["stays_in_week_nights"]),
            *(None if missing[name] is None else int(float(one[name])) for name in ("adults", "children", "babies")),
            Decimal(one["adr"]),
            {"City Hotel": "EUR", "Resort Hotel": "GBP"}[one["hotel"]],
            one["deposit_type"],
            *(None if missing[name] is None else int(float(one[name])) for name in ("agent", "company")),
            *(one[name] for name in ("market_segment", "distribution_channel", "customer_type", "meal")),
            missing["country"] or "",
        ] += 1
    return found


FIELDS = (
    *("hotel", "status", "status_on", "booked_on", "arrives_on", "nights", "adults", "children", "babies"),
    *("daily_rate", "currency", "deposit_type", "agent", "company", "market_segment", "channel", "customer_type"),
    *("meal", "country"),
)


def assert_says_what_the_file_says(path: Path) -> None:
    """Assert that there is a row for each booking of the file, with as many as repeat each other, and no other."""
    assert Counter(HotelBooking.objects.values_list(*FIELDS)) == naive(path)
    identities = Counter(
        tuple(one[name].removesuffix(".0").replace("NULL", "") for name in FIXED) for one in records(path)
    )
    places = Counter(HotelBooking.objects.values_list("occurrence", flat=True))
    assert places == Counter(place for many in identities.values() for place in range(1, many + 1))


@pytest.mark.smoke
def test_a_booking_is_a_row_of_typed_columns(tmp_path: Path) -> None:
    path = write_bookings(
        tmp_path / "bookings.csv", {}, {"hotel": "Resort Hotel", "country": "NULL", "company": "40.0"}
    )
    assert counts(load("load_bookings", path)) == {"inserted": 2}
    day = date(2016, 7, 3)
    booked, left = date(2016, 6, 3), date(2016, 7, 6)
    said = (left, booked, day, 3, 2, 0, 0, Decimal("75.5"))
    more = ("Online TA", "TA/TO", "Transient", "BB")
    assert rows(*FIELDS) == [
        ("City Hotel", "Check-Out", *said, "EUR", "No Deposit", 9, None, *more, "PRT"),
        ("Resort Hotel", "Check-Out", *said, "GBP", "No Deposit", 9, 40, *more, ""),
    ]
    assert_says_what_the_file_says(path)
    assert not Anomaly.objects.exists()


def test_lines_that_repeat_each_other_are_bookings_of_their_own(tmp_path: Path) -> None:
    path = write_bookings(tmp_path / "bookings.csv", {}, {}, {}, {"adults": "1"})
    assert counts(load("load_bookings", path)) == {"inserted": 4}
    assert rows("adults", "occurrence") == [(1, 1), (2, 1), (2, 2), (2, 3)]
    assert counts(load("load_bookings", path)) == {"unchanged": 4}


def test_how_a_number_is_written_does_not_make_another_booking(tmp_path: Path) -> None:
    load(
        "load_bookings", write_bookings(tmp_path / "floats.csv", {"agent": "9.0", "children": "0.0", "company": "NULL"})
    )
    path = write_bookings(tmp_path / "whole.csv", {"agent": "9", "children": " 0 ", "company": "", "adults": "2.0"})
    assert counts(load("load_bookings", path)) == {"unchanged": 1}


def test_a_newer_export_updates_a_booking_and_adds_none(tmp_path: Path) -> None:
    load("load_bookings", write_bookings(tmp_path / "first.csv", {}, {}))
    later = {
        "is_canceled": "1",
        "reservation_status": "Canceled",
        "reservation_status_date": "2016-06-09",
        "adr": "60",
        "country": "GBR",
        "assigned_room_type": "C",
        "booking_changes": "2",
        "days_in_waiting_list": "5",
        "total_of_special_requests": "1",
        "required_car_parking_spaces": "1",
    }
    document = load("load_bookings", write_bookings(tmp_path / "second.csv", {}, later, {"lead_time": "29"}))
    assert counts(document) == {"inserted": 1, "updated": 1, "unchanged": 1}
    assert rows("occurrence", "status", "daily_rate", "country") == [
        (1, "Check-Out", Decimal("75.5000"), "PRT"),
        (1, "Check-Out", Decimal("75.5000"), "PRT"),
        (2, "Canceled", Decimal("60.0000"), "GBR"),
    ]


@pytest.mark.parametrize("name", FIXED)
def test_another_value_in_any_fixed_column_is_another_booking(tmp_path: Path, name: str) -> None:
    other = {"hotel": "Resort Hotel", "arrival_date_month": "May", "deposit_type": "Refundable"}.get(name, "7")
    path = write_bookings(tmp_path / "bookings.csv", {}, {name: other})
    assert counts(load("load_bookings", path)) == {"inserted": 2}
    assert HotelBooking.objects.values("identity").distinct().count() == 2


@pytest.mark.parametrize("seed", range(3))
def test_random_files_agree_with_a_naive_recount(tmp_path: Path, seed: int) -> None:
    path = random_bookings(tmp_path / "bookings.csv.gz", seed)
    assert counts(load("load_bookings", path)) == {"inserted": 600}
    assert_says_what_the_file_says(path)
    everything = rows()
    assert counts(load("load_bookings", path)) == {"unchanged": 600}
    assert rows() == everything


def test_what_is_odd_is_kept_and_counted(tmp_path: Path) -> None:
    path = write_bookings(
        tmp_path / "bookings.csv",
        {"adr": "-6.38"},
        {"adr": "5400.0"},
        {"adr": "1000"},
        {"stays_in_week_nights": "0", "stays_in_weekend_nights": "0", "reservation_status_date": "2016-07-03"},
        {"adults": "0", "children": ""},
        {"reservation_status_date": "2015-01-01"},
        {"reservation_status_date": "2015-01-01", "reservation_status": "Canceled"},
        {"hotel": "Resort Hotel", "adr": "-1"},
    )
    found = {
        "checked out on another day than stayed for, City Hotel": 1,
        "daily rate above 1,000, City Hotel": 1,
        "negative daily rate, City Hotel": 1,
        "negative daily rate, Resort Hotel": 1,
        "no guests, City Hotel": 1,
        "no nights, City Hotel": 1,
    }
    document = load("load_bookings", path)
    assert counts(document) == {"inserted": 8}
    assert document["anomalies"] == found
    load("load_bookings", path)
    kept = {f"{one.kind.removeprefix('booking: ')}, {one.key}": one.count for one in Anomaly.objects.all()}
    assert kept == dict.fromkeys(found, 2)


def test_what_cannot_be_stored_is_refused_and_the_rest_kept(tmp_path: Path) -> None:
    changes = (
        {"arrival_date_month": "Juli"},
        {"arrival_date_day_of_month": "31", "arrival_date_month": "June"},
        {"lead_time": "soon"},
        {"lead_time": "99999999"},
        {"stays_in_week_nights": "-1"},
        {"stays_in_week_nights": "NULL"},
        {"adults": "two"},
        {"babies": "-1"},
        {"adr": "free"},
        {"adr": "NaN"},
        {"hotel": "Grand Hotel"},
        {"reservation_status": "Maybe"},
        {"deposit_type": "Half"},
        {"reservation_status_date": "NULL"},
        {"agent": "9.5"},
        {"country": "Portugal"},
        {"adults": "1"},
    )
    document = load("load_bookings", write_bookings(tmp_path / "bookings.csv", *changes))
    assert counts(document) == {"inserted": 1, "rejected": 16}
    assert rows("adults") == [(1,)]
    found = [(one.line, one.column, one.value, one.reason) for one in Reject.objects.order_by("line")]
    null = "null in a required column"
    assert found == [
        (2, "arrives_on", "3 Juli 2016", "no date"),
        (3, "arrives_on", "31 June 2016", "no date"),
        (4, "booked_on", "soon days before 2016-07-03", "no date"),
        (5, "booked_on", "99999999 days before 2016-07-03", "no date"),
        (6, "nights", "1 + -1", "no whole number"),
        (7, "nights", "1 + None", "no whole number"),
        (8, "adults", "two", "no whole number"),
        (9, "babies", "-1", found[7][3]),
        (10, "daily_rate", "free", "no number"),
        (11, "daily_rate", "NaN", "no number"),
        (12, "currency", None, null),
        (13, "status", "Maybe", "A booking's status is Check-Out, Canceled or No-Show."),
        (14, "deposit_type", "Half", "A deposit is No Deposit, Non Refund or Refundable."),
        (15, "status_on", None, null),
        (16, "agent", "9.5", "no whole number"),
        (17, "country", "Portugal", "too long: at most 3 characters"),
    ]
    assert "babies" in found[7][3]


def test_a_line_that_cannot_be_read_is_refused_by_its_own_line_and_takes_no_other_with_it(tmp_path: Path) -> None:
    path = write_bookings(tmp_path / "bookings.csv", *({"adults": str(number)} for number in range(1, 7)))
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace("PRT", "PRT,Lisbon")
    lines[4] = lines[4].replace("PRT", '"PRT')
    path.write_text("".join((*lines[:2], "\n", *lines[2:])))
    document = load("load_bookings", path)
    assert counts(document) == {"inserted": 4, "rejected": 2}
    assert rows("adults") == [(1,), (3,), (5,), (6,)]
    found = {one.line: one.reason for one in Reject.objects.all()}
    assert list(found) == [4, 6]
    assert "33 columns instead of 32" in found[4]
    assert "quot" in found[6]


def test_a_load_is_a_run_and_can_be_taken_back(tmp_path: Path) -> None:
    run = load("load_bookings", random_bookings(tmp_path / "bookings.csv", 5))["run"]
    assert Run.objects.get(pk=run).target == "billing.HotelBooking"
    call_command("runs", "revert", str(run), "--no-input", "--json")
    assert rows() == []


def test_for_people_it_is_a_table(tmp_path: Path) -> None:
    said = command("load_bookings", str(write_bookings(tmp_path / "bookings.csv", {}, {"adr": "-1"}, {"adr": "x"})))
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert "inserted 2" in lines
    assert "negative daily rate, City Hotel 1" in lines
    assert any("no number" in line for line in lines)
    assert max(map(len, said.out.splitlines())) <= 80


BAD = {
    "missing": (None, 2, r".*none\.csv cannot be read: No such file or directory; give the path of a CSV file\."),
    "another file": ("Date,USD\n", 1, r"This is no file of bookings: its header lacks the column 'hotel', and names D"),
    "empty": ("\n", 1, r".* is empty"),
}


@pytest.mark.parametrize(("text", "code", "words"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_sentence_and_changes_nothing(
    tmp_path: Path, text: str | None, code: int, words: str
) -> None:
    said = command("load_bookings", str(packed(tmp_path / "bad.csv", text) if text else tmp_path / "none.csv"))
    assert said.code == code
    assert re.match(words, said.error)
    assert "\n" not in said.error
    assert not HotelBooking.objects.exists()
    assert not Run.objects.exists()


# Committing, as a load does outside of a test.
@pytest.mark.soak
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not REAL.exists(), reason="the shared data is not here")
def test_every_booking_of_the_real_file_is_a_row() -> None:
    document = load("load_bookings", REAL)
    assert counts(document) == {"inserted": 119_390}
    assert document["identities"] == 78_926
    assert_says_what_the_file_says(REAL)
    assert counts(load("load_bookings", REAL)) == {"unchanged": 119_390}
