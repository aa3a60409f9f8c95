"""Where the personal side of a client lies: its states in one job, on its own disk.

A personal state is a small manifest over component artifacts, like a version. The new one is
written beside the old one and becomes current only when the server has acknowledged the
assignment's report; until then a repeated assignment starts from the same state as the first.
"""

import os
from pathlib import Path

from shared.artifacts import ArtifactStore
from shared.job_spec import Sha256
from shared.messages import Message, Variant


class PersonalManifest(Message):
    """A personal state: component artifacts of each variant, and h_Z of each task."""

    models: dict[Variant, dict[str, Sha256]]
    losses: dict[str, float]


class PersonalFiles:
    """The personal states of one client in one job, as files below one directory."""

    def __init__(self, root: Path) -> None:
        self.store = ArtifactStore(root)
        self._pointer = root / "current"

    def manifest(self, sha256: str) -> PersonalManifest:
        """What a saved state consists of. Raises ArtifactError."""
        return PersonalManifest.model_validate_json(self.store.open_path(sha256).read_bytes())

    def holds(self, sha256: str) -> bool:
        """Whether a saved state is here with all its components."""
        if not self.store.has(sha256):
            return False
        parts = self.manifest(sha256).models.values()
        return not self.store.missing(sha for each in parts for sha in each.values())

    def promote(self, sha256: str) -> None:
        """Make a saved state the current one and drop what it does not hold."""
        if self._pointer.is_file() and self._pointer.read_text() == sha256:
            return
        part = self._pointer.with_suffix(".part")
        part.write_text(sha256)
        part.replace(self._pointer)
        self._collect(sha256)

    def _collect(self, current: str) -> None:
        parts = self.manifest(current).models.values()
        kept = {current, *(sha for each in parts for sha in each.values())}
        for directory, _, names in os.walk(self.store.root):
            for name in names:
                if len(name) == 64 and name not in kept:
                    (Path(directory) / name).unlink(missing_ok=True)
