"""`load_sample`: every line is used or counted, as a naive recount does it; all or nothing; again adds nothing."""

import gzip
import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from billing import sample
from billing.models import Catalogue, Client, Plan, Promotion, QuantityTier, Service, Subscription
from tests.billing.retail import DIRT, HEADER, REASONS, differing, naive, random_file, records, write

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "online_retail_2009_2010.csv.gz"


def load(path: Path) -> dict[str, Any]:
    out = io.StringIO()
    call_command("load_sample", str(path), "--json", stdout=out)
    document: dict[str, Any] = json.loads(out.getvalue())
    return document


def tables() -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table of billing."""
    return {
        model._meta.db_table: sorted(model._default_manager.values_list(), key=repr)
        for model in apps.get_app_config("billing").get_models()
    }


def assert_agrees(document: dict[str, Any], path: Path) -> None:
    """Assert that output and whole tables are what the naive recount says."""
    expected = naive(path)
    assert document["lines"] == expected["counts"].total()
    assert document["used"] == expected["counts"]["used"]
    assert list(document["skipped"]) == REASONS
    assert document["skipped"] == {reason: expected["counts"][reason] for reason in REASONS}
    assert document["lines"] == document["used"] + sum(document["skipped"].values())
    found = {reason: [line["line"] for line in lines] for reason, lines in document["samples"].items()}
    assert found == expected["samples"]
    assert set(Client.objects.values_list("name", flat=True)) == expected["clients"]
    assert set(Service.objects.values_list("name", "full_price")) == expected["services"]
    assert set(Service.objects.values_list("currency", flat=True)) <= {"GBP"}
    assert set(Plan.objects.values_list("name", flat=True)) == expected["plans"]
    fields = ("client__name", "service__name", "plan__name", "quantity", "billing_period", "started_at")
    assert set(Subscription.objects.values_list(*fields)) == expected["subscriptions"]
    assert Subscription.objects.count() == len(expected["subscriptions"]) == document["subscriptions"]
    for what in ("clients", "services", "plans"):
        assert document[what] == len(expected[what])
    assert document["promotions"] == Promotion.objects.count()
    assert document["tiers"] == QuantityTier.objects.count()
    # Every subscription has its price, and it is the one that a sweep would give it.
    assert not Subscription.objects.filter(price=None).exists()
    assert differing() == 0


@pytest.fixture(autouse=True)
def catalogue(db: None) -> None:
    Catalogue.objects.get_or_create(id=1)


@pytest.mark.smoke
def test_each_kind_of_dirt_is_counted_once(tmp_path: Path) -> None:
    path = write(tmp_path / "dirt.csv", DIRT)
    document = load(path)
    assert_agrees(document, path)
    # The file says itself what each of its lines is good for.
    said = Counter((record[7] if record and len(record) >= 8 else "malformed") for _, record in records(path))
    outcomes = Counter(dict.fromkeys(["used", *REASONS], 0))
    for words, lines in said.items():
        outcomes[re.split(r"[: ]", words)[0]] += lines
    assert outcomes == {"used": document["used"], **document["skipped"]}
    assert document["samples"]["cancelled"][0] == {"line": 10, "stock_code": "10001", "detail": None}
    assert [found["detail"] for found in document["samples"]["malformed"]] == [
        "no invoice number",
        "no stock code",
        "quantity 'many'",
        "quantity '1.5'",
        "quantity '9999999999'",
    ]


def test_usual_price_description_and_quantity(tmp_path: Path) -> None:
    load(write(tmp_path / "dirt.csv", DIRT))
    box = Service.objects.get(name="10001 RED BOX")
    assert box.full_price == Decimal("2.50")
    assert Service.objects.get(name='10002A BLUE, "ROUND" TIN').full_price == 11
    assert Subscription.objects.get(client__name="Customer 500", service=box).quantity == 6
    star = Subscription.objects.get(client__name="Customer 503", service__name="10003 CHRISTMAS STAR")
    assert star.plan is not None
    # 700 and 3 at 20: the lower median counts, and the turnover is a key account's.
    assert (star.quantity, star.plan.name) == (3, "Online Retail key account")
    assert set(Promotion.objects.values_list("name", flat=True)) == {
        "Best sellers",
        "Christmas 2010",
        "Key account bonus",
    }
    # The bonus of 16 % is the best of all reductions.
    assert star.price == Decimal("16.80")


@pytest.mark.parametrize("seed", range(4))
def test_random_files_agree_with_a_naive_recount(tmp_path: Path, seed: int) -> None:
    path = random_file(tmp_path / "random.csv", seed)
    assert_agrees(load(path), path)


def test_loading_again_changes_nothing(tmp_path: Path) -> None:
    path = random_file(tmp_path / "random.csv", 9)
    first = load(path)
    assert first["added"]["subscriptions"] == first["subscriptions"] > 0
    before = tables()
    again = load(path)
    assert tables() == before
    assert set(again["added"].values()) == {0}
    del first["added"], again["added"]
    assert again == first


def test_loading_another_file_keeps_what_is_there(tmp_path: Path) -> None:
    load(write(tmp_path / "first.csv", DIRT))
    Service.objects.filter(name="10001 RED BOX").update(full_price=99)
    Subscription.objects.update(quantity=77)
    body = "1,10001,GREEN BOX,5,2011-01-04 10:00:00,3,500,\n1,10009,NEW,5,2011-01-04 10:00:00,3,500,\n"
    added = load(write(tmp_path / "second.csv", body))["added"]
    assert (added["clients"], added["services"], added["subscriptions"]) == (0, 1, 1)
    assert Service.objects.get(name__startswith="10001").full_price == 99
    assert set(Subscription.objects.values_list("quantity", flat=True)) == {77, 5}


def test_columns_in_another_order_and_packed_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "packed.data"
    header = "Customer ID,Price,InvoiceDate,Quantity,Description,StockCode,Invoice"
    path.write_bytes(gzip.compress(f"{header}\n500,2.5,2010-01-04 10:00:00,4,RED BOX,10001,1\n".encode()))
    assert load(path)["used"] == 1
    assert list(Subscription.objects.values_list("service__name", "quantity")) == [("10001 RED BOX", 4)]


def test_a_file_of_nothing_but_a_header(tmp_path: Path) -> None:
    document = load(write(tmp_path / "header.csv", ""))
    assert (document["lines"], document["used"], document["subscriptions"]) == (0, 0, 0)


def test_at_a_terminal_it_is_a_table(tmp_path: Path) -> None:
    out = io.StringIO()
    call_command("load_sample", str(write(tmp_path / "dirt.csv", DIRT)), stdout=out)
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "used 8" in lines
    assert "malformed 17 21 (no invoice number), 22 (no stock code)" in lines
    assert "cancelled 2 10 (10001), 11 (POST)" in lines
    assert "all 36" in lines
    assert "subscriptions 5 5" in lines
    assert max(map(len, out.getvalue().splitlines())) <= 80


def damaged(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 255]) + data[len(data) // 2 + 1 :]


BODY = "".join(
    f"{n},{10000 + n * 7919 % 9973},BOX,{n % 9 + 1},2010-01-04 10:00:00,2.50,500,UK\n" for n in range(20_000)
)
PACKED = gzip.compress(f"{HEADER}\n{BODY}".encode())
BAD: dict[str, tuple[str, Callable[[Path], Any] | None, int, str]] = {
    "missing": ("a.csv", None, 2, r"a\.csv cannot be read: No such file or directory; give the path of a CSV file"),
    "directory": ("a.csv", lambda p: p.mkdir(), 2, r"a\.csv cannot be read: Is a directory; give the path"),
    "empty": ("a.csv", lambda p: p.write_bytes(b""), 1, r"a\.csv is empty: give a CSV file whose first line names"),
    "empty gz": ("a.csv.gz", lambda p: p.write_bytes(b""), 1, r"a\.csv\.gz is empty: give a CSV file"),
    "not gzip": ("a.csv.gz", lambda p: p.write_text(HEADER), 1, r"a\.csv\.gz is called \.gz and is not gzip: get it"),
    "cut short": (
        "a.csv.gz",
        lambda p: p.write_bytes(PACKED[:-3000]),
        1,
        r"is cut short: the gzip ends after line \d+",
    ),
    "damaged": ("a.csv.gz", lambda p: p.write_bytes(damaged(PACKED)), 1, r"is damaged: unpacking fails after line \d+"),
    "wrong sum": ("a.csv.gz", lambda p: p.write_bytes(PACKED[:-8] + bytes(8)), 1, r"is damaged: unpacking fails after"),
    "column missing": (
        "a.csv",
        lambda p: write(p, BODY, "Invoice,StockCode,Description,Quantity,InvoiceDate,UnitPrice,Customer ID"),
        1,
        r"The header of .*a\.csv lacks the column 'Price': it must name each of .*, and it names Invoice, .*UnitPrice",
    ),
    "column twice": (
        "a.csv",
        lambda p: write(p, BODY, HEADER.replace("Country", "Price")),
        1,
        r"The header of .*a\.csv names the column 'Price' twice",
    ),
    "no csv": ("a.csv", lambda p: write(p, "", '"a"b,c'), 1, r"The header of .*a\.csv is not CSV \(.* expected after"),
    "latin 1": (
        "a.csv",
        lambda p: p.write_bytes(f"{HEADER}\n{BODY}1,10001,CAFÉ".encode("latin-1")),
        1,
        r"a\.csv is not UTF-8: byte 0xc9 soon after line \d+; convert it first, with iconv for example\.$",
    ),
    "quote open at the end": (
        "a.csv",
        lambda p: write(p, BODY + '1,10001,"RED BOX,1\n2,10001\n'),
        1,
        r"a\.csv has a quoted field that begins on line 20002 and does not end: close the quote\.$",
    ),
    "quote open for too long": (
        "a.csv",
        lambda p: write(p, '1,10001,"RED BOX,1\n' + BODY),
        1,
        r"a\.csv has a quoted field that begins on line 2 and does not end: close the quote\.$",
    ),
}


@pytest.mark.parametrize(("name", "make", "code", "words"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_sentence_and_changes_nothing(
    tmp_path: Path, name: str, make: Callable[[Path], Any] | None, code: int, words: str
) -> None:
    if make:
        make(tmp_path / name)
    before = tables()
    with pytest.raises(CommandError, match=words) as caught:
        call_command("load_sample", str(tmp_path / name), stdout=io.StringIO())
    assert caught.value.returncode == code
    assert "\n" not in str(caught.value)
    assert tables() == before


def test_what_comes_before_it_in_a_transaction_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.csv", BODY + '1,10001,"open')
    with transaction.atomic():
        Client.objects.create(name="Kim")
        with pytest.raises(sample.BadFile):
            sample.load(path)
    assert list(Client.objects.values_list("name", flat=True)) == ["Kim"]


def test_a_file_is_read_in_small_pieces(tmp_path: Path) -> None:
    lines = sample.Lines(write(tmp_path / "a.csv", BODY))
    sizes = [len(piece) for piece in iter(lambda: lines.read(8192), b"")]
    lines.close()
    assert len(sizes) > 10
    assert max(sizes) < 70_000


@pytest.mark.soak
@pytest.mark.skipif(not REAL.exists(), reason="the shared data is not here")
def test_the_whole_real_file() -> None:
    document = load(REAL)
    assert_agrees(document, REAL)
    assert document["lines"] == 525_461
    again = load(REAL)
    assert set(again["added"].values()) == {0}


@pytest.mark.soak
@pytest.mark.skipif(not REAL.exists(), reason="the shared data is not here")
@pytest.mark.django_db(transaction=True)
def test_the_whole_real_file_in_a_process_of_its_own_takes_little_memory() -> None:
    Catalogue.objects.get_or_create(id=1)
    # VmHWM, not ru_maxrss: that one begins with the size of the process that forked.
    program = (
        "import re, sys, django\n"
        "from pathlib import Path\n"
        "django.setup()\n"
        "from django.conf import settings\n"
        "settings.DATABASES['default']['NAME'] = sys.argv[2]\n"
        "from billing import sample\n"
        "lines = sample.load(Path(sys.argv[1])).lines\n"
        "print(lines, re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1])\n"
    )
    arguments = [sys.executable, "-c", program, str(REAL), str(connection.settings_dict["NAME"])]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=300)
    lines, kilobytes = map(int, done.stdout.split())
    assert lines == 525_461
    assert kilobytes < 150 * 1024
    assert Subscription.objects.count() > 250_000
