"""What the doctor tells of the database, on the suite's own server; each test is named after its id."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from ops import clock
from ops.doctor import database, examine
from tests.ops.doctor.conftest import execute, found, only
from tests.ops.shop import ended, manage, other_connection

pytestmark = pytest.mark.django_db


def test_nothing_is_wrong_with_the_suites_database() -> None:
    report = examine("default", only=["ops.E040", "ops.E041", "ops.I001"])
    assert [one.id for one in report.findings if one.severity != "info"] == []
    assert report.site.told["database"].startswith("PostgreSQL ")


def test_ops_i001_embedded_servers_are_only_said(settings: Any) -> None:
    if settings.EMBEDDED is not None:
        assert only("I001").severity == "info"
    settings.EMBEDDED = None
    assert found("I001") == []


def test_ops_e040_migrations_that_are_not_applied_are_named_and_the_rest_goes_on() -> None:
    MigrationRecorder(connection).record_unapplied("ops", "0007_rollups")
    report = examine("default", only=["ops.E040", "ops.E063", "ops.W090"])
    (finding,) = report.findings
    assert finding.found == "Not applied in database 'default': ops.0007_rollups."
    assert finding.mends == "manage.py migrate"
    assert report.site.told["runs"] == "not looked at: migrations are not applied"
    assert report.site.told["schedules"] == "not looked at: migrations are not applied"


def test_ops_e041_a_role_that_may_only_read() -> None:
    execute("SET default_transaction_read_only = on")
    try:
        assert "default_transaction_read_only is on for" in only("E041").found
    finally:
        execute("RESET default_transaction_read_only")


def test_ops_e042_a_server_without_fsync(settings: Any) -> None:
    execute("SHOW fsync")
    if settings.EMBEDDED is None:
        pytest.skip("Only the embedded server of the suite is without fsync.")
    settings.EMBEDDED = None
    assert only("E042").found == "fsync or full_page_writes is off."


@pytest.fixture
def no_autovacuum() -> Iterator[None]:
    """Switch autovacuum off for the whole server, and on again."""
    with other_connection() as other, other.cursor() as cursor:

        def altered(word: str) -> None:
            cursor.execute(f"ALTER SYSTEM {word}")
            cursor.execute("SELECT pg_reload_conf()")

        altered("SET autovacuum = off")
        try:
            yield
        finally:
            altered("RESET autovacuum")


def eventually(number: str) -> Any:
    """Return a finding, once the server has read its settings again."""
    for _ in range(100):
        if findings := found(number):
            return findings[0]
        clock.pause(0.02)
    raise AssertionError(f"{number} was not found.")


def test_ops_e043_autovacuum_is_off(no_autovacuum: None) -> None:
    assert eventually("E043").found == "autovacuum or track_counts is off."


def test_ops_e044_transaction_ids_are_nearly_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody can use up a thousand million here; so the bound moves.
    monkeypatch.setattr(database, "AGE", -1)
    assert " transactions old." in only("E044").found


def test_ops_e045_a_missing_constraint_is_named_with_the_statement_that_makes_it() -> None:
    execute("DROP INDEX ops_run_one_for_slot")
    finding = only("E045")
    assert finding.found == "Table ops_run lacks the constraint ops_run_one_for_slot."
    assert finding.mends.startswith(
        'in psql: CREATE UNIQUE INDEX "ops_run_one_for_slot" ON "ops_run" ("schedule", "slot")'
    )
    execute(finding.mends.removeprefix("in psql: "))
    assert found("E045") == []


def test_ops_w045_a_missing_index_is_named_with_the_statement_that_makes_it() -> None:
    execute("DROP INDEX ops_run_job")
    finding = only("W045")
    assert finding.found == "Table ops_run lacks the index ops_run_job."
    execute(finding.mends.removeprefix("in psql: "))
    assert found("W045") == []


def test_ops_w046_an_invalid_index_is_named() -> None:
    execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ops_run_job'::regclass")
    finding = only("W046")
    assert finding.found == "Index ops_run_job of ops_run is invalid."
    assert finding.mends == "in psql: REINDEX INDEX CONCURRENTLY ops_run_job"


def test_ops_w047_a_table_that_is_not_vacuumed() -> None:
    execute("ALTER TABLE billing_subscription SET (autovacuum_enabled = off)")
    finding = only("W047")
    assert finding.found == "autovacuum_enabled is off for billing_subscription."
    execute(finding.mends.removeprefix("in psql: "))
    assert found("W047") == []


def test_ops_e046_this_host_and_the_database_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(minutes=2))
    (finding,) = [one for one in found("E046") if "database" in one.found]
    assert finding.found.endswith("on the database server: 120 s apart.")


def test_ops_e047_a_database_that_is_away_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "unreachable", lambda alias: f"Looking at database {alias!r}: no server; see that ..")
    report = examine("default", only=["ops.E047", "ops.E040"])
    (finding,) = report.findings
    assert (finding.id, finding.found) == ("ops.E047", "Looking at database 'default': no server.")
    assert "schedules" not in report.site.told


def test_ops_w040_commits_that_may_be_lost() -> None:
    execute("SET LOCAL synchronous_commit = off")
    assert only("W040").mends.endswith("SET synchronous_commit = on")


def test_ops_w041_the_roles_own_timeouts() -> None:
    with other_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        role, name = cursor.fetchone()
        # Only a new session has them.
        cursor.execute(f'ALTER ROLE "{role}" IN DATABASE "{name}" SET statement_timeout = 30000')
        try:
            code, out, err = ended(manage("doctor", "--only", "W041", "--json"))
        finally:
            cursor.execute(f'ALTER ROLE "{role}" IN DATABASE "{name}" RESET statement_timeout')
    assert (code, err) == (5, "CommandError: 1 warning: docs/doctor.md tells more about each id.\n")
    (finding,) = json.loads(out)["findings"]
    assert finding["found"] == "statement_timeout is 30,000 ms."
    assert finding["mends"] == f'in psql: ALTER ROLE "{role}" SET statement_timeout = 0'


def test_ops_w042_a_transaction_that_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "IDLE", 0.0)
    with other_connection() as other, other.cursor() as cursor:
        other.autocommit = False
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
        (finding,) = [one for one in found("W042") if f"Session {pid} " in one.found]
        other.rollback()
    assert "is idle in transaction for 0 min." in finding.found
    assert finding.mends == f"look who it is, then SELECT pg_terminate_backend({pid})"


def test_ops_w043_a_replication_slot_that_nobody_reads() -> None:
    with other_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_create_physical_replication_slot('left_over', true)")
        try:
            finding = only("W043")
        finally:
            cursor.execute("SELECT pg_drop_replication_slot('left_over')")
    assert finding.found.startswith("Replication slot 'left_over' is read by nobody; it holds back ")
    assert finding.mends.endswith("SELECT pg_drop_replication_slot('left_over')")


def test_ops_w044_connections_are_nearly_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "FULL", 0.0)
    assert " connections are used." in only("W044").found


def test_a_check_of_databases_is_a_finding_too() -> None:
    execute("CREATE ROLE poor")
    execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO poor")
    execute("SET LOCAL ROLE poor")
    finding = only("W002")
    execute("RESET ROLE")
    assert "lacks privileges that ops needs" in finding.found
    assert finding.mends.startswith("As the owner, in psql: GRANT ")


def test_what_the_role_may_not_read_is_told_and_the_rest_goes_on() -> None:
    execute("CREATE ROLE poor")
    execute("SET LOCAL ROLE poor")
    report = examine("default", only=["ops.W090", "ops.E063"])
    execute("RESET ROLE")
    assert "permission denied for table ops_run" in report.site.told["runs"]
    assert "permission denied" in report.site.told["schedules"]
