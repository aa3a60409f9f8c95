"""The personal side of a client: its models and losses, from and to its own disk."""

import json
from collections.abc import Container, Mapping
from pathlib import Path

from shared.messages import ComponentSpec
from worker.algorithm.method import NOBODY, Personal
from worker.artifacts import load_state, save_state
from worker.personal_files import PersonalFiles, PersonalManifest


class PersonalStore(PersonalFiles):
    """The personal states of one client in one job, as models."""

    def load(self, expected: str | None, specs: Mapping[str, ComponentSpec]) -> Personal:
        """The state with digest `expected`: what the server last accepted; None for none yet.

        Raises StateError when it is not here whole.
        """
        if expected is None:
            return NOBODY
        manifest = self.manifest(expected)
        models = {
            variant: load_state(self._paths(parts, specs), specs)
            for variant, parts in manifest.models.items()
        }
        self.promote(expected)  # which drops others: not before this one is known to be whole
        return Personal(models, manifest.losses, manifest.reads, manifest.chosen)

    def _paths(self, parts: Mapping[str, str], wanted: Container[str]) -> dict[str, Path]:
        """The files of the wanted components: a fork's first state may have others, too."""
        return {n: self.whole(sha) for n, sha in parts.items() if n in wanted}

    def save(self, personal: Personal) -> str:
        """Write a state beside the current one; returns its digest."""
        models = {v: save_state(self.store, state) for v, state in personal.models.items()}
        manifest = PersonalManifest(
            models=models,
            losses=dict(personal.losses),
            reads=dict(personal.reads),
            chosen=dict(personal.chosen),
        )
        # Not written where there is none: such a state has the digest that it always had.
        absent = set() if personal.chosen else {"chosen"}
        text = json.dumps(manifest.model_dump(mode="json", exclude=absent), sort_keys=True).encode()
        return self.store.write([text])  # over a damaged one, too
