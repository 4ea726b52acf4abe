"""Log lines: what they are about, their two forms, and that services and commands write what they should."""

import copy
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction

from ops import logs
from ops.engine import run as engine
from ops.engine.plan import Guards, Refused
from ops.models import Run
from tests.ops.shop import EVERYTHING, ROOT, command, ended, environment, job, make_shop, manage, raise_prices, small


class Written(StringIO):
    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


def logger_to(stream: StringIO, formatter: logging.Formatter) -> logging.Logger:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(logs.Context())
    logger = logging.getLogger("a.b")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [handler]
    return logger


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def logger(written: Written) -> logging.Logger:
    return logger_to(written, logs.json_lines())


# What a line is about


def test_a_line_has_what_it_is_about_and_nothing_else(written: Written, logger: logging.Logger) -> None:
    logger.info("before")
    with logs.about(schedule="nightly", task="0f1c"):
        with logs.about(run=12):
            logger.info("inside %s", "both")
        logger.warning("outer")
        with logs.about(run=13, schedule="", task=None):
            logger.info("again")
    logger.info("after")
    about = [{name: line[name] for name in logs.FIELDS if name in line} for line in written.lines]
    outer = {"schedule": "nightly", "task": "0f1c"}
    assert about == [{}, {"run": 12, **outer}, outer, {"run": 13, **outer}, {}]
    assert [line["message"] for line in written.lines] == ["before", "inside both", "outer", "again", "after"]
    assert set(written.lines[0]) == {"time", "level", "logger", "message", "pid"}
    assert written.lines[2]["level"] == "WARNING"
    assert written.lines[0]["time"].endswith("+00:00")
    assert logs.current() == {}


def test_what_is_raised_inside_ends_it(logger: logging.Logger) -> None:
    with pytest.raises(ZeroDivisionError), logs.about(run=1):
        raise ZeroDivisionError
    assert logs.current() == {}


def test_threads_do_not_mix(written: Written, logger: logging.Logger) -> None:
    meet = threading.Barrier(8)

    def work(number: int) -> None:
        with logs.about(run=number):
            for _ in range(20):
                meet.wait()
                logger.info("of %s", number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written.lines) == 160
    assert [line for line in written.lines if line["message"] != f"of {line['run']}"] == []


def test_what_a_line_says_itself_stands(written: Written, logger: logging.Logger) -> None:
    with logs.about(run=1):
        logger.info("of another", extra={"run": 2, "rows": 7})
    assert (written.lines[0]["run"], written.lines[0]["rows"]) == (2, 7)


def test_celerys_own_lines_name_their_task_and_keep_its_arguments_to_themselves(
    written: Written, logger: logging.Logger
) -> None:
    logger.info("Task received", extra={"data": {"id": "0f1c", "name": "x", "args": "(secret,)"}})
    assert written.lines[0]["task"] == "0f1c"
    assert "secret" not in written.getvalue()


def test_a_line_is_one_line_whatever_is_in_it(written: Written, logger: logging.Logger) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("가격\n%s", '{"level": "forged"}')
    (line,) = written.lines
    assert line["message"] == '가격\n{"level": "forged"}'
    assert line["exc_info"].startswith("Traceback")
    assert "가격" in written.getvalue()


def test_a_person_reads_text() -> None:
    stream = StringIO()
    logger = logger_to(stream, logs.Text())
    with logs.about(run=12, schedule="nightly"):
        logger.info("started")
    logger.info("alone")
    first, second = stream.getvalue().splitlines()
    assert first.endswith(" INFO a.b: started [run 12, schedule nightly]")
    assert second.endswith(" INFO a.b: alone")


# Who writes what


class Kept(logging.Handler):
    def __init__(self, found: list[logging.LogRecord]) -> None:
        super().__init__()
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record)


@pytest.fixture
def serving() -> Iterator[list[logging.LogRecord]]:
    """Let this process log as a service does; return what is logged of runs."""
    found: list[logging.LogRecord] = []
    handler = Kept(found)
    handler.addFilter(logs.Context())
    root, runs = logging.getLogger(), logging.getLogger(logs.RUNS)
    before = root.level, runs.level
    kept = copy.deepcopy(settings.LOGGING)
    logs.serve()
    runs.addHandler(handler)
    yield found
    runs.removeHandler(handler)
    root.setLevel(before[0])
    runs.setLevel(before[1])
    settings.LOGGING.update(kept)


