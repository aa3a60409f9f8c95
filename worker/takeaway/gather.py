"""What of a client's model lies where: on its own disk, in the worker's cache, at the server."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore, file_digest
from shared.messages import ComponentSpec
from shared.results import Variant
from shared.takeaway import TakeawayView
from worker.artifacts import keeps_factors, load_server_state, load_state, network_specs
from worker.models.network import Network, State
from worker.personal_files import PersonalFiles, StateError
from worker.takeaway.form import NEWEST, TakeawayError, one_of


@dataclass(frozen=True)
class Gathered:
    """A model of the client, whole."""

    variant: Variant
    artifacts: Mapping[str, str]  # component -> sha256
    state: State


@dataclass(frozen=True)
class Disk:
    """What a worker keeps of one client, which is only read here: the worker may be running."""

    work_dir: Path
    client: str

    def personal(self, sha256: str, job: UUID, wanted: Container[str]) -> PersonalFiles:
        """Where the state of that digest is with all components that are wanted.

        A fork's first one lies with its parent. Raises StateError when it is not here.
        """
        root = self.work_dir / "personal" / self.client
        for directory in sorted(root.glob("*"), key=lambda path: path.name != str(job)):
            files = PersonalFiles(directory)
            if files.holds(sha256, wanted):
                return files
        raise StateError(
            f"personal state {sha256[:12]} of client {self.client} is not whole below "
            f"{self.work_dir}: name the directory that the client's worker keeps by --work-dir, or "
            "restore it from a backup"
        )

    def cached(self, sha256: str) -> Path | None:
        """An artifact of the server's that is whole in the worker's cache."""
        path = self.work_dir / "cache" / sha256[:2] / sha256
        return path if path.is_file() and file_digest(path) == sha256 else None


@dataclass(frozen=True)
class Gathering:
    """Collects a model; `scratch` is where downloads lie meanwhile."""

    api: ApiClient
    disk: Disk
    view: TakeawayView
    network: Network  # of the components that the client uses
    scratch: Path

    @property
    def specs(self) -> Mapping[str, ComponentSpec]:
        """What the network needs of each component."""
        return network_specs(self.network, self.network.components)

    def model(self, wanted: Variant | None) -> Gathered:
        """The variant, by default the newest personal one.

        Raises TakeawayError, StateError, ArtifactError, ApiError.
        """
        if wanted is Variant.ENGAGED and not keeps_factors(self.network.spec):
            return self._completed(Variant.ENGAGED, {}, {})
        files, models = self._states()
        variant: Variant | None = wanted
        if variant is None:
            variant = next((each for each in NEWEST if each in models), None)
        if variant is None or variant not in models:
            raise TakeawayError(self._lacks(variant, models))
        parts = {name: sha for name, sha in models[variant].items() if name in self.specs}
        return self._completed(variant, parts, {sha: files[sha] for sha in parts.values()})

    def _states(self) -> tuple[dict[str, Path], Mapping[Variant, Mapping[str, str]]]:
        digest = self.view.state_digest
        if digest is None:
            return {}, {}
        files = self.disk.personal(digest, self.view.job_id, self.specs)
        models = files.manifest(digest).models
        named = {sha for parts in models.values() for sha in parts.values()}
        return {sha: files.store.path(sha) for sha in named}, models

    def _lacks(self, variant: Variant | None, models: Mapping[Variant, object]) -> str:
        what = "personal model" if variant is None else f"{variant} model"
        there = one_of([*models, Variant.ENGAGED])
        return (
            f"client {self.disk.client} has no {what} in this job, which is {self.view.state}: "
            f"wait for it, or pass --variant {there}"
        )

    def _completed(
        self, variant: Variant, parts: Mapping[str, str], paths: Mapping[str, Path]
    ) -> Gathered:
        """With the server's components for those that the personal model never had."""
        specs = self.specs
        lacking = sorted(set(specs) - set(parts))
        artifacts = {**parts, **{name: self.view.manifest[name].sha256 for name in lacking}}
        places = {**paths, **self._fetched(lacking)}
        own, servers = (
            {name: places[artifacts[name]] for name in names} for names in (parts, lacking)
        )
        try:
            for sha256, path in paths.items():
                _check(path, sha256)
            state = {**load_state(own, specs), **load_server_state(servers, self.network)}
            return Gathered(variant, artifacts, state)
        except FileNotFoundError as error:  # a worker that runs drops what is old
            raise StateError(f"{error.filename} is missing: restore it from a backup") from error

    def _fetched(self, names: list[str]) -> dict[str, Path]:
        """The server's artifacts, out of the cache as far as they are there."""
        wanted = {self.view.manifest[name].sha256: self.view.manifest[name] for name in names}
        found = {sha: path for sha in wanted if (path := self.disk.cached(sha)) is not None}
        store = ArtifactStore(self.scratch, durable=False)

        def keep(sha256: str, chunks: Iterator[bytes]) -> None:
            store.write(chunks, sha256)

        self.api.download({s: part.n_bytes for s, part in wanted.items() if s not in found}, keep)
        return {sha256: found.get(sha256) or store.path(sha256) for sha256 in wanted}


def _check(path: Path, sha256: str) -> None:
    if file_digest(path) != sha256:
        raise StateError(f"{path} is damaged: restore it from a backup")


def check_begun(view: TakeawayView) -> None:
    """Raises TakeawayError while the job has nothing of the client's."""
    if not view.components or view.version is None:
        raise TakeawayError(
            f"the job is {view.state} and has asked nothing of this client yet: export when it has"
        )
