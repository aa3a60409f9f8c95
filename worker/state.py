"""The personal side of a client: its models and losses, kept on its own disk.

A personal state is a small manifest over component artifacts, like a version. The new one is
written beside the old one and becomes current only when the server has acknowledged the
assignment's report; until then a repeated assignment starts from the same state as the first.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from shared.artifacts import ArtifactStore, digest
from shared.job_spec import Sha256
from shared.messages import ComponentSpec, Message, Variant
from worker.algorithm.stages import NOBODY, Personal
from worker.artifacts import load_state, save_state


class StateError(Exception):
    """The personal state here is not the one that the server knows."""


class PersonalManifest(Message):
    """A personal state: component artifacts of each variant, and h_Z of each task."""

    models: dict[Variant, dict[str, Sha256]]
    losses: dict[str, float]


class PersonalStore:
    """The personal states of one client in one job, below one directory."""

    def __init__(self, root: Path) -> None:
        self._store = ArtifactStore(root)
        self._pointer = root / "current"

    def load(self, expected: str | None, specs: Mapping[str, ComponentSpec]) -> Personal:
        """The state with digest `expected`: what the server last accepted; None for none yet.

        Raises StateError when it is not here.
        """
        if expected is None:
            return NOBODY
        if not self._store.has(expected):
            raise StateError(
                f"the server knows personal state {expected[:12]}, which is not in "
                f"{self._store.root}: restore the directory from a backup, or start the job anew"
            )
        self.promote(expected)
        manifest = self._manifest(expected)
        models = {
            variant: load_state({n: self._store.open_path(s) for n, s in parts.items()}, specs)
            for variant, parts in manifest.models.items()
        }
        return Personal(models, manifest.losses)

    def save(self, personal: Personal) -> str:
        """Write a state beside the current one; returns its digest."""
        models = {v: save_state(self._store, state) for v, state in personal.models.items()}
        manifest = PersonalManifest(models=models, losses=dict(personal.losses))
        text = json.dumps(manifest.model_dump(mode="json"), sort_keys=True).encode()
        sha = digest([text])
        return sha if self._store.has(sha) else self._store.write([text])

    def holds(self, sha256: str) -> bool:
        """Whether a saved state is here with all its components."""
        if not self._store.has(sha256):
            return False
        parts = self._manifest(sha256).models.values()
        return not self._store.missing(sha for each in parts for sha in each.values())

    def promote(self, sha256: str) -> None:
        """Make a saved state the current one and drop what it does not hold."""
        if self._pointer.is_file() and self._pointer.read_text() == sha256:
            return
        part = self._pointer.with_suffix(".part")
        part.write_text(sha256)
        part.replace(self._pointer)
        self._collect(sha256)

    def _manifest(self, sha256: str) -> PersonalManifest:
        return PersonalManifest.model_validate_json(self._store.open_path(sha256).read_bytes())

    def _collect(self, current: str) -> None:
        manifest = self._manifest(current)
        kept = {current, *(sha for parts in manifest.models.values() for sha in parts.values())}
        for directory, _, names in os.walk(self._store.root):
            for name in names:
                if len(name) == 64 and name not in kept:
                    (Path(directory) / name).unlink(missing_ok=True)
