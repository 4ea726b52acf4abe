"""The system checks of the billing domain, each test named after the check's id."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from ops import sql

pytestmark = pytest.mark.django_db


def check() -> str:
    out = StringIO()
    call_command("check", databases=["default"], stdout=out, stderr=out)
    return out.getvalue()


def change_the_rule() -> None:
    body = sql.load("billing/create_next_renewal.sql").body
    assert "periods := periods + 1" in body
    with connection.cursor() as cursor:
        cursor.execute(body.replace("periods := periods + 1", "periods := periods + 2"))


def test_billing_e001_is_silent_where_the_database_holds_the_rule_of_the_files() -> None:
    assert "no issues" in check()


def test_billing_e001_names_the_file_whose_function_differs() -> None:
    change_the_rule()
    with pytest.raises(SystemCheckError) as found:
        check()
    said = str(found.value)
    assert (
        "(billing.E001) The price rule in database 'default' differs from sql/billing/create_next_renewal.sql." in said
    )
    assert "then run 'manage.py migrate'" in said


def test_billing_e001_does_not_keep_migrate_from_mending_it() -> None:
    change_the_rule()
    MigrationRecorder(connection).record_unapplied("billing", "0002_pricing")
    assert "no issues" in check()


@pytest.mark.parametrize(
    "ages", [(), (30, 30), (0, 30), ("30", "60"), 30, (True,), (30, 2**31), tuple(range(1, 9)), "30,60,90"]
)
def test_billing_e003_names_the_setting_whose_ages_are_none(settings: Any, ages: Any) -> None:
    settings.SETWISE_RECEIVABLES_AGES = ages
    with pytest.raises(SystemCheckError) as found:
        check()
    said = str(found.value)
    assert (
        f"(billing.E003) SETWISE_RECEIVABLES_AGES: {ages!r} are no ages: give 1 to 7 rising numbers of days, such as "
        "(30, 60, 90)."
    ) in said
    assert "Correct the setting" in said


def test_billing_e003_is_silent_where_ages_rise(settings: Any) -> None:
    for ages in ((1,), [7, 14], (1, 2, 3, 4, 5, 6, 2**31 - 1)):
        settings.SETWISE_RECEIVABLES_AGES = ages
        assert "no issues" in check()
