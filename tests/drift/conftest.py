"""Helpers whose assertions say what they compared, as those of tests do."""

import pytest

for _name in ("cases", "cases_history", "cases_projects", "cases_rules", "cases_tables", "keeping", "sample"):
    pytest.register_assert_rewrite(f"tests.drift.{_name}")
