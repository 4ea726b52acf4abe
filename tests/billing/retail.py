"""Invoice lines and what ought to become of them: a naive recount in Python, and files with every kind of dirt."""

import csv
import gzip
import io
import json
import random
import re
from collections import Counter, defaultdict
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management import call_command

HEADER = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
NO_GOODS = re.compile(r"POST|DOT|C\d|M|D|S|B|ADJUST\d*|BANK CHARGES|AMAZONFEE|CRUK|TEST\d*|GIFT(_[0-9_]+)?", re.ASCII)
REASONS = ["malformed", "cancelled", "not_goods", "customerless", "no_quantity", "priceless"]

# Line 1 is the header; what each is good for stands at its end, in the country's column.
DIRT = """\
1,10001,RED BOX,2,2010-01-04 10:00:00,2.50,500,used
1,10001,RED BOX,6,2010-02-04 10:00:00,2.50,500,used
1,10001,red box,40,2010-03-04 10:00:00,2.10,500,used
2, 10001 ,RED  BOX ,3.0,2010-03-05 10:00,2.95,501.0,used: blanks and a whole number with .0
2,10002a,"BLUE, ""ROUND""
TIN",1,2010-03-05 10:00:00,12,501,used: two lines
3,10002A,,5,2010-03-06T10:00:00,11,502,used: no description
3,10003,CHRISTMAS STAR,700,2010-12-06 10:00:00,20,503,used
C4,10001,RED BOX,-2,2010-01-05 10:00:00,2.50,500,cancelled
c5,POST,POSTAGE,-1,2010-01-05 10:00:00,2.50,,cancelled before not_goods
6,POST,POSTAGE,1,2010-01-05 10:00:00,18.00,500,not_goods
6,gift_0001_30,Voucher,1,2010-01-05 10:00:00,30,,not_goods before customerless
6,Bank Charges,,1,2010-01-05 10:00:00,15,500,not_goods
7,10001,RED BOX,1,2010-01-05 10:00:00,2.50,,customerless
7,10001,RED BOX,-9,2010-01-05 10:00:00,0, ,customerless before no_quantity
8,10001,RED BOX,0,2010-01-05 10:00:00,2.50,500,no_quantity
8,10001,RED BOX,-1,2010-01-05 10:00:00,0,500,no_quantity before priceless
9,10001,RED BOX,1,2010-01-05 10:00:00,0,500,priceless
9,10001,RED BOX,1,2010-01-05 10:00:00,0.00004,500,priceless: no price in four decimals
,10001,RED BOX,1,2010-01-05 10:00:00,2.50,500,malformed
10,,RED BOX,1,2010-01-05 10:00:00,2.50,500,malformed
C10,10001,RED BOX,many,2010-01-05 10:00:00,2.50,500,malformed before cancelled
10,10001,RED BOX,1.5,2010-01-05 10:00:00,2.50,500,malformed
10,10001,RED BOX,9999999999,2010-01-05 10:00:00,2.50,500,malformed
10,10001,RED BOX,1,2010-02-30 10:00:00,2.50,500,malformed
10,10001,RED BOX,1,2010-02-00 10:00:00,2.50,500,malformed
10,10001,RED BOX,1,0000-01-05 10:00:00,2.50,500,malformed
10,10001,RED BOX,1,05.01.2010 10:00,2.50,500,malformed
10,10001,RED BOX,1,2010-01-05 24:00:00,2.50,500,malformed
10,10001,RED BOX,1,2010-01-05 10:00:00,2;50,500,malformed
10,10001,RED BOX,1,2010-01-05 10:00:00,NaN,500,malformed
10,10001,RED BOX,1,2010-01-05 10:00:00
10,10001,RED BOX,1,2010-01-05 10:00:00,2.50,500,malformed,one more
10,10001,"RED" BOX,1,2010-01-05 10:00:00,2.50,500,malformed
10,10001,RED\0BOX,1,2010-01-05 10:00:00,2.50,500,malformed

11,10003,CHRISTMAS STAR,\\.,2010-12-06 10:00:00,20,503,malformed
11,10003,\\.,3,2010-12-07 10:00:00,20,503,used
"""


def write(path: Path, body: str, header: str = HEADER) -> Path:
    path.write_bytes(f"{header}\n{body}".encode())
    return path