@pytest.mark.django_db(transaction=True)
def test_what_happens_to_a_run_is_logged_with_its_number(serving: list[logging.LogRecord]) -> None:
    make_shop(20)
    raise_prices()
    run, _ = engine.apply(job(), EVERYTHING, small())
    raise_prices()
    with pytest.raises(Refused):
        engine.apply(job(), EVERYTHING, small(guards=Guards(max_rows=1)))
    assert [(one.getMessage().partition(" (")[0].partition(":")[2].strip()[:6], one.levelname) for one in serving] == [
        ("opened", "INFO"),
        ("done", "INFO"),
        ("opened", "INFO"),
        ("refuse", "WARNING"),
    ]
    second = Run.objects.latest("pk").pk
    assert [vars(one)["run"] for one in serving] == [run.pk, run.pk, second, second]
    done = vars(serving[1])
    assert (done["event"], done["job"], done["verb"], done["changed"]) == ("done", "billing.reprice", "apply", 20)


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_did_not_happen(serving: list[logging.LogRecord]) -> None:
    make_shop(20)

    def fail(run: Run) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.apply(job(), EVERYTHING, small(opened=fail))
    with transaction.atomic():
        assert serving == []


@pytest.mark.django_db(transaction=True)
def test_a_command_says_it_on_stdout_and_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    make_shop(20)
    raise_prices()
    said = command("reprice", "--no-input")
    assert said.code == 0
    assert [one for one in caplog.records if one.name.startswith("ops")] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("asked", [False, True])
def test_a_commands_log_is_on_stderr_and_asked_for(asked: bool) -> None:
    make_shop(20)
    raise_prices()
    words = ("reprice", "--no-input", *(("--verbosity", "2") if asked else ()))
    code, out, err = ended(manage(*words, LOG_FORMAT="json"))
    assert code == 0
    assert "20 rows written" in out
    assert "ops.runs" not in out
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    run = Run.objects.get().pk
    assert [(line["event"], line["run"]) for line in lines if line["logger"] == logs.RUNS] == (
        [("opened", run), ("done", run)] if asked else []
    )


def python(code: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(**more), capture_output=True, text=True, timeout=60
    )


WORKER = """
from config.celery import app
app.log.setup(loglevel={level!r}, redirect_stdouts=True)
app.loader.import_default_modules()  # which sets Django up, once more
from celery.utils.log import get_task_logger
import logging, sys
logging.getLogger("celery.worker").info("ready")
get_task_logger("stock.tasks").warning("few")
print("to stdout")
"""


@pytest.mark.parametrize(("level", "messages"), [("INFO", ["ready", "few"]), ("WARNING", ["few"])])
@pytest.mark.django_db
def test_workers_and_beat_write_json_from_their_level_on(level: str, messages: list[str]) -> None:
    done = python(WORKER.format(level=level), LOG_FORMAT="json")
    assert (done.returncode, done.stdout) == (0, "to stdout\n")
    assert [json.loads(line)["message"] for line in done.stderr.splitlines()] == messages


WEB = """
import logging
logging.getLogger("gunicorn.error").addHandler(logging.StreamHandler())
logging.getLogger("gunicorn.error").propagate = False
import config.wsgi
logging.getLogger("gunicorn.error").warning("Booting")
logging.getLogger("ops.runs").info("from a page")
"""


@pytest.mark.django_db
def test_the_web_process_and_gunicorn_write_the_same_lines() -> None:
    done = python(WEB, LOG_FORMAT="json")
    assert [json.loads(line)["logger"] for line in done.stderr.splitlines()] == ["gunicorn.error", "ops.runs"]
    done = python(WEB, LOG_FORMAT="text")
    assert [line.partition(",")[2][4:] for line in done.stderr.splitlines()] == [
        "WARNING gunicorn.error: Booting",
        "INFO ops.runs: from a page",
    ]


def test_without_a_terminal_it_is_json() -> None:
    assert settings.LOG_FORMAT in ("json", "text")
    done = python("from config import settings; print(settings.LOG_FORMAT)", LOG_FORMAT="")
    assert done.stdout == "json\n"
