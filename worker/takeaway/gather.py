"""What of a client's model lies where: on its own disk, in the worker's cache, at the server."""

from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from shared.algorithms.tap import TapOptions
from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore, file_digest
from shared.messages import ComponentSpec
from shared.results import Variant
from shared.takeaway import TakeawayView
from worker.artifacts import keeps_factors, load_server_state, load_state, network_specs
from worker.models.network import Network, State
from worker.personal_files import PersonalFiles, StateError
from worker.takeaway.form import NEWEST, NotThereError, TakenTask, one_of, taken_tasks


@dataclass(frozen=True)
class Whole:
    """One model of the client with all its components."""

    artifacts: Mapping[str, str]  # component -> sha256
    state: State


@dataclass(frozen=True)
class Gathered:
    """What is taken away: the tasks, and the models that answer them."""

    variant: Variant
    tasks: Mapping[str, TakenTask]
    models: Mapping[Variant, Whole]


@dataclass(frozen=True)
class Kept:
    """The client's personal state on its disk, and where its artifacts are by their digest."""

    models: Mapping[Variant, Mapping[str, str]]  # component -> sha256
    chosen: Mapping[str, Variant] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What can be taken of it."""
        return (*self.models, Variant.GUARDED) if self.chosen else tuple(self.models)

    def answering(self, task: str, variant: Variant) -> Variant:
        """The model of a task: a guarded one's choice, or the newest where it had none to make."""
        if variant is not Variant.GUARDED:
            return variant
        return self.chosen.get(task) or next(each for each in NEWEST if each in self.models)


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
        """The variant, by default the guarded or else the newest personal one.

        Raises NotThereError, StateError, ArtifactError, ApiError.
        """
        kept = self._kept(wanted)
        variant = wanted or next((each for each in NEWEST if each in kept.variants), None)
        if variant is None or variant not in kept.variants:
            raise NotThereError(self._lacks(variant, kept.variants))
        spec, components = self.network.spec, self.network.components
        tasks = taken_tasks(spec, components, lambda task: kept.answering(task, variant))
        answering = sorted({taken.variant for taken in tasks.values()})
        return Gathered(variant, tasks, {each: self._whole(each, kept) for each in answering})

    def _kept(self, wanted: Variant | None) -> Kept:
        digest = self.view.state_digest
        if wanted is Variant.ENGAGED and not keeps_factors(self.network.spec):
            return Kept({Variant.ENGAGED: {}})
        if digest is None:
            return Kept({})
        files = self.disk.personal(digest, self.view.job_id, self.specs)
        manifest = files.manifest(digest)
        named = {sha for parts in manifest.models.values() for sha in parts.values()}
        paths = {sha: files.store.path(sha) for sha in named}
        return Kept(manifest.models, manifest.chosen, paths)

    def _lacks(self, variant: Variant | None, there: Collection[Variant]) -> str:
        what = "personal model" if variant is None else f"{variant} model"
        algorithm = self.view.spec.algorithm
        guarded = isinstance(algorithm, TapOptions) and algorithm.guard
        others = one_of({*there, Variant.ENGAGED})
        remedy = f"wait for it, or pass --variant {others}"
        if variant is Variant.GUARDED and not guarded:
            remedy = f"pass --variant {others}, or run a job of algorithm tap with guard: true"
        return (
            f"client {self.disk.client} has no {what} in this job, which is {self.view.state}: "
            f"{remedy}"
        )

    def _whole(self, variant: Variant, kept: Kept) -> Whole:
        """With the server's components for those that the personal model never had."""
        specs = self.specs
        parts = {name: sha for name, sha in kept.models[variant].items() if name in specs}
        paths = {sha: kept.paths[sha] for sha in parts.values()}
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
            return Whole(artifacts, state)
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
    """Raises NotThereError while the job has nothing of the client's."""
    if not view.components or view.version is None:
        raise NotThereError(
            f"the job is {view.state} and has asked nothing of this client yet: export when it has"
        )
