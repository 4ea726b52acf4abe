"""One form's cleaning for the command line and Python: canonical values, and errors of one sentence."""

from typing import Any

import pytest
from django import forms

from billing.jobs import RepriceForm
from billing.models import Client, Service
from ops.engine.parameters import BadParameters, NamedRows, clean
from tests.ops.shop import EVERYTHING

pytestmark = pytest.mark.django_db


def cleaned(**given: Any) -> dict[str, Any]:
    return clean(RepriceForm, given, "default")


@pytest.fixture
def services() -> list[int]:
    """The ids of three services, one of them called like the id of another."""
    first = Service.objects.create(name="Mail")
    second = Service.objects.create(name="Disk")
    third = Service.objects.create(name=str(first.pk))
    return [first.pk, second.pk, third.pk]


def test_nothing_given_is_everything() -> None:
    assert cleaned() == EVERYTHING
    assert cleaned(service=[], dirty=False) == EVERYTHING
    assert list(cleaned()) == ["client", "dirty", "plan", "service"]


def test_names_and_ids_clean_to_sorted_ids(services: list[int]) -> None:
    mail, disk, _ = services
    assert cleaned(service=["Disk", "Mail"])["service"] == [mail, disk]
    assert cleaned(service=[str(disk), disk, "Disk"])["service"] == [disk]
    assert cleaned(service="Mail")["service"] == [mail]
    assert cleaned(service=disk)["service"] == [disk]


def test_a_name_wins_over_an_id_of_the_same_spelling(services: list[int]) -> None:
    mail, _, called_like_it = services
    assert cleaned(service=[str(mail)])["service"] == [called_like_it]


@pytest.mark.parametrize("value", ["nope", "", " ", "999999999", "9" * 40, "-1", "1.0", "mail", "%", "٣٣٣٣٣٣"])
def test_what_is_neither_name_nor_id_is_refused(services: list[int], value: str) -> None:
    with pytest.raises(BadParameters) as refused:
        cleaned(service=["Mail", value])
    assert str(refused.value) == f"--service: There is no service {value!r}: give its name or its id."


def test_a_null_byte_is_refused_like_any_other_name(services: list[int]) -> None:
    with pytest.raises(BadParameters, match="There is no service"):
        cleaned(service=["a\0b"])


def test_a_name_that_several_share_is_refused_and_the_id_is_taken() -> None:
    first = Client.objects.create(name="Kim")
    Client.objects.create(name="Kim")
    with pytest.raises(BadParameters) as refused:
        cleaned(client=["Kim"])
    assert str(refused.value) == "--client: Several rows are called 'Kim': give the client's id."
    assert cleaned(client=[str(first.pk)])["client"] == [first.pk]


def test_an_unknown_parameter_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadParameters) as refused:
        cleaned(services=["Mail"])
    assert str(refused.value) == "There is no parameter 'services'; there is: client, dirty, plan, service."


def test_what_excludes_each_other_is_refused(services: list[int]) -> None:
    with pytest.raises(BadParameters) as refused:
        cleaned(service=["Mail"], dirty=True)
    assert str(refused.value) == (
        "--dirty takes all marks, so it goes without --service, --plan and --client: leave one of them out."
    )
    assert cleaned(dirty=True) == {**EVERYTHING, "dirty": True}


def test_an_option_is_named_as_it_is_typed() -> None:
    class Form(forms.Form):
        max_age = forms.IntegerField(min_value=1)

    with pytest.raises(BadParameters) as refused:
        clean(Form, {"max_age": 0}, "default")
    assert str(refused.value) == "--max-age: Ensure this value is greater than or equal to 1."


def test_rows_are_looked_up_in_the_database_that_was_named() -> None:
    class Form(forms.Form):
        service = NamedRows(Service)

    with pytest.raises(Exception, match="other"):
        clean(Form, {"service": ["Mail"]}, "other")
