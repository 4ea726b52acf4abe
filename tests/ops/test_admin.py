"""The engine's records in the admin: to read, whatever their size."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from billing.models import Service
from ops import admin as lists
from ops.engine import changeset
from ops.engine import run as engine
from ops.engine.plan import Refused
from ops.models import Hold, Run, RunEvent
from tests.ops.shop import EVERYTHING, job, make_shop, raise_prices, small

pytestmark = pytest.mark.django_db(transaction=True)
MODELS = ("run", "runevent", "changeset", "hold")


@pytest.fixture
def browser(transactional_db: None) -> Browser:
    """A browser in which a superuser is logged in."""
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("admin", password="x"))
    return browser


def url(model: str, page: str = "", pk: Any = None) -> str:
    return "/".join(["/admin/ops", model, *([str(pk)] if pk else []), *([page] if page else [])]) + "/"


def reverted() -> tuple[Run, Run]:
    """Return a run and the one that took it back."""
    make_shop()
    raise_prices()
    done, _ = engine.apply(job(), EVERYTHING, small())
    back, _ = changeset.revert(done, small())
    return done, back


def text(browser: Browser, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_every_list_and_page_is_to_read(browser: Browser, model: str) -> None:
    reverted()
    answer = browser.get(url(model))
    assert answer.status_code == 200
    row = answer.context["cl"].result_list[0]
    assert browser.get(url(model, "change", row.pk)).status_code == 200
    assert browser.get(url(model, "add")).status_code == 403
    assert browser.post(url(model, "change", row.pk), {"job": "x"}).status_code == 403
    assert browser.get(url(model, "delete", row.pk)).status_code == (200 if model == "hold" else 403)


def test_a_run_shows_its_plan_as_text_and_its_events(browser: Browser) -> None:
    done, back = reverted()
    page = text(browser, url("run", "change", done.pk))
    assert "Looked at 400 subscriptions: 400 would change, 0 held, 0 refused." in page
    assert "Largest changes" in page
    assert "service 20" in page
    assert "manage.py" not in page
    assert [e.original.what for e in inline(browser, done)] == ["opened", "done"]
    page = text(browser, url("run", "change", back.pk))
    assert "400 rows, 400 can go back" in page
    assert f"Run {done.pk} (billing.reprice, done)" in page


def inline(browser: Browser, run: Run) -> list[Any]:
    """Return the events that a run's page shows."""
    (formset,) = browser.get(url("run", "change", run.pk)).context["inline_admin_formsets"]
    return [form for form in formset if form.original is not None]


def test_a_run_shows_its_newest_events(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    done, back = reverted()
    monkeypatch.setattr(lists, "EVENTS", 3)
    RunEvent.objects.bulk_create(RunEvent(run=done, what=f"event {i}", who="x") for i in range(10))
    assert [e.original.what for e in inline(browser, done)] == ["event 7", "event 8", "event 9"]
    assert [e.original.what for e in inline(browser, back)] == ["opened", "done"]


def test_a_refused_run_says_why(browser: Browser) -> None:
    make_shop()
    Service.objects.filter(name="service 3").update(full_price=None)
    with pytest.raises(Refused):
        engine.apply(job(), EVERYTHING, small())
    page = text(browser, url("run", "change", Run.objects.get().pk))
    assert "20 of 400 subscriptions cannot be computed" in page
    assert "its service has no price" in page


def test_a_run_of_a_job_that_is_gone_can_still_be_read(browser: Browser) -> None:
    done, _ = reverted()
    Run.objects.filter(pk=done.pk).update(job="old.job")
    assert "Looked at 400 rows: 400 would change" in text(browser, url("run", "change", done.pk))


def test_a_run_without_a_plan_can_be_read(browser: Browser) -> None:
    done, _ = reverted()
    Run.objects.filter(pk=done.pk).update(plan=None, state="failed", message="no server")
    assert "no server" in text(browser, url("run", "change", done.pk))


def test_a_run_leads_to_its_changesets_whose_arrays_are_not_fetched(browser: Browser) -> None:
    done, _ = reverted()
    address = f"{url('changeset')}?run__id__exact={done.pk}"
    assert address in text(browser, url("run", "change", done.pk))
    with CaptureQueriesContext(connection) as queries:
        listed = browser.get(address).context["cl"].result_list
        page = text(browser, url("changeset", "change", listed[0].pk))
    assert {one.run_id for one in listed} == {done.pk}
    assert len(listed) == done.batches
    assert f"{listed[0].rows} and {listed[0].rows}" in page
    selected = [q["sql"] for q in queries if 'FROM "ops_changeset"' in q["sql"] and "committed_at" in q["sql"]]
    assert len(selected) >= 2
    assert [sql for sql in selected if '"ops_changeset"."keys",' in sql or '"ops_changeset"."after",' in sql] == []


def test_deleting_a_hold_lets_the_next_sweep_take_the_row(browser: Browser) -> None:
    reverted()
    hold = Hold.objects.order_by("pk")[7]
    assert browser.post(url("hold", "delete", hold.pk), {"post": "yes"}).status_code == 302
    _, plan = engine.plan_only(job(), EVERYTHING, small())
    assert (plan.changes, plan.held) == (1, 399)
    assert str(plan.largest[0]["key"]) == hold.key[0]


@pytest.mark.parametrize("model", MODELS)
def test_the_queries_of_a_list_do_not_grow_with_its_rows(browser: Browser, model: str) -> None:
    make_shop(20)
    raise_prices()
    changeset.revert(engine.apply(job(), EVERYTHING, small(batch_size=10))[0], small())
    browser.get(url(model))
    with CaptureQueriesContext(connection) as few:
        before = browser.get(url(model)).context["cl"].result_count
    raise_prices()
    for _ in range(3):
        engine.plan_only(job(), EVERYTHING, small())
        raise_prices()
        changeset.revert(engine.apply(job(), EVERYTHING, small(batch_size=5))[0], small())
    Hold.objects.create(job="another", key=["1"], wanted=["2"], run=Run.objects.latest("pk"))
    with CaptureQueriesContext(connection) as many:
        after = browser.get(url(model)).context["cl"].result_count
    assert after > before > 0
    assert len(many) == len(few)


def test_runs_are_found_by_state_and_by_the_beginning_of_the_job(browser: Browser) -> None:
    done, back = reverted()
    engine.plan_only(job(), EVERYTHING, small())

    def found(**query: str) -> list[int]:
        return [run.pk for run in browser.get(url("run"), query).context["cl"].result_list]

    assert found(state__exact="done") == [back.pk, done.pk]
    assert found(verb__exact="revert") == [back.pk]
    assert len(found(q="billing")) == 3
    assert found(q="reprice") == []
