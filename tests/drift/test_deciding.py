"""A decision that fits nothing is said; an app that nobody knows is refused."""

import pytest

from ops.drift import deciding
from ops.drift.graph import Graph, Known
from ops.drift.history import History
from ops.drift.model import Choices, Node, Objects, Row

KNOWN = History(rows=[Row(1, "shop", "0001_initial", None), Row(2, "gone", "0001_initial", None)])
LOADED = Graph(disk={Node("shop", name): Known(Node("shop", name)) for name in ("0001_initial", "0002_more")})
WANT: Objects = {
    "table public.tag": {"kind": "table", "schema": "public", "name": "tag"},
    "column public.shop.name": {"kind": "column", "schema": "public", "table": "shop", "name": "name"},
    "column public.shop.price": {"kind": "column", "schema": "public", "table": "shop", "name": "price"},
}
HAVE: Objects = {
    "column public.shop.name": WANT["column public.shop.name"],
    "column public.shop.cost": {"kind": "column", "schema": "public", "table": "shop", "name": "cost"},
    "table public.label": {"kind": "table", "schema": "public", "name": "label"},
}


@pytest.mark.parametrize(
    "choices",
    [
        Choices(record=("shop.0002_more",)),
        Choices(prune=("gone.0001_initial",)),
        Choices(rename=("gone.0001_initial=shop.0002_more",)),
        Choices(rename=("shop.cost=price",)),
        Choices(rename=("public.shop.cost=price", "label=tag", "public.label=tag")),
        Choices(value={"shop.price": "1"}),
    ],
)
def test_what_fits_is_not_mentioned(choices: Choices) -> None:
    assert deciding.idle(choices, KNOWN, LOADED, WANT, HAVE) == []


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (Choices(record=("shop.0099_x",)), "record shop.0099_x"),
        (Choices(record=("shop.0001_initial",)), "record shop.0001_initial"),
        (Choices(prune=("shop.0001_initial",)), "prune shop.0001_initial"),
        (Choices(prune=("gone.0002_x",)), "prune gone.0002_x"),
        (Choices(rename=("shop.name=title",)), "rename shop.name=title"),
        (Choices(rename=("shop.price=cost",)), "rename shop.price=cost"),
        (Choices(rename=("shop.other=price",)), "rename shop.other=price"),
        (Choices(rename=("shop.cost=shop.price",)), "rename shop.cost=shop.price"),
        (Choices(value={"shop.name": "1"}), "value shop.name=1"),
    ],
)
def test_what_fits_nothing_is_said(choices: Choices, said: str) -> None:
    assert deciding.idle(choices, KNOWN, LOADED, WANT, HAVE) == [
        f"--{said} fits nothing that was found, and was left aside."
    ]


def test_an_app_that_nobody_knows_is_refused() -> None:
    deciding.must_know(["auth", "gone"], KNOWN)
    with pytest.raises(deciding.UnknownApp, match="There is no app 'nope' in this project or in its history"):
        deciding.must_know(["auth", "nope"], KNOWN)
