"""/api/openapi.json: valid, complete, and made of what the endpoints really take and answer."""

import re
from typing import Any

import pytest
import schemathesis
from django import forms
from django.urls import get_resolver, include, path
from pytest_django import Settings

from ops.reports import names
from ops.web import api_urls, openapi
from ops.web.api import Call, Endpoint, urls
from ops.web.api_params import Paged, Whole, Wholes, is_many
from tests.ops.web.asking import Program, user

pytestmark = pytest.mark.django_db


@pytest.fixture
def described() -> dict[str, Any]:
    return Program(user("kim")).get("/api/openapi.json")


def operations(described: dict[str, Any]) -> dict[str, Any]:
    return {address: methods["get"] for address, methods in described["paths"].items()}


def test_it_is_openapi(described: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(described).validate()
    assert described["openapi"] == "3.1.0"
    assert described["servers"] == [{"url": "http://testserver"}]
    found = operations(described)
    assert len({one["operationId"] for one in found.values()}) == len(found)


def test_it_describes_every_endpoint_that_there_is(described: dict[str, Any]) -> None:
    addresses = {"/api/openapi.json", "/api/runs/{run}/", "/api/subscriptions/"}
    addresses |= {f"/api/stats/{name}/" for name in names()}
    assert addresses <= set(described["paths"])
    assert {"/api/stats/uploads/", "/api/stats/runs/"} <= addresses
    # What it describes is what the URLs lead to, so that each can be asked.
    for address, endpoint in openapi.endpoints():
        found = get_resolver().resolve(address.replace("{run}", "1"))
        assert found.func.endpoint is endpoint


def test_parameters_are_those_of_the_forms(described: dict[str, Any]) -> None:
    for address, endpoint in openapi.endpoints():
        told = {one["name"]: one for one in described["paths"][address]["get"]["parameters"]}
        in_query = {name for name, one in told.items() if one["in"] == "query"}
        assert in_query == set(endpoint.form.base_fields)
        for name, field in endpoint.form.base_fields.items():
            assert (told[name]["schema"].get("type") == "array") == is_many(field)
            assert told[name]["schema"].get("default") == field.initial
            assert told[name].get("description", "") == field.help_text
        captured = set(re.findall(r"{(\w+)}", address))
        assert captured == {name for name, one in told.items() if one["in"] == "path"}
        assert told["If-None-Match"]["in"] == "header"


def test_what_refuses_is_described_alike(described: dict[str, Any]) -> None:
    for address, one in operations(described).items():
        statuses = {"200", "304", "400", "401", "403", "500", "503"} | ({"404"} if "{" in address else set())
        assert set(one["responses"]) == statuses
        for status in statuses - {"200", "304"}:
            schema = one["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}


def test_permissions_are_told(described: dict[str, Any]) -> None:
    for address, endpoint in openapi.endpoints():
        told = described["paths"][address]["get"]["description"]
        assert told.endswith(
            f"Permissions: {', '.join(endpoint.permissions)}." if endpoint.permissions else "any user."
        )


class Which(Paged):
    """A form of another project."""

    item = Wholes()
    weight = Whole(least=-5, most=5, help_text="In grams.")
    kind = forms.ChoiceField(choices=[("a", "A"), ("b", "B")])


def handler(call: Call) -> dict[str, Any]:
    return {}


ITEMS = Endpoint("items", "items/<slug:shelf>/", "Items.", handler, {"type": "object"}, form=Which)


def test_another_prefix_is_another_address(settings: Settings) -> None:
    patterns = [path("deep/", include([path("v1/", include([*urls(ITEMS), *api_urls.urlpatterns]))]))]
    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": patterns})
    described = Program(user("kim")).get("/deep/v1/openapi.json")
    assert {"/deep/v1/items/{shelf}/", "/deep/v1/runs/{run}/"} <= set(described["paths"])
    parameters = {one["name"]: one for one in described["paths"]["/deep/v1/items/{shelf}/"]["get"]["parameters"]}
    assert parameters["weight"] == {
        "name": "weight",
        "in": "query",
        "required": False,
        "description": "In grams.",
        "schema": {"type": "integer", "minimum": -5, "maximum": 5},
    }
    assert parameters["kind"]["required"]
    assert parameters["shelf"]["schema"] == {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"}
    schemathesis.openapi.from_dict(described).validate()
    assert parameters["kind"]["schema"] == {"type": "string", "enum": ["a", "b"]}
