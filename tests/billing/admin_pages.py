"""The admin's pages of billing, as a browser asks for them and fills them in."""

from datetime import UTC, datetime
from typing import Any

from django.test import Client as Browser

from ops import clock

NOW = datetime.now(UTC).replace(microsecond=0)


def url(model: str, page: str = "", pk: Any = None) -> str:
    parts = ["/admin/billing", model, *([str(pk)] if pk else []), *([page] if page else [])]
    return "/".join(parts) + "/"


def instants(**values: datetime | None) -> dict[str, str]:
    """Return instants as the admin's two fields each, in the project's zone."""
    found = {}
    for name, value in values.items():
        local = value.astimezone(clock.zone()) if value else None
        found |= {f"{name}_0": f"{local:%Y-%m-%d}" if local else "", f"{name}_1": f"{local:%H:%M:%S}" if local else ""}
    return found


def errors(response: Any) -> list[str]:
    """Return what the form complains of."""
    assert response.status_code == 200
    return [text for texts in response.context["adminform"].form.errors.values() for text in texts]


def initial(browser: Browser, address: str) -> dict[str, Any]:
    """Return what a browser would post if one opened a form and saved it as it is."""
    form = browser.get(address).context["adminform"].form
    found = {}
    for bound in form:
        widget = bound.field.widget
        value = bound.value()
        names = [bound.html_name, *([bound.html_initial_name] if bound.field.show_hidden_initial else [])]
        for name in names:
            if hasattr(widget, "decompress"):
                parts = widget.decompress(value)
                found |= {f"{name}_{i}": "" if part is None else str(part) for i, part in enumerate(parts)}
            else:
                found[name] = "" if value is None else str(value)
    return found


NO_TIERS = {"tiers-TOTAL_FORMS": "0", "tiers-INITIAL_FORMS": "0"}
