"""What a client has in hand: its claims, the files that it made for each, and its reports."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from tests.support.machine.averages import Averages, component
from tests.support.scripted import SHA, component_spec

Json = dict[str, Any]
CATALOGUE_SPEC = component_spec().model_dump()


@dataclass(eq=False)
class Hand:
    """One claim, and what its holder has made for it."""

    claim: Json
    files: dict[str, bytes] = field(default_factory=dict)
    upload: str | None = None
    described: bool = False
    dropped: bool = False

    @property
    def id(self) -> str:
        """The assignment's."""
        return str(self.claim["assignment_id"])

    @property
    def lease(self) -> Json:
        """The lease's part of a report."""
        lease = self.claim["lease"]
        return {"lease_id": lease["id"], "attempt": lease["attempt"]}

    @property
    def held(self) -> Json:
        """What is shown when claiming again."""
        return {**self.lease, "assignment_id": self.id}

    @property
    def components(self) -> dict[str, str]:
        """The names of the files."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}

    def make_files(self, averages: Averages, value: int) -> None:
        """A planner makes all components, a client a few, all with that value."""
        names = self.claim["components"]
        if self.claim["kind"] == "train":
            if self.claim["spec"]["algorithm"]["name"] == "local":
                return
            names = names[value :: 1 + 4 * (value + 1)]
        elif self.claim["kind"] != "plan":
            return
        averages.keep(float(value))
        self.files = {name: component(value) for name in names}

    @property
    def catalogue(self) -> Json:
        """What the planner says about all components."""
        names = self.claim["components"]
        return {"base_digest": SHA, "components": dict.fromkeys(names, CATALOGUE_SPEC)}

    def result(self, **changes: Any) -> Json:
        """The report of the work done."""
        digest = hashlib.sha256(f"{self.id} {self.lease['attempt']}".encode()).hexdigest()
        match self.claim["kind"]:
            case "plan":
                body: Json = {"kind": "plan", "components": self.components}
            case "train":
                body = {"kind": "train", "components": self.components, "losses": {}}
                body["state_digest"] = digest
            case "personalize":
                body = {"kind": "personalize", "losses": {}, "state_digest": digest}
            case _:
                body = {"kind": "evaluate", "scores": {}}
        return {**self.lease, **body, **changes}
