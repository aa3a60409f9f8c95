"""What a planner said of a job's components: their sizes, and which would be the same bytes."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.dry_run import DryRunDescription, Size
from shared.low_rank import pairs
from shared.messages import ComponentSpec
from shared.tensor_file import component_layout


@dataclass(frozen=True)
class Described:
    """A planner's description, asked for sizes."""

    description: DryRunDescription
    sizes: dict[str, Size]

    @classmethod
    def of(cls, description: DryRunDescription) -> "Described":
        """Measure each component."""
        specs = description.catalogue.components
        return cls(description, {name: _size(spec) for name, spec in specs.items()})

    @property
    def base_digest(self) -> str:
        """The frozen base that the components stand on."""
        return self.description.catalogue.base_digest

    def whole(self, components: Iterable[str]) -> Size:
        """All of them together."""
        found = [self.sizes[name] for name in components]
        return Size(
            n_values=sum(size.n_values for size in found),
            n_bytes=sum(size.n_bytes for size in found),
            frozen_bytes=sum(size.frozen_bytes for size in found),
        )

    def begin_bytes(self, components: Iterable[str]) -> int:
        """Of their files in version 0, where the same bytes are one artifact."""
        version = self.description.version
        return sum({version[name]: self.sizes[name].n_bytes for name in components}.values())

    def has_pairs(self, component: str) -> bool:
        """Whether it has low-rank pairs."""
        return any(pairs(self.description.catalogue.components[component].tensors))


def _size(spec: ComponentSpec) -> Size:
    return Size(
        n_values=sum(tensor.n_values for tensor in spec.tensors.values()),
        n_bytes=component_layout(spec).n_bytes,
        frozen_bytes=spec.frozen_bytes,
    )


def state_bytes(size: Size) -> int:
    """Of a full state dict: trainable values in float32, and the frozen weights."""
    return 4 * size.n_values + size.frozen_bytes
