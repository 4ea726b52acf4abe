"""A run over HTTP: what `manage.py runs show --json` says of it, but for its plan, with its events page by page."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections

from ops.management.run_verbs import document
from ops.models import Run, RunEvent
from ops.web.api import Call, Endpoint, Schema
from ops.web.api_answer import Problem
from ops.web.api_params import LARGEST, OneOf, Paged

INSTANT: Schema = {"type": "string", "format": "date-time"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TEXT: Schema = {"type": "string"}


def or_null(schema: Schema) -> Schema:
    """Return a schema that takes null as well."""
    return {**schema, "type": [schema["type"], "null"]}


def closed(**properties: Schema) -> Schema:
    """Return the schema of an object that has these members, all of them and no others."""
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }


NEXT: Schema = {
    "type": ["string", "null"],
    "format": "uri",
    "description": "The address of the next page; null on the last.",
}


class Which(Paged):
    """Where the run is, and which of its events."""

    database = OneOf(
        (alias for alias in connections if connections[alias].vendor == "postgresql"),
        initial=DEFAULT_DB_ALIAS,
        help_text="A run lives in the database that it writes to.",
    )


def run(call: Call) -> dict[str, Any]:
    """Return a run and a page of its events; raise a Problem where there is none."""
    pk, alias = call.path["run"], call.params["database"]
    missing = Problem(404, "not_found", f"There is no run {str(pk)[:40]} in database {alias}.")
    if pk > LARGEST:
        raise missing
    try:
        found = Run.objects.using(alias).filter(pk=pk).first()
    except ProgrammingError as exc:
        if alias == DEFAULT_DB_ALIAS:
            raise
        # A database of another purpose, in which ops was never migrated.
        raise missing from exc
    if found is None:
        raise missing
    limit = call.params["limit"]
    events = RunEvent.objects.using(alias).filter(run=pk, pk__gt=call.params["after"] or 0)
    page = list(events.order_by("pk")[: limit + 1])
    return {
        **document(found),
        "database": alias,
        "code_version": found.code_version,
        "sql_digest": found.sql_digest,
        "events": [
            {"id": e.pk, "at": e.at.isoformat(), "what": e.what, "who": e.who, "detail": e.detail} for e in page[:limit]
        ],
        "next": call.next_page(page[limit - 1].pk) if len(page) > limit else None,
    }


RUN = Endpoint(
    name="run",
    route="runs/<int:run>/",
    summary="A run: its state, counts and events.",
    description="Parameters that are secret are masked. Follow a run by its ETag, or by the events after the last.",
    handler=run,
    form=Which,
    permissions=("ops.view_run",),
    captures={"run": {"type": "integer", "minimum": 0, "maximum": LARGEST}},
    statuses=(404,),
    answer=closed(
        run=COUNT,
        job=TEXT,
        verb={"type": "string", "enum": list(Run.Verb.values)},
        state={"type": "string", "enum": list(Run.State.values)},
        reverts=or_null(COUNT),
        params={"type": "object"},
        as_of=INSTANT,
        started_by=TEXT,
        started_from=TEXT,
        schedule=TEXT,
        slot=or_null(INSTANT),
        queue=TEXT,
        task_id=TEXT,
        created_at=INSTANT,
        finished_at=or_null(INSTANT),
        batches=COUNT,
        changed=COUNT,
        left_alone=COUNT,
        message=TEXT,
        wish={"type": "string", "enum": list(Run.Wish.values)},
        batch_size=or_null(COUNT),
        target_time=COUNT,
        workers=COUNT,
        database=TEXT,
        code_version=TEXT,
        sql_digest=TEXT,
        events={"type": "array", "items": closed(id=COUNT, at=INSTANT, what=TEXT, who=TEXT, detail=TEXT)},
        next=NEXT,
    ),
)
