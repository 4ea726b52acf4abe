"""What the parts of the schema findings share: both catalogues, who made what, and how a finding is worded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ops.drift import codes
from ops.drift.measuring import Measure
from ops.drift.mending import mend
from ops.drift.mending_work import Mended, Work, table_of
from ops.drift.model import Attributes, Choice, Choices, Difference, Expected, Finding, Made, Node, Objects, Severity

HISTORY = "django_migrations"

UNPROVEN = (
    "Unprovable: a migration that touches the table failed in the replay, as a note says. Mend that migration so that "
    "it runs on an empty database, or make this by hand."
)


@dataclass
class Look:
    """One comparison that is being told, and what has been told already."""

    expected: Expected
    have: Objects
    differences: dict[str, Difference]
    choices: Choices
    measure: Measure
    ghosts: Sequence[Node] = ()
    claimed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.want = self.expected.objects()
        self.pending = {
            name: one
            for one in self.expected.made
            if not one.recorded and not one.implied
            for name, attributes in one.delta.items()
            if attributes is not None
        }

    def missing(self, *kinds: str) -> list[Difference]:
        """Return what is missing of some kinds and not told yet."""
        return [one for one in self._open(kinds) if one.have is None]

    def altered(self) -> list[Difference]:
        """Return what is there but other, and not told yet."""
        return [one for one in self._open(()) if one.have is not None and one.want is not None]

    def beyond(self, *kinds: str) -> list[Difference]:
        """Return what no migration makes, of some kinds or all, and is not told yet."""
        return [one for one in self._open(kinds) if one.want is None]

    def work(self, name: str, code: str, only: tuple[str, ...] = ()) -> Work:
        """Return the work of mending an object."""
        return Work(name, self.want, self.have, code, self.measure, self.choices, self.expected, only)

    def mend(self, name: str, code: str, only: tuple[str, ...] = ()) -> Mended:
        """Return what mends an object, nothing where what it ought to be is not proven."""
        if self.doubtful(name):
            return Mended(refused=UNPROVEN)
        return mend(self.work(name, code, only))

    def doubtful(self, name: str) -> bool:
        """Say whether what an object ought to be is unproven, for a migration of it failed in the replay."""
        tables: Iterable[str] = getattr(self.expected, "doubtful", ())
        one = self.want.get(name) or self.have.get(name)
        return "*" in tables or (one is not None and table_of(one) in tables) or name in tables

    def _needed(self, name: str) -> bool:
        """Say whether an object is missing that Django's models need, whatever a migration did that failed."""
        return name in self.want and name not in self.have and name in {*self.expected.tables, *self.expected.fields}

    def maker(self, name: str) -> Made | None:
        """Return the migration that made an object as it ought to be there."""
        found: Made | None = None
        for one in self.expected.makers(name):
            if one.delta[name] is None:
                found = None
            elif found is None:
                found = one
        return found

    def finding(
        self,
        code: str,
        severity: Severity,
        name: str,
        found: str,
        mended: Mended | None = None,
        claims: Sequence[str] = (),
    ) -> Finding:
        """Return a finding of an object, and hold as told what it claims."""
        mended = mended or Mended()
        maker = self.maker(name)
        # What can be done is done; what is left then is found by itself the next time.
        refused = "" if mended.steps else mended.refused
        if self.doubtful(name) and (name in self.want or code == "S24") and not self._needed(name):
            severity, found = "info", f"{found} (unprovable)"
        action = acting(mended)
        self.claimed.update((name, *claims))
        return Finding(
            code=code,
            severity=severity,
            object=name,
            found=found,
            breaks=codes.breaks(code),
            action=action,
            steps=mended.steps,
            choices=mended.choices,
            refused=refused,
            migration=str(maker.node) if maker else "",
            claims=sorted({name, *claims}),
        )

    def _open(self, kinds: Sequence[str]) -> list[Difference]:
        return [
            one
            for name, one in self.differences.items()
            if name not in self.claimed
            for attributes in [one.want or one.have or {}]
            if not kinds or attributes["kind"] in kinds
            if (attributes.get("table") or attributes["name"]) != HISTORY
        ]


def acting(mended: Mended) -> str:
    """Return in words what will be done, and what will not."""
    titles = [one.title for one in mended.steps]
    shown = "; ".join(titles[:4]) + (f"; and {len(titles) - 4} more steps" if len(titles) > 4 else "")
    said = [f"{shown[:1].upper()}{shown[1:]}."] if shown else []
    if mended.steps and mended.refused:
        said.append(mended.refused)
    return " ".join([*said, *mended.notes])


def shown(one: Attributes) -> str:
    """Return an object as people say it: its kind and its name, with the table that it is of."""
    if one["kind"] == "schema":
        return f"schema {one['name']}"
    schema = "" if one["schema"] in (None, "public") else f"{one['schema']}."
    of = f" of {schema}{one['table']}" if one.get("table") else ""
    if one["kind"] == "column":
        return f"column {schema}{one['table']}.{one['name']}"
    kinds = {"p": "primary key", "u": "unique constraint", "c": "check", "x": "exclusion", "f": "foreign key"}
    kind = kinds.get(one.get("contype") or "", one["kind"]) if one["kind"] == "constraint" else one["kind"]
    return f"{kind} {'' if of else schema}{one['name']}{of}"


def choice(option: str, words: str) -> Choice:
    """Return a way out of a refusal."""
    return Choice(option, words)