def records(path: Path) -> list[tuple[int, list[str] | None]]:
    """Read a file record by record, the naive way: the line each begins on, and its fields unless it is broken."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    next(reader)
    found: list[tuple[int, list[str] | None]] = []
    while True:
        begins = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error:
            found.append((begins, None))
            continue
        if record is None:
            return found
        if record:
            found.append((begins, record))


def naive_line(record: list[str] | None) -> tuple[str, dict[str, Any]]:
    """Return a record's outcome and what it says, one check after the other."""
    if record is None or len(record) != 8 or "\0" in "".join(record):
        return "malformed", {}
    invoice, code, description, quantity, date, price, customer, _ = (field.strip(" ") for field in record)
    code, customer, quantity = code.upper(), re.sub(r"\.0+$", "", customer), re.sub(r"\.0+$", "", quantity)
    if not invoice or not code or not re.fullmatch(r"[+-]?\d{1,9}", quantity, re.ASCII):
        return "malformed", {}
    if not re.fullmatch(r"[+-]?\d{1,9}(\.\d{1,12})?", price, re.ASCII):
        return "malformed", {}
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", date, re.ASCII):
            return "malformed", {}
        at = datetime.fromisoformat(date).replace(tzinfo=ZoneInfo("Europe/London"))
    except ValueError:
        return "malformed", {}
    if invoice.upper().startswith("C"):
        return "cancelled", {}
    if NO_GOODS.fullmatch(code):
        return "not_goods", {}
    if not customer:
        return "customerless", {}
    if int(quantity) <= 0:
        return "no_quantity", {}
    if Decimal(price).quantize(Decimal("0.0001"), ROUND_HALF_UP) <= 0:
        return "priceless", {}
    description = re.sub(r"\s+", " ", description)
    return "used", {
        "code": code,
        "customer": customer,
        "quantity": int(quantity),
        "price": Decimal(price),
        "at": at,
        "description": description,
    }


def naive(path: Path) -> dict[str, Any]:
    """Recount a file in Python: outcomes, and the subscriptions that ought to come of it."""
    counts: Counter[str] = Counter()
    samples: dict[str, list[int]] = {reason: [] for reason in REASONS}
    prices: dict[str, dict[Decimal, list[datetime]]] = defaultdict(lambda: defaultdict(list))
    names: dict[str, Counter[str]] = defaultdict(Counter)
    turnover: dict[str, Decimal] = defaultdict(Decimal)
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for line, record in records(path):
        outcome, said = naive_line(record)
        counts[outcome] += 1
        if outcome != "used":
            samples[outcome].append(line)
            continue
        price = said["price"].quantize(Decimal("0.0001"), ROUND_HALF_UP)
        prices[said["code"]][price].append(said["at"])
        if said["description"]:
            names[said["code"]][said["description"]] += 1
        turnover[said["customer"]] += said["quantity"] * said["price"]
        pairs[said["customer"], said["code"]].append(said)
    steps = ((10_000, "key account"), (2_500, "wholesale"), (500, "trade"), (150, "full price"), (0, "student"))
    plans = {who: "Online Retail " + next(n for least, n in steps if sum_ >= least) for who, sum_ in turnover.items()}
    services = {}
    for code, found in prices.items():
        usual = max(found, key=lambda price: (len(found[price]), max(found[price]), price))
        said_most = max(names[code].values(), default=0)
        words = min((d for d, n in names[code].items() if n == said_most), key=str.encode, default="")
        services[code] = (f"{code} {words}".strip()[:200], usual)
    subscriptions = set()
    for (customer, code), lines in pairs.items():
        quantities = sorted(line["quantity"] for line in lines)
        months = len({(line["at"].year, line["at"].month) for line in lines})
        period = 1 if months >= 6 else 3 if months >= 2 else 12
        subscriptions.add(
            (
                f"Customer {customer}",
                services[code][0],
                plans[customer],
                quantities[(len(quantities) + 1) // 2 - 1],
                period,
                min(line["at"] for line in lines),
            )
        )
    return {
        "counts": counts,
        "samples": {reason: lines[:5] for reason, lines in samples.items()},
        "clients": {f"Customer {who}" for who in turnover},
        "services": set(services.values()),
        "plans": set(plans.values()),
        "subscriptions": subscriptions,
    }


def random_file(path: Path, seed: int) -> Path:
    """Write lines drawn from a few codes, customers and kinds of dirt, so that ties and repeats abound."""
    draw = random.Random(seed)
    body = io.StringIO()
    writer = csv.writer(body, lineterminator=draw.choice(["\n", "\r\n"]))
    for _ in range(1200):
        row = [
            draw.choice(["489434"] * 20 + ["C489435", "c1", "A506401", ""]),
            draw.choice([f"1000{n}" for n in range(9)] * 3 + ["1000a", "1000A", " 10001", "POST", "M", "gift_0001_20"]),
            draw.choice(["RED BOX", " RED  BOX", "ÄPFEL, \\N", "two\nlines", "CHRISTMAS", ""]),
            draw.choice([str(draw.randint(1, 60))] * 9 + ["-1", "0", "12.0", "x", " 7 "]),
            f"2010-{draw.randint(1, 12):02}-{draw.randint(1, 31):02} {draw.randint(0, 24):02}:15:00",
            draw.choice(["2.55", "2.95", "2.955", "0.85", "295", "1.25", "2.55", "0", "-3", "0.00005", "1e3"]),
            draw.choice([str(n) for n in range(12_346, 12_366)] + ["12346.0", "", " "]),
            "United Kingdom",
        ]
        writer.writerow(row[: draw.choice([8] * 40 + [7, 1])] + [""] * (draw.random() < 0.02))
    return write(path, body.getvalue(), header="\ufeff" + HEADER)


def differing() -> int:
    """Return how many subscriptions have another price than a sweep would give them."""
    out = io.StringIO()
    call_command("reprice", "--dry-run", "--json", stdout=out)
    return int(json.loads(out.getvalue())["changes"])
