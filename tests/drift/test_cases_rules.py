"""Each case of cases_rules.py: seen with its code, mended or refused as said, and nothing lost."""

from pathlib import Path

import pytest

from tests.drift.cases import Case, prove, told_apart
from tests.drift.cases_rules import CASES


@pytest.mark.parametrize("case", told_apart(CASES))
def test_it_is_seen_and_mended_or_refused(case: Case, tmp_path: Path) -> None:
    prove(case, tmp_path)
