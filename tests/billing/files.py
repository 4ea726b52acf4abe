"""Files of other systems, with every kind of dirt in them, and what a naive recount makes of them."""

import csv
import gzip
import io
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management import call_command

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
OUTCOMES = ("inserted", "updated", "unchanged", "merged", "rejected")


def load(command: str, path: Path | str, *options: str) -> dict[str, Any]:
    """Run a command and return what it prints, its counts being those of the file."""
    out = io.StringIO()
    call_command(command, str(path), *options, "--json", stdout=out, stderr=io.StringIO())
    document: dict[str, Any] = json.loads(out.getvalue())
    assert document["lines"] == sum(document[outcome] for outcome in OUTCOMES)
    return document


def counts(document: dict[str, Any]) -> dict[str, int]:
    """Return the outcomes that are not 0."""
    return {outcome: document[outcome] for outcome in OUTCOMES if document[outcome]}


def packed(path: Path, text: str) -> Path:
    """Write a text, as gzip where the path says so."""
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def records(path: Path) -> Iterator[dict[str, str]]:
    """Yield a file's records as the csv module reads them."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    yield from csv.DictReader(io.StringIO(text, newline=""))


INVOICES = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"


def random_invoices(path: Path, seed: int, lines: int = 2_000) -> Path:
    """Write invoice lines drawn from few codes and prices, so that repeats abound; each can be stored."""
    draw = random.Random(seed)
    body = io.StringIO()
    writer = csv.writer(body, lineterminator=draw.choice(["\n", "\r\n"]))
    for _ in range(lines):
        number = draw.randint(489_434, 489_480)
        cancelled = draw.random() < 0.1
        day, time = (
            f"{draw.randint(1, 12):02}-{draw.randint(1, 28):02}",
            f"{draw.randint(7, 20):02}:{draw.randint(0, 59):02}",
        )
        writer.writerow(
            [
                f"C{number}" if cancelled else str(number),
                draw.choice(["10001", "10002A", "10002a", " 10003", "POST", "M", "gift_0001_20"]),
                draw.choice(["RED BOX", " RED  BOX ", "ÄPFEL, \\N", 'LETTER "H"', "two\nlines", "C:\\new\tbox", ""]),
                str(-draw.randint(1, 60) if cancelled else draw.choice([0, 1, 1, 12, 19_152])),
                f"2010-{day} {time}:00",
                draw.choice(["2.55", "2.95", "0", "0.001", "-53594.36", "2.5"]),
                draw.choice(["13085", "", "17850"]),
                draw.choice(["United Kingdom", "EIRE", ""]),
            ]
        )
    return packed(path, f"{INVOICES}\n{body.getvalue()}")


def by_invoice(path: Path) -> dict[str, tuple[int, Decimal]]:
    """Return quantity and amount of each invoice, summed line by line."""
    totals: dict[str, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for record in records(path):
        quantity, amount = totals[record["Invoice"]]
        lines = int(record["Quantity"])
        totals[record["Invoice"]] = quantity + lines, amount + lines * Decimal(record["Price"])
    return dict(totals)


def by_line(path: Path) -> dict[tuple[str, str, Decimal], int]:
    """Return the quantity of each stock code at a price on an invoice, summed line by line."""
    totals: Counter[tuple[str, str, Decimal]] = Counter()
    for record in records(path):
        totals[record["Invoice"], record["StockCode"].strip(), Decimal(record["Price"])] += int(record["Quantity"])
    return dict(totals)


BOOKINGS = """hotel,is_canceled,lead_time,arrival_date_year,arrival_date_month,arrival_date_week_number,\
arrival_date_day_of_month,stays_in_weekend_nights,stays_in_week_nights,adults,children,babies,meal,country,\
market_segment,distribution_channel,is_repeated_guest,previous_cancellations,previous_bookings_not_canceled,\
reserved_room_type,assigned_room_type,booking_changes,deposit_type,agent,company,days_in_waiting_list,customer_type,\
adr,required_car_parking_spaces,total_of_special_requests,reservation_status,reservation_status_date
City Hotel,0,30,2016,July,27,3,1,2,2,0.0,0,BB,PRT,Online TA,TA/TO,0,0,0,A,A,0,No Deposit,9.0,,0,Transient,\
75.5,0,0,Check-Out,2016-07-06
"""
(BOOKING,) = csv.DictReader(io.StringIO(BOOKINGS))
"""A booking in which nothing is odd."""


def write_bookings(path: Path, *changes: dict[str, str]) -> Path:
    """Write a booking for each of `changes`: what is different in it from BOOKING."""
    body = io.StringIO()
    writer = csv.DictWriter(body, list(BOOKING), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**BOOKING, **change} for change in changes)
    return packed(path, body.getvalue())


def random_bookings(path: Path, seed: int, lines: int = 600) -> Path:
    """Write bookings of which many repeat others, each storable."""
    draw = random.Random(seed)
    return write_bookings(
        path,
        *(
            {
                "hotel": draw.choice(["City Hotel", "Resort Hotel"]),
                "lead_time": draw.choice(["0", "30", "737"]),
                "arrival_date_month": draw.choice(["February", "July"]),
                "arrival_date_day_of_month": draw.choice(["1", "28"]),
                "stays_in_week_nights": draw.choice(["0", "2"]),
                "stays_in_weekend_nights": draw.choice(["0", "1"]),
                "children": draw.choice(["0.0", "10.0", ""]),
                "agent": draw.choice(["9.0", "NULL", ""]),
                "company": draw.choice(["", "40.0"]),
                "country": draw.choice(["PRT", "NULL", ""]),
                "adr": draw.choice(["75.5", "-6.38", "5400.0", "0.0"]),
                "deposit_type": draw.choice(["No Deposit", "Non Refund", "Refundable"]),
                "reservation_status": draw.choice(["Check-Out", "Canceled", "No-Show"]),
                "reservation_status_date": draw.choice(["2016-07-06", "2016-01-01"]),
            }
            for _ in range(lines)
        ),
    )
