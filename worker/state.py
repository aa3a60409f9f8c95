"""The personal side of a client: its models and losses, from and to its own disk."""

import json
from collections.abc import Container, Mapping
from pathlib import Path

from shared.artifacts import digest
from shared.messages import ComponentSpec
from worker.algorithm.stages import NOBODY, Personal
from worker.artifacts import load_state, save_state
from worker.personal_files import PersonalFiles, PersonalManifest, StateError


class PersonalStore(PersonalFiles):
    """The personal states of one client in one job, as models."""

    def load(self, expected: str | None, specs: Mapping[str, ComponentSpec]) -> Personal:
        """The state with digest `expected`: what the server last accepted; None for none yet.

        Raises StateError when it is not here.
        """
        if expected is None:
            return NOBODY
        if not self.store.has(expected):
            raise StateError(
                f"the server knows personal state {expected[:12]}, which is not in "
                f"{self.store.root}: restore the directory from a backup, or start the job anew"
            )
        self.promote(expected)
        manifest = self.manifest(expected)
        models = {
            variant: load_state(self._paths(parts, specs), specs)
            for variant, parts in manifest.models.items()
        }
        return Personal(models, manifest.losses)

    def _paths(self, parts: Mapping[str, str], wanted: Container[str]) -> dict[str, Path]:
        """The files of the wanted components: a fork's first state may have others, too."""
        return {n: self.store.open_path(sha) for n, sha in parts.items() if n in wanted}

    def save(self, personal: Personal) -> str:
        """Write a state beside the current one; returns its digest."""
        models = {v: save_state(self.store, state) for v, state in personal.models.items()}
        manifest = PersonalManifest(models=models, losses=dict(personal.losses))
        text = json.dumps(manifest.model_dump(mode="json"), sort_keys=True).encode()
        sha = digest([text])
        return sha if self.store.has(sha) else self.store.write([text])
