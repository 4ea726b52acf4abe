"""A small shop made by SQL, damaged by SQL, and mended: what the tests of comparing, mending and findings share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from ops.drift import catalog, comparing, data_findings, schema_findings
from ops.drift.measuring import Measure
from ops.drift.model import PHASES, Choices, Expected, Field, Finding, Made, Node, Objects, Step
from tests.ops.scratch import connected, own_database

SHOP = (Path(__file__).parent / "damaging.sql").read_text(encoding="utf-8")
HEALTHY = "drift_d_healthy"
NONE = Choices()


@contextmanager
def opened(name: str) -> Iterator[BaseDatabaseWrapper]:
    """Open a connection of Django's to a database of the suite's server."""
    own = connection.copy()
    own.settings_dict = {**connection.settings_dict, "NAME": name}
    try:
        yield own
    finally:
        own.close()


def run(name: str, *statements: str) -> None:
    """Execute statements, each by itself."""
    with connected(name) as raw, raw.cursor() as cursor:
        for one in statements:
            cursor.execute(one)


def asked(name: str, query: str) -> list[tuple[Any, ...]]:
    with connected(name) as raw, raw.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


@contextmanager
def healthy_database() -> Iterator[str]:
    with own_database(HEALTHY) as name:
        run(name, SHOP)
        yield name


@contextmanager
def damaged(*damage: str, template: str = HEALTHY) -> Iterator[str]:
    """Make a copy of the healthy database and damage it."""
    with own_database("drift_d_damaged", template) as name:
        run(name, *damage)
        yield name


def read(name: str) -> Objects:
    with opened(name) as own:
        return catalog.read(own, ["public"])


def expected(want: Objects) -> Expected:
    """Return what a replay would say: one migration made it all."""
    made = Made(Node("shop", "0001_initial"), recorded=True, delta=dict(want), statements=1, sql=1)
    fields = {
        "column public.shop_customer.vip": Field("shop.Customer", "vip", null=False, default="false"),
        "column public.shop_customer.code": Field("shop.Customer", "code", null=False, default_trouble="callable"),
    }
    tables = {
        "table public.shop_product_tags": {"model": "shop.Product_tags", "m2m": True},
        "table public.shop_customer": {"model": "shop.Customer", "m2m": False},
    }
    return Expected("replayed", [made], fields, tables)


@dataclass
class Looked:
    """What was found in a database, and both catalogues."""

    want: Objects
    have: Objects
    findings: list[Finding]

    def of(self, code: str) -> list[Finding]:
        return [one for one in self.findings if one.code == code]

    @property
    def serious(self) -> list[Finding]:
        return [one for one in self.findings if one.severity != "info"]


def look(name: str, want: Objects, choices: Choices = NONE, seconds: float = 10) -> Looked:
    """Compare a database with what ought to be, and return what is wrong with it."""
    with opened(name) as own:
        return looked(own, want, choices, seconds)


def looked(own: BaseDatabaseWrapper, want: Objects, choices: Choices, seconds: float) -> Looked:
    have = catalog.read(own, ["public"])
    measure, whole = Measure(own, seconds), expected(want)
    found = schema_findings.find(whole, have, comparing.compare(want, have), choices, measure)
    found += data_findings.find(whole, have, choices, measure)
    return Looked(want, have, found)


def tried(want: Objects, *damage: str, choices: Choices = NONE, seconds: float = 10) -> Looked:
    """Return what is found while the healthy database is damaged for a moment; nothing of it stays."""
    with opened(HEALTHY) as own:
        own.set_autocommit(False)
        try:
            with own.cursor() as cursor:
                for one in damage:
                    cursor.execute(one)
            return looked(own, want, choices, seconds)
        finally:
            own.rollback()


def steps_of(findings: Sequence[Finding]) -> list[Step]:
    steps = {(one.object, one.phase, *one.sql): one for finding in findings for one in finding.steps}
    return sorted(steps.values(), key=lambda one: PHASES.index(one.phase))


def execute(name: str, steps: Sequence[Step]) -> None:
    """Do the steps as a repair would: each in a transaction of its own, one that must not be in one without."""
    with connected(name) as raw, raw.cursor() as cursor:
        for step in steps:
            if not step.transactional:
                assert len(step.sql) == 1, step
                cursor.execute(step.sql[0])
                continue
            cursor.execute("BEGIN")
            for one in step.sql:
                cursor.execute(one)
            cursor.execute("COMMIT")


def undo(name: str, steps: Sequence[Step]) -> None:
    """Take steps back, the last first."""
    with connected(name) as raw, raw.cursor() as cursor:
        for step in reversed(steps):
            for one in step.undo:
                cursor.execute(one)


def contents(name: str) -> dict[str, list[str]]:
    """Return the rows of every table as text, each row with its columns in the order of their names."""
    tables = asked(
        name, "SELECT c.relname FROM pg_class AS c WHERE c.relkind = 'r' AND c.relnamespace = 2200 ORDER BY 1"
    )
    return {
        str(table): [
            str(row[0]) for row in asked(name, f'SELECT to_jsonb(t)::text FROM public."{table}" AS t ORDER BY 1')
        ]
        for (table,) in tables
    }


def differences(name: str, want: Objects) -> list[str]:
    """Return what still differs and matters, extras aside."""
    found = comparing.compare(want, read(name))
    return [one.key for one in found if one.want is not None and not comparing.harmless(one)]


def extras(name: str, want: Objects) -> list[str]:
    return [one.key for one in comparing.compare(want, read(name)) if one.want is None]
