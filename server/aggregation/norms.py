"""How far a contribution has moved a component, in constant memory."""

import hashlib
import math

import numpy as np

from server.aggregation.average import PIECE_VALUES, open_component
from shared.artifacts import ArtifactError, ArtifactStore
from shared.messages import ComponentSpec
from shared.tensor_file import component_layout


def change_norm(sha256: str, base: str, spec: ComponentSpec, store: ArtifactStore) -> float:
    """The L2 norm of a contribution less the artifact that it started from, in float64.

    Reads the contribution whole, and so notices damage: raises ArtifactError for bytes that are
    not what their name says.
    """
    layout = component_layout(spec)
    total = 0.0
    sha = hashlib.sha256(layout.header)
    with (
        open_component(store, sha256, layout) as changed,
        open_component(store, base, layout) as start,
    ):
        while piece := changed.read(4 * PIECE_VALUES):
            sha.update(piece)
            before = np.frombuffer(start.read(len(piece)), dtype="<f4").astype(np.float64)
            change = np.frombuffer(piece, dtype="<f4").astype(np.float64) - before
            total += float(np.dot(change, change))
    if sha.hexdigest() != sha256:
        raise ArtifactError(f"artifact {sha256} is damaged: restore it from a backup")
    return math.sqrt(total)
