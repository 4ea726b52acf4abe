"""docs/monitoring.md: its table is that of the metrics, its alerts ask for what there is, its examples are real."""

import json
import logging
import re
from pathlib import Path

import pytest
from django.test import Client as Browser

from ops import logs
from ops.models import RunEvent
from ops.web import health
from ops.web.metrics import METRICS
from ops.web.urls import urlpatterns

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")
SUFFIX = {"gauge": "", "counter": "_total", "histogram": ""}
NAMES = {f"setwise_{one.name}{SUFFIX[one.kind]}": one for one in METRICS}


def test_the_table_is_that_of_the_metrics() -> None:
    told = re.findall(r"^\| `(setwise_\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert told == [(name, one.kind, ", ".join(one.labels) or "-", one.help) for name, one in NAMES.items()]


def test_alerts_ask_for_metrics_and_labels_that_there_are() -> None:
    asked = re.findall(r"(setwise_\w+)(?:\{([^}]*)\})?", PAGE)
    assert len(asked) > len(NAMES)
    for name, conditions in asked:
        metric = NAMES[name.removesuffix("_bucket")]
        assert set(re.findall(r"(\w+)=", conditions)) <= set(metric.labels), name
    assert len(re.findall(r"- alert: (\w+)", PAGE)) == len(re.findall(r"^ +expr: ", PAGE, re.MULTILINE)) > 8


def test_the_addresses_are_those_there_are() -> None:
    told = re.findall(r"^\| `/(\w+)` \|", PAGE, re.MULTILINE)
    assert told == [str(one.pattern) for one in urlpatterns] == list(health.PROBES)


@pytest.mark.django_db
def test_the_example_of_readiness_is_what_it_says() -> None:
    (told,) = re.findall(r'^\{"ready".*$', PAGE, re.MULTILINE)
    assert Browser().get("/readyz").content.decode() == told
    for word in (health.APPLIED, health.MISSING, health.UNREADABLE, health.NONE):
        assert f"`{word}`" in PAGE


def test_the_example_of_a_line_has_the_fields_of_one() -> None:
    (told,) = re.findall(r'^\{"level".*$', PAGE, re.MULTILINE)
    line = json.loads(told)
    record = logging.makeLogRecord({"msg": line["message"], "name": line["logger"]})
    written = json.loads(logs.json_lines().format(record))
    of_all, _, of_runs = re.findall(r"^\| ((?:`\w+` ?)+) \|", PAGE.partition("| field |")[2], re.MULTILINE)[:3]
    fields = set(re.findall(r"\w+", f"{of_all} {of_runs}"))
    assert fields | set(written) | set(logs.FIELDS) == set(line)
    assert RunEvent._meta.get_field("what").max_length >= len(line["event"])
