"""docs/cron.md does what it says: its crontab is made, its commands and its Python run, on the day that it names."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ops import clock
from tests.docs.test_loading_page import commands, console, run_line, run_python
from tests.ops.shop import ROOT

PAGE = (ROOT / "docs" / "cron.md").read_text(encoding="utf-8")
PIECE = re.compile(r"^(?:`(?P<file>[\w.]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 25, 3, tzinfo=UTC))
    run, values = 0, 0
    for piece in PIECE.finditer(PAGE):
        if piece["language"] == "crontab":
            (tmp_path / piece["file"]).write_text(piece["text"], encoding="utf-8")
        elif piece["language"] == "python":
            names: dict[str, Any] = {}
            values += run_python(piece["text"], names)
        else:
            assert piece["language"] == "console"
            for line, said in console(piece["text"]):
                run_line(line, said, monkeypatch)
                run += 1
    assert run == len(commands(PAGE)) > 10
    assert values == 6


def test_every_block_is_run() -> None:
    assert PAGE.count("\n```") == 2 * len(PIECE.findall(PAGE))
