"""The jobs there are, as JSON and as a person reads them."""

from typing import Any

from django.db.models import Max
from django.forms import BooleanField

from ops import clock
from ops.cache.triggers import written_by
from ops.engine import registry
from ops.engine.lifecycle import trouble
from ops.management import display
from ops.models import Run

TOGETHER = "\u00a0"


def listed(alias: str) -> list[dict[str, Any]]:
    """Return each job's name, summary, target, tables, parameters and last run (plans apart) in a database."""
    with trouble("Listing the jobs"):
        runs = Run.objects.using(alias).exclude(verb=Run.Verb.PLAN)
        newest = runs.order_by().values("job").annotate(newest=Max("pk")).values("newest")
        last = {run.job: run for run in Run.objects.using(alias).filter(pk__in=newest)}
    return [_document(name, last.get(name)) for name in registry.names()]


def _document(name: str, run: Run | None) -> dict[str, Any]:
    job = registry.find(name)
    target = getattr(job, "target", None)
    return {
        "job": name,
        "does": (job.__doc__ or "").strip().partition("\n")[0],
        "target": target._meta.label if target else None,
        "writes": written_by(job),
        "parameters": [
            {
                "name": name,
                "required": field.required and field.initial is None and not isinstance(field, BooleanField),
                "switch": isinstance(field, BooleanField),
                "help": str(field.help_text),
            }
            for name, field in job.params.base_fields.items()
        ],
        "last_run": run
        and {
            "run": run.pk,
            "verb": run.verb,
            "state": run.state,
            "changed": run.changed,
            "created_at": run.created_at.isoformat(),
        },
    }


def shown(found: list[dict[str, Any]], *, terminal: bool) -> str:
    """Return the jobs as text, a paragraph each."""
    paragraphs = []
    for one in found:
        options = " ".join(_option(given) for given in one["parameters"])
        last = one["last_run"]
        ended = "never run"
        if last:
            opened = clock.shown(clock.parse_instant(last["created_at"]))
            ended = f"run {last['run']} ({last['verb']}): {last['state']}, {last['changed']:,} rows, {opened}"
        lines = [("does", one["does"] or "-"), ("options", options or "-"), ("last run", ended)]
        if len(one["writes"]) > 1:
            lines.insert(2, ("writes", ", ".join(one["writes"])))
        # An option and its value stay on one line.
        paragraphs.append(f"{one['job']}\n{display.facts(lines, terminal=terminal)}".replace(TOGETHER, " "))
    if not paragraphs:
        return "There are no jobs: 'manage.py startjob APP.NAME' writes one."
    return "\n\n".join([*paragraphs, "'manage.py run_job NAME --dry-run' plans one, 'manage.py run_job NAME' runs it."])


def _option(given: dict[str, Any]) -> str:
    """Return a parameter as it is typed; in brackets where it may be left out."""
    name = given["name"].replace("_", "-")
    words = f"--{name}" if given["switch"] else f"--{name}{TOGETHER}{given['name'].upper()}"
    return words if given["required"] else f"[{words}]"
