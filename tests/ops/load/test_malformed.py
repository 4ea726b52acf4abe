"""Ten thousand lines, spoilt in every way: never an error, never a good row lost, each bad line named."""

import random
import re
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pytest

from ops.load import upsert
from ops.models import Reject
from tests.ops.load.plain_reading import expected
from tests.ops.load.test_reading_mutated import HEADER, MUTATIONS, _good
from tests.shelf.models import Good

pytestmark = pytest.mark.django_db(transaction=True)

BLANKS = " \t\n\r\x0b\x0c"


def price_of(text: str | None) -> Decimal | None:
    """Return what a numeric(8,2) has of a text; raise ValueError for what it has not."""
    if not text:
        return None
    bare = text.strip(BLANKS)
    if not bare.isascii() or re.search(r"[^0-9.+-]", bare):
        raise ValueError(text)
    try:
        value = Decimal(bare)
    except InvalidOperation as exc:
        raise ValueError(text) from exc
    if value != round(value, 2) or abs(value) >= 10**6:
        raise ValueError(text)
    return round(value, 2)


def day_of(text: str | None) -> date | None:
    if not text:
        return None
    year, month, day = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", text.strip(BLANKS)).groups()  # type: ignore[union-attr]  # None has no groups: AttributeError
    return date(int(year), int(month), int(day))


def test_ten_thousand_lines(tmp_path: Path) -> None:
    chance = random.Random(7)
    lines = []
    for number in range(10_000):
        line = _good(chance, number)
        if chance.random() < 0.2:
            names = [name for name in MUTATIONS if name != "huge field" or chance.random() < 0.05]
            for name in chance.choices(names, k=chance.choice((1, 1, 2))):
                line = MUTATIONS[name](chance, line) if line else line
        lines.append(line)
    data = b"".join(lines)
    path = tmp_path / "spoilt.csv"
    path.write_bytes(HEADER + data)

    loaded = upsert(Good, path, mapping={"id": "sku"}, on=["sku"])

    good, bad_lines = expected(data, 5, first=2)
    wanted: dict[str, tuple[object, ...]] = {}
    for line, (sku, name, price, day, note) in good:
        try:
            values = (name, price_of(price), day_of(day), note)
            assert sku is not None
            assert 0 < len(sku) <= 20
        except (ValueError, AttributeError, AssertionError):
            bad_lines.append(line)
        else:
            wanted[sku] = values
    found = {row[0]: row[1:] for row in Good.objects.values_list("sku", "name", "price", "day", "note")}
    lines_found = set(Reject.objects.values_list("line", flat=True))
    assert lines_found ^ set(bad_lines) == set(), [row for row in good if row[0] in lines_found ^ set(bad_lines)]
    assert found == wanted
    assert len(bad_lines) > 800
    assert (loaded.inserted, loaded.rejected) == (len(wanted), len(bad_lines))
    assert loaded.inserted + loaded.merged + loaded.rejected == loaded.lines
