"""Where the personal side of a client lies: its states in one job, on its own disk.

A personal state is a small manifest over component artifacts, like a version. The new one is
written beside the old one and becomes current only when the server has acknowledged the
assignment's report; until then a repeated assignment starts from the same state as the first.
Older ones are kept within a budget of bytes, for forks that begin with one of them.
"""

import os
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from shared.artifacts import ArtifactError, ArtifactStore, file_digest
from shared.components import Modality
from shared.messages import Message
from shared.results import Variant
from shared.spec import Sha256

KEPT_BYTES = 4 << 30
_MOST_KEPT = 100  # of one job: promoting looks through all of them
FRESH = "let the clients begin anew with tapestry fork JOB --round N --spec FILE --fresh"
REMEDY = f"restore it from a backup, or {FRESH}"


class StateError(Exception):
    """The personal state that the server knows is not here, or is damaged."""


class PersonalManifest(Message):
    """A personal state: component artifacts of each variant, and h_Z of each task.

    reads: what each task read when its h_Z was measured; the whole of it in older states.
    chosen: which model the guard keeps for each task; nothing in states without one.
    """

    models: dict[Variant, dict[str, Sha256]]
    losses: dict[str, float]
    reads: dict[str, tuple[Modality, ...]] = Field(default_factory=dict)
    chosen: dict[str, Variant] = Field(default_factory=dict)


class PersonalFiles:
    """The personal states of one client in one job, as files below one directory.

    The file `current` names those that the server has accepted, the newest first.
    """

    def __init__(self, root: Path, kept_bytes: int = KEPT_BYTES) -> None:
        self.store = ArtifactStore(root)
        self._pointer = root / "current"
        self._kept_bytes = kept_bytes

    def manifest(self, sha256: str) -> PersonalManifest:
        """What a saved state consists of. Raises StateError."""
        path = self.whole(sha256)
        try:
            return PersonalManifest.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise StateError(f"{path} is no personal state of this version: {REMEDY}") from error

    def whole(self, sha256: str) -> Path:
        """The file of a saved state that must be here, undamaged. Raises StateError."""
        path = self.store.path(sha256)
        if not path.is_file():
            raise StateError(f"{path} of the client's personal state is missing: {REMEDY}")
        if file_digest(path) != sha256:
            raise StateError(f"{path} of the client's personal state is damaged: {REMEDY}")
        return path

    def holds(self, sha256: str, wanted: Container[str] | None = None) -> bool:
        """Whether a saved state is here with all its components, or with those that are wanted."""
        try:
            return not self.store.missing(self.parts(sha256, wanted))
        except StateError:
            return False

    def files(self, sha256: str, wanted: Container[str]) -> dict[str, Path]:
        """The files of a state with the wanted ones of its components; its manifest is the last."""
        return {each: self.store.open_path(each) for each in (*self.parts(sha256, wanted), sha256)}

    def adopt(self, files: Mapping[str, Path]) -> None:
        """Copy another job's state, given by its files. Raises StateError when one is damaged."""
        for sha256, path in files.items():
            try:
                self.store.write([path.read_bytes()], sha256)
            except ArtifactError as error:
                raise StateError(f"{path} is damaged: {REMEDY}") from error

    def promote(self, sha256: str) -> None:
        """Make a saved state the current one, and drop what is not kept any more.

        Raises StateError, with nothing dropped, when its manifest is damaged.
        """
        accepted = self.accepted()
        if accepted[:1] == [sha256]:
            return
        kept = self._within_budget([sha256, *(each for each in accepted if each != sha256)])
        self._point(kept)
        self._collect(set[str]().union(*kept.values()))

    def accepted(self) -> list[str]:
        """The states that the server has accepted and that are kept, the newest first."""
        return self._pointer.read_text().split() if self._pointer.is_file() else []

    def accept(self, states: Iterable[str]) -> None:
        """Keep saved states that the server has accepted once, behind those that are here."""
        self._point(list(dict.fromkeys([*self.accepted(), *states])))

    def _point(self, states: Iterable[str]) -> None:
        part = self._pointer.with_suffix(".part")
        part.write_text("\n".join(states))
        part.replace(self._pointer)

    def _within_budget(self, accepted: list[str]) -> dict[str, set[str]]:
        """The newest states, and the files that each adds; the first one however large it is."""
        self.manifest(accepted[0])
        files, n_bytes = self._present(accepted[0]), 0
        kept = {accepted[0]: set(files)}
        for sha256 in filter(self.store.has, accepted[1:_MOST_KEPT]):
            new = self._present(sha256) - files
            n_bytes += sum(self.store.path(each).stat().st_size for each in new)
            if n_bytes > self._kept_bytes:
                break
            kept[sha256] = new
            files |= new
        return kept

    def _present(self, sha256: str) -> set[str]:
        """The state's files that are here: an adopted one may name more, a damaged one nothing."""
        try:
            return {sha256, *filter(self.store.has, self.parts(sha256))}
        except StateError:
            return {sha256}

    def parts(self, sha256: str, wanted: Container[str] | None = None) -> list[str]:
        """The artifacts of the state's components, or of wanted ones. Raises StateError."""
        return [
            artifact
            for parts in self.manifest(sha256).models.values()
            for name, artifact in parts.items()
            if wanted is None or name in wanted
        ]

    def _collect(self, kept: Container[str]) -> None:
        for directory, _, names in os.walk(self.store.root):
            for name in names:
                if len(name) == 64 and name not in kept:
                    (Path(directory) / name).unlink(missing_ok=True)
