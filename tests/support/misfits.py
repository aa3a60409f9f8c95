"""Ways in which a worker in the test's own process does not fit its job, and what it says then."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from pydantic import create_model

from shared.artifacts import ArtifactStore
from shared.messages import Claim, Message
from shared.model_spec import ModelSpec
from worker.artifacts import save_state, travelling
from worker.models.base import Base, load_base
from worker.models.network import Network, State

Misfit = Callable[[pytest.MonkeyPatch], None]


def with_another_base(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(spec: ModelSpec) -> Base:
        sizes = spec.random.model_copy(update={"seed": 7})
        return load_base(spec.model_copy(update={"random": sizes}))

    monkeypatch.setattr("worker.assignments.load_base", load)


def that_knows_fewer_components(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ValueError(name)

    monkeypatch.setattr("worker.artifacts.parse", refuse)


def with_other_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    def others(network: Network, component: str) -> dict[str, torch.Tensor]:
        return travelling(network, "head.digits" if component == "proj" else component)

    monkeypatch.setattr("worker.artifacts.travelling", others)


def that_sends_more_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(store: ArtifactStore, state: State) -> dict[str, str]:
        more = {name: {**tensors, "more": torch.zeros(1)} for name, tensors in state.items()}
        return save_state(store, more)

    monkeypatch.setattr("worker.assignments.save_state", save)


def that_names_tensors_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(store: ArtifactStore, state: State) -> dict[str, str]:
        other = {c: {n.upper(): t for n, t in tensors.items()} for c, tensors in state.items()}
        return save_state(store, other)

    monkeypatch.setattr("worker.assignments.save_state", save)


def that_cannot_read_a_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {n: (f.annotation, f) for n, f in Claim.model_fields.items() if n != "sizes"}
    # mypy cannot know the fields of a model that is made here
    older: Any = create_model("Claim", __base__=Message, **fields)  # type: ignore[call-overload]
    monkeypatch.setattr("shared.claim_reading.Claim", older)


_SEND = "or bring a worker of another version to the coordinator's."
MISFITS: Mapping[Misfit, tuple[str, str]] = {  # -> the code, and the sentence as an expression
    with_another_base: (
        "base_mismatch",
        (
            r"the base 'random' here has digest \w{64}, but the job names \w{64}: "
            "give this worker the same weights"
        ),
    ),
    that_knows_fewer_components: (
        "refused",
        "this worker knows no component '.*': bring it to the coordinator's version",
    ),
    with_other_tensors: (
        "refused",
        (
            r"\w{64} has other tensors than this network: "
            "bring this worker to the coordinator's version, and give it the same base"
        ),
    ),
    that_sends_more_tensors: (
        "refused",
        rf".* has \d+ bytes in the catalogue, not \d+: send exactly those, {_SEND}",
    ),
    that_names_tensors_otherwise: (
        "refused",
        "The header of .* is not the catalogue's: send exactly its tensors in the canonical form, "
        + _SEND,
    ),
    that_cannot_read_a_claim: (
        "refused",
        (
            r"this worker cannot read its claim \(sizes: Extra inputs are not permitted\): "
            "bring it to the coordinator's version"
        ),
    ),
}
