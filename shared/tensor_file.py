"""The bytes of one component: a safetensors file in one canonical form.

Same tensors, same bytes, same sha256. The header is a pure function of names and shapes, so a
reader that knows a component's spec need not parse what it received: it compares.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from shared.messages import ComponentSpec, TensorSpec


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each tensor lies in a component's file."""

    header: bytes
    offsets: Mapping[str, int]  # bytes from the start of the file, in file order
    n_bytes: int


def layout(tensors: Mapping[str, TensorSpec]) -> Layout:
    """The canonical file layout: tensors sorted by name, header padded to 8 bytes with spaces."""
    entries: dict[str, object] = {}
    ends: dict[str, int] = {}
    position = 0
    for name in sorted(tensors):
        end = position + tensors[name].n_bytes
        entries[name] = {
            "dtype": tensors[name].dtype,
            "shape": list(tensors[name].shape),
            "data_offsets": [position, end],
        }
        ends[name] = position
        position = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    header = struct.pack("<Q", len(text)) + text
    return Layout(
        header, {n: len(header) + start for n, start in ends.items()}, len(header) + position
    )


def component_layout(spec: ComponentSpec) -> Layout:
    """The file layout of one component of a catalogue."""
    return layout(spec.tensors)
