"""Judge what is staged: set the bad records aside, then fill the merge table with the others, in one transaction."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from ops import clock
from ops.engine.session import Session
from ops.load.compiler import SHOWN
from ops.load.merging import Merging
from ops.models import Reject, Run

READ = 2_000
"""Rows that Python's validators are given at a time."""


class Judging:
    """The judging of one run's records; its statements run in the transaction that is open."""

    def __init__(self, session: Session, road: Merging, run: Run, params: Mapping[str, Any]) -> None:
        self.session = session
        self.road = road
        self.run = run
        self.params = params
        self.validators = 0.0

    def judge(self) -> int:
        """Set bad records aside and fill the merge table; return how many rows it has."""
        values = {"run": self.run.pk}
        road, execute = self.road, self.session.execute
        rules = list(road.text_rules())
        if rules:
            execute(road.reject_texts(rules), values)
        row_rules, joins = road.row_rules(messages(road))
        if self.params["validate"]:
            row_rules += list(road.choice_rules())
        if row_rules:
            execute(road.reject_rows(row_rules, joins, rejects=self._rejects()), values)
        if self.params["validate"]:
            self._validate(values)
        if road.spec.duplicates == "refuse":
            execute(road.reject_repeats(), values)
        execute(road.fill(rejects=self._rejects()), values)
        execute("ops/settle_merge.sql", {"load": self.run.pk})
        return int(execute(road.count_merge())[0][0])

    def _rejects(self) -> bool:
        return Reject.objects.using(self.session.alias).filter(run=self.run).exists()

    def counts(self, cursor: Mapping[str, Any], rows: int) -> dict[str, Any]:
        """Return how many records there are, are bad, and have the key of another."""
        rejected = Reject.objects.using(self.session.alias).filter(run=self.run).count()
        lines = int(cursor["staged"])
        return {
            "lines": lines, "rejected": rejected, "merged": lines - rejected - rows, "validators": self.validators
        }  # fmt: skip

    def _validate(self, values: Mapping[str, Any]) -> None:
        """Run the validators of the model's fields, which only Python can, on each row."""
        loaded = set(self.road.spec.merged)
        fields = [
            one
            for one in self.road.spec.model._meta.local_concrete_fields
            if one.column in loaded and one.validators and not one.is_relation
        ]
        if not fields:
            return
        start = clock.monotonic()
        names = [str(one.column) for one in fields]
        labels = [self.road.spec.labels.get(name, name) for name in names]
        bad: dict[int, Reject] = {}
        with self.session.connection.chunked_cursor() as cursor:
            cursor.execute(self.road.list_values(names), values)
            while rows := cursor.fetchmany(READ):
                for line, *given in rows:
                    for one, label, value in zip(fields, labels, given, strict=True):
                        if reason := _refusal(one, value):
                            shown = "***" if one.column in self.road.spec.masked else str(value)[:SHOWN]
                            bad[line] = Reject(column=label, value=shown, reason=reason)
                            break
        if bad:
            self.session.execute(self.road.copy_fields(), {**values, "lines": list(bad)})
        rejects = Reject.objects.using(self.session.alias).filter(run=self.run)
        for line, why in bad.items():
            rejects.filter(line=line).update(column=why.column, value=why.value, reason=why.reason)
        self.validators = clock.monotonic() - start


def _refusal(one: Any, value: Any) -> str:
    """Return why a field's validators refuse a value, or ''."""
    if value is None:
        return ""
    try:
        one.run_validators(one.to_python(value))
    except ValidationError as exc:
        return " ".join(exc.messages)
    return ""


def messages(road: Merging) -> dict[str, str]:
    """Return what the model says of a violated constraint, by the constraint's name."""
    words = {}
    for constraint in road.spec.model._meta.constraints:
        said = str(constraint.get_violation_error_message())
        if said != str(constraint.default_violation_error_message) % {"name": constraint.name}:
            words[constraint.name] = said
    for one in road.spec.table.arbiters:
        words.setdefault(one.name, f"another row has the same {one.shown()} ({one.name})")
    for key in road.spec.table.refers_to:
        words.setdefault(key.name, f"unknown key of {key.other}")
    for check in road.spec.table.checks:
        words.setdefault(check.name, f"violates {check.name}: {check.condition}")
    return words
