"""Versions, computed again from what the clients sent and not from what the service kept."""

import hashlib

import numpy as np

from server.aggregation import component_weight
from shared.components import parse
from shared.states import AssignmentState
from shared.tensor_file import component_layout
from tests.support.machine.rows import Round
from tests.support.scripted import component_spec

_HEADER = component_layout(component_spec()).header


def component(value: float) -> bytes:
    """The file of a component whose three values are all the same."""
    return _HEADER + np.full(3, value, dtype="<f4").tobytes()


class Averages:
    """The values behind each artifact that somebody sent, or that an average of them made."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}

    def keep(self, value: float) -> str:
        """The name of the component's file that holds the value."""
        sha256 = hashlib.sha256(component(value)).hexdigest()
        self._values[sha256] = value
        return sha256

    def next_version(self, row: Round, before: dict[str, str]) -> dict[str, str]:
        """The version that the round makes of the one before."""
        accepted = [m for m in row.members if m.state is AssignmentState.ACCEPTED]
        accepted.sort(key=lambda member: member.client or "")
        made = dict(before)
        for name in sorted({n for m in accepted for n in (m.result or {})["components"]}):
            shares = [
                (
                    component_weight(parse(name), row.job.spec, m.offer),
                    self._values[(m.result or {})["components"][name]],
                )
                for m in accepted
                if m.offer is not None and name in (m.result or {})["components"]
            ]
            made[name] = self._mean(shares)
        return made

    def _mean(self, shares: list[tuple[int, float]]) -> str:
        total = sum(weight for weight, _ in shares)
        mean = np.float64(0)
        for weight, value in shares:
            mean += weight / total * np.float64(np.float32(value))
        return self.keep(float(np.float32(mean)))
