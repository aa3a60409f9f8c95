"""The grammar of component names, and which components a task uses.

A component is the smallest named set of tensors that is aggregated, replaced, sent or cached.
Names are dotted: `encoder.image`, `proj`, `block.mote.image`, `block.mome.shared`,
`domain.mote.image.0.news`, `mote.0.image.text_generation`, `mome.0.text_generation.shared`,
`head.cifar100`. This is the only parser of such names.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

SHARED = "shared"
NAME_PATTERN = r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?"
_NAME = re.compile(NAME_PATTERN)


class Modality(StrEnum):
    """What a task can read."""

    IMAGE = "image"
    TEXT = "text"


class TaskKind(StrEnum):
    """What a task produces.

    Visual question answering is text generation that reads image and text.
    """

    IMAGE_CLASSIFICATION = "image_classification"
    IMAGE_GENERATION = "image_generation"
    TEXT_CLASSIFICATION = "text_classification"
    TEXT_GENERATION = "text_generation"


STREAMS: frozenset[str] = frozenset({SHARED, *Modality})
BRANCHES: frozenset[str] = frozenset({SHARED, *TaskKind})


@dataclass(frozen=True, slots=True)
class Encoder:
    """Trainable tensors of one modality's encoder."""

    modality: str

    def __str__(self) -> str:
        return f"encoder.{self.modality}"


@dataclass(frozen=True, slots=True)
class Projection:
    """The projection from private to shared features."""

    def __str__(self) -> str:
        return "proj"


@dataclass(frozen=True, slots=True)
class MoteBlock:
    """Norms and attention of the mixture-of-task-experts layers of one stream."""

    stream: str

    def __str__(self) -> str:
        return f"block.mote.{self.stream}"


@dataclass(frozen=True, slots=True)
class MomeBlock:
    """Norms and attention of the mixture-of-modality-experts layers of one branch."""

    branch: str

    def __str__(self) -> str:
        return f"block.mome.{self.branch}"


@dataclass(frozen=True, slots=True)
class DomainExpert:
    """Low-rank change of queries and values for one data domain, in one MoTE layer."""

    stream: str
    layer: int
    domain: str

    def __str__(self) -> str:
        return f"domain.mote.{self.stream}.{self.layer}.{self.domain}"


@dataclass(frozen=True, slots=True)
class MoteExpert:
    """Feed-forward expert of a MoTE layer: stream first, then branch."""

    layer: int
    stream: str
    branch: str

    def __str__(self) -> str:
        return f"mote.{self.layer}.{self.stream}.{self.branch}"


@dataclass(frozen=True, slots=True)
class MomeExpert:
    """Feed-forward expert of a MoME layer: branch first, then stream."""

    layer: int
    branch: str
    stream: str

    def __str__(self) -> str:
        return f"mome.{self.layer}.{self.branch}.{self.stream}"


@dataclass(frozen=True, slots=True)
class Head:
    """The output head of one task."""

    task: str

    def __str__(self) -> str:
        return f"head.{self.task}"


Component = (
    Encoder | Projection | MoteBlock | MomeBlock | DomainExpert | MoteExpert | MomeExpert | Head
)


@dataclass(frozen=True, slots=True)
class Layers:
    """How many layers the MoTE and the MoME blocks have."""

    mote: int = 1
    mome: int = 1


def parse(name: str) -> Component:
    """The component of that name; `str(parse(name)) == name`.

    Raises ValueError with the reason when `name` is not in the grammar.
    """
    component = _match(name.split("."))
    if component is None or str(component) != name:
        raise ValueError(
            f"{name!r} is not a component; expected one of encoder.M, proj, block.mote.S, "
            "block.mome.B, domain.mote.S.LAYER.DOMAIN, mote.LAYER.S.B, mome.LAYER.B.S, head.TASK"
        )
    return component


def _match(parts: list[str]) -> Component | None:
    match parts:
        case ["encoder", modality] if modality in set(Modality):
            return Encoder(modality)
        case ["proj"]:
            return Projection()
        case ["block", "mote", stream] if stream in STREAMS:
            return MoteBlock(stream)
        case ["block", "mome", branch] if branch in BRANCHES:
            return MomeBlock(branch)
        case ["domain", "mote", stream, layer, domain] if stream in STREAMS:
            return DomainExpert(stream, int(layer), domain) if _is_layer(layer, domain) else None
        case ["mote", layer, stream, branch] if stream in STREAMS and branch in BRANCHES:
            return MoteExpert(int(layer), stream, branch) if _is_layer(layer) else None
        case ["mome", layer, branch, stream] if stream in STREAMS and branch in BRANCHES:
            return MomeExpert(int(layer), branch, stream) if _is_layer(layer) else None
        case ["head", task] if _NAME.fullmatch(task):
            return Head(task)
        case _:
            return None


def _is_layer(layer: str, domain: str = "x") -> bool:
    return layer.isascii() and layer.isdigit() and len(layer) < 4 and bool(_NAME.fullmatch(domain))


def task_components(
    task: str,
    kind: TaskKind,
    modalities: Collection[Modality],
    domains: Iterable[str],
    layers: Layers,
) -> frozenset[Component]:
    """C(o): the components that get a gradient from task o, and no others (ALGORITHM 2).

    The encoders of its modalities; the projection; the MoTE blocks and domain experts of those
    modalities and of `shared`; the MoME blocks of its kind and of `shared`; the experts
    (modality | shared) x (kind | shared); its head.
    """
    streams = [SHARED, *modalities]
    branches = [SHARED, kind]
    pairs = [(s, b) for s in streams for b in branches]
    return frozenset(
        [
            Projection(),
            Head(task),
            *(Encoder(m) for m in modalities),
            *(MoteBlock(s) for s in streams),
            *(MomeBlock(b) for b in branches),
            *(
                DomainExpert(s, layer, d)
                for s in streams
                for layer in range(layers.mote)
                for d in domains
            ),
            *(MoteExpert(layer, s, b) for s, b in pairs for layer in range(layers.mote)),
            *(MomeExpert(layer, b, s) for s, b in pairs for layer in range(layers.mome)),
        ]
    )
