"""The network of a client: a flat set of parts, one for each component that it uses.

A model (engaged, personal, teacher) is a `State`: the tensors of its components. The network is the
one place where a state is put to work, so that any number of models share one frozen base.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.components import (
    SHARED,
    Component,
    DomainExpert,
    Encoder,
    Head,
    Modality,
    MomeBlock,
    MomeExpert,
    MoteBlock,
    MoteExpert,
    Projection,
)
from shared.job_spec import JobSpec
from shared.low_rank import pairs
from worker.models.base import Base
from worker.models.blocks import NO_DOMAINS, Domains, all_tokens, masked_mean
from worker.models.heads import Features, TextHead, TextTokens, join
from worker.models.parts import make_part, tensors
from worker.models.precision import autocast

State = Mapping[str, Mapping[str, Tensor]]  # component -> tensor name -> values


@dataclass(frozen=True)
class Batch:
    """Samples of one task; only what the task reads is there."""

    images: Tensor | None  # (B, 3, H, W) uint8
    tokens: Tensor | None  # (B, S) token ids, padded
    labels: Tensor | None  # (B,)
    targets: Tensor | None  # (B, T) token ids from start to end, padded
    domains: Tensor  # (B,) index into the task's domains

    def __len__(self) -> int:
        return len(self.domains)

    def to(self, device: torch.device) -> "Batch":
        """The same samples on a device."""
        return self._each(lambda values: values.to(device))

    def part(self, rows: slice) -> "Batch":
        """Some of the samples."""
        return self._each(lambda values: values[rows])

    def _each(self, make: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(
            images=None if self.images is None else make(self.images),
            tokens=None if self.tokens is None else make(self.tokens),
            labels=None if self.labels is None else make(self.labels),
            targets=None if self.targets is None else make(self.targets),
            domains=make(self.domains),
        )


class Network(nn.Module):
    """Parts for the given components on one base."""

    image_mean: Tensor  # (3, 1, 1)
    image_std: Tensor  # (3, 1, 1)

    def __init__(self, spec: JobSpec, base: Base, components: Iterable[Component]) -> None:
        super().__init__()
        self.spec = spec
        self.base = base
        self.parts = nn.ModuleDict(
            {_key(str(c)): make_part(c, spec, base) for c in sorted(components, key=str)}
        )
        self.register_buffer("image_mean", base.image_mean, persistent=False)
        self.register_buffer("image_std", base.image_std, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the network computes; states stay on the CPU."""
        return self.image_mean.device

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the components, sorted."""
        return tuple(_name(key) for key in self.parts)

    def part(self, component: str) -> nn.Module:
        """The module of a component. Raises KeyError for one that is not here."""
        return self.parts[_key(component)]

    def tensors(self, component: str) -> dict[str, nn.Parameter]:
        """The trainable tensors of a component. Raises KeyError for one that is not here."""
        return tensors(self.part(component))

    @property
    def trainable(self) -> list[nn.Parameter]:
        """All trainable tensors, by component and in each component's own order."""
        return [p for name in self.components for p in self.tensors(name).values()]

    def state(self) -> dict[str, dict[str, Tensor]]:
        """A copy of all trainable tensors, on the CPU."""
        return {
            name: {t: p.detach().to("cpu", copy=True) for t, p in self.tensors(name).items()}
            for name in self.components
        }

    def whole_state(self) -> State:
        """The state with the factors that stay as the seed made them: what needs no job's seed."""
        parts = {name: dict(self.part(name).named_parameters()) for name in self.components}
        made = {
            name: {a: tensors[a].detach().cpu() for a, _ in pairs(tensors)}
            for name, tensors in parts.items()
        }
        return {name: {**made[name], **tensors} for name, tensors in self.state().items()}

    def load(self, state: State) -> None:
        """Take over a state. Raises ValueError, naming them, if tensors lack or are too many."""
        problems = [*_differences("component", self.components, state)]
        for name in set(self.components) & set(state):
            problems += _differences(f"tensor of {name}", self.tensors(name), state[name])
        if problems:
            raise ValueError(f"the state does not fit the network: {'; '.join(sorted(problems))}")
        with torch.no_grad():
            for name in self.components:
                for tensor, parameter in self.tensors(name).items():
                    parameter.copy_(_of_shape(state[name][tensor], parameter, name, tensor))

    def forward(self, task: str, batch: Batch) -> Tensor:
        """The task's outputs: logits (B, C), images (B, 3, 64, 64), token logits (B, T - 1, V).

        They are float32, in whatever the network computes.
        """
        with self._precision():
            return self._outputs(task, self.features(task, batch), batch).float()

    def _precision(self) -> torch.autocast:
        return autocast(self.spec.training.precision, self.device)

    def _outputs(self, task: str, features: Features, batch: Batch) -> Tensor:
        head = self.parts[_key(str(Head(task)))]
        if isinstance(head, TextHead):
            assert batch.targets is not None, "a text task has targets"  # noqa: S101 - for mypy
            return head(features, batch.targets[:, :-1])  # type: ignore[no-any-return]
        return head(features)  # type: ignore[no-any-return]  # ModuleDict loses the type

    def generate(self, task: str, batch: Batch, beams: int = 1) -> Tensor:
        """Generated token ids of a text generation task. (B, T) from the start token on."""
        with self._precision():
            return self._generated(task, self.features(task, batch), beams)

    def read_and_write(self, task: str, batch: Batch) -> tuple[Tensor, Tensor]:
        """What `forward` and `generate` give of a batch, which is read once for both."""
        with self._precision():
            features = self.features(task, batch)
            logits = self._outputs(task, features, batch).float()
            return logits, self._generated(task, features, beams=1)

    def _generated(self, task: str, features: Features, beams: int) -> Tensor:
        head = self.parts[_key(str(Head(task)))]
        if not isinstance(head, TextHead):
            raise TypeError(f"task {task!r} does not generate text")
        words = self.base.tokenizer
        tokens = TextTokens(words.start_id, words.end_id, words.pad_id)
        return head.generate(features, tokens, beams)

    def features(self, task: str, batch: Batch) -> Features:
        """Four streams for each modality, through their blocks; their mean is the feature."""
        pooled, sequences = [], []
        for modality in self.spec.tasks[task].modalities:
            x, mask = self._encode(modality, batch)
            streams = self._streams(task, modality, x, mask, batch)
            pooled += [masked_mean(stream, mask) for stream in streams]
            sequences.append((torch.stack(streams).mean(0), mask))
        return join(torch.stack(pooled).mean(0), sequences)

    def _encode(self, modality: Modality, batch: Batch) -> tuple[Tensor, Tensor]:
        """A modality's token features (B, S, D) and their mask (B, S)."""
        encoder = self.parts[_key(str(Encoder(modality)))]
        match modality:
            case Modality.IMAGE:
                assert batch.images is not None, "the task reads images"  # noqa: S101 - for mypy
                pixels = (batch.images / 255 - self.image_mean) / self.image_std
                x = self.base.backbone.encode_image(encoder, pixels)
                return x, all_tokens(x)
            case Modality.TEXT:
                assert batch.tokens is not None, "the task reads texts"  # noqa: S101 - for mypy
                mask = batch.tokens != self.base.tokenizer.pad_id
                return self.base.backbone.encode_text(encoder, batch.tokens, mask), mask

    def _streams(
        self, task: str, modality: Modality, x: Tensor, mask: Tensor, batch: Batch
    ) -> list[Tensor]:
        """(shared | modality) x (shared | kind), each MoTE, then MoME block. (B, S, D) each."""
        branches = (SHARED, self.spec.tasks[task].kind)
        sources = {SHARED: self._part(Projection())(x), modality: x}
        depth = self.spec.model.layers
        halfway = {}
        for stream, source in sources.items():
            experts = [
                [self._part(MoteExpert(i, stream, branch)) for branch in branches]
                for i in range(depth.mote)
            ]
            domains = [self._domains(task, stream, i, batch) for i in range(depth.mote)]
            halfway[stream] = self._part(MoteBlock(stream))([source], mask, experts, domains)
        done: list[Tensor] = []
        for position, branch in enumerate(branches):
            experts = [
                [self._part(MomeExpert(i, branch, stream)) for stream in sources]
                for i in range(depth.mome)
            ]
            paths = [halfway[stream][position] for stream in sources]
            done += self._part(MomeBlock(branch))(paths, mask, experts, [NO_DOMAINS] * depth.mome)
        return done

    def _domains(self, task: str, stream: str, layer: int, batch: Batch) -> Domains:
        """The domain experts that the batch needs."""
        names = self.spec.tasks[task].domains
        present: list[int] = batch.domains.unique().tolist()
        experts = {i: self._part(DomainExpert(stream, layer, names[i])) for i in present}
        return Domains(batch.domains, experts)

    def _part(self, component: Component) -> nn.Module:
        return self.parts[_key(str(component))]


def image_targets(images: Tensor, size: int) -> Tensor:
    """Images as a generating head should give them: from 0 to 1. (B, 3, size, size)"""
    return functional.interpolate(images / 255, size=(size, size), mode="area")


def _key(component: str) -> str:
    """A component's name as a module's: torch allows no dots there."""
    return component.replace(".", "/")


def _name(key: str) -> str:
    return key.replace("/", ".")


def _differences(what: str, expected: Iterable[str], given: Iterable[str]) -> list[str]:
    lacking, extra = set(expected) - set(given), set(given) - set(expected)
    return [f"{what} {n!r} is missing" for n in lacking] + [f"{what} {n!r} is extra" for n in extra]


def _of_shape(value: Tensor, parameter: Tensor, component: str, name: str) -> Tensor:
    if value.shape != parameter.shape:
        raise ValueError(
            f"tensor {name!r} of {component} has shape {tuple(value.shape)}, "
            f"the network needs {tuple(parameter.shape)}"
        )
    return value
