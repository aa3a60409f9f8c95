"""Exporting: a client's model out of a job into a directory that needs neither job nor network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

from safetensors.torch import save_file

from shared.api_client import ApiClient
from shared.artifacts import file_digest
from shared.readiness import Card
from shared.results import Variant
from shared.takeaway import TakeawayView
from shared.transport import ApiError
from shared.whole_directory import TargetError, beside, check_target, drop, whole
from worker.artifacts import known
from worker.data.client_file import ClientFile
from worker.doctor.examine import Reading, examine
from worker.models.base import Base, load_base
from worker.models.network import Network
from worker.models.saving import save_base
from worker.personal_files import StateError
from worker.takeaway.card import Story, written
from worker.takeaway.form import (
    BASE,
    CARD,
    CONFIG,
    Config,
    NotThereError,
    TakeawayError,
    Weights,
    weights_file,
)
from worker.takeaway.gather import Disk, Gathered, Gathering, check_begun
from worker.takeaway.model import joined


@dataclass(frozen=True)
class Wish:
    """What is to be exported, and where to."""

    job: UUID
    out: Path
    variant: Variant | None = None  # the guarded, or else the newest personal one
    with_base: bool = True


@dataclass(frozen=True)
class Source:
    """Where it comes from: a client's data, its worker's directory, and the API with its key."""

    file: ClientFile
    work_dir: Path
    api: ApiClient


def export(
    wish: Wish, source: Source, before_writing: Callable[[Path], object] = lambda _: None
) -> Config:
    """Write the directory; `before_writing` is told where it lies until it is complete.

    Raises TakeawayError, ApiError, BaseError, StateError, ArtifactError, OSError.
    """
    try:
        check_target(wish.out)
    except TargetError as error:
        raise TakeawayError(str(error)) from error
    part = beside(wish.out)
    before_writing(part)
    with whole(part, wish.out) as directory:
        view, network, found = _gathered(wish, source, directory / "downloads")
        drop(directory / "downloads")
        card = _readiness(source.file, view, network.base)
        weights = _write_weights(network, found, directory)
        config = _config(view, network, found, source.file.client, weights)
        (directory / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
        if wish.with_base:
            save_base(network.base, directory / BASE)
        story = Story(config, view, card, found.models, with_base=wish.with_base)
        (directory / CARD).write_text(written(story), encoding="utf-8")
        directory.chmod(0o755)
    return config


def _gathered(wish: Wish, source: Source, scratch: Path) -> tuple[TakeawayView, Network, Gathered]:
    """The model of the state that the server knows; a job that goes on may replace it meanwhile."""
    view = _view(wish, source)
    while True:
        check_begun(view)
        network = _network(view)
        disk = Disk(source.work_dir, source.file.client)
        try:
            found = Gathering(source.api, disk, view, network, scratch).model(wish.variant)
        except StateError:
            again = _view(wish, source)
            if again.state_digest == view.state_digest:
                raise
            view = again
        else:
            return view, network, found


def _view(wish: Wish, source: Source) -> TakeawayView:
    """Raises NotThereError where the API knows no such job of the client, ApiError."""
    try:
        return source.api.takeaway(wish.job)
    except ApiError as error:
        if error.problem.status != HTTPStatus.NOT_FOUND:
            raise
        raise NotThereError(
            f"client {source.file.client} has no part in a job {wish.job} at {source.api.url}: "
            "check the id and the key"
        ) from error


def _network(view: TakeawayView) -> Network:
    spec = view.spec.read_with(view.tasks)
    base = load_base(spec.model.model_copy(update={"digest": view.base_digest}))
    return Network(spec, base, known(view.components))


def _readiness(file: ClientFile, view: TakeawayView, base: Base) -> Card:
    reading = Reading(base.tokenizer, view.spec.model.max_text_tokens)
    return examine(file, view.spec, reading)


def _write_weights(network: Network, found: Gathered, directory: Path) -> dict[Variant, Weights]:
    """A file for each model that answers a task."""
    weights = {}
    for variant, model in found.models.items():
        path = directory / weights_file(variant, found.models)
        network.load(model.state)
        save_file(joined(network.whole_state()), path, metadata={"format": "pt"})
        path.chmod(0o644)  # as the other files
        weights[variant] = Weights(file=path.name, sha256=file_digest(path))
    return weights


def _config(
    view: TakeawayView,
    network: Network,
    found: Gathered,
    client: str,
    weights: Mapping[Variant, Weights],
) -> Config:
    model = view.spec.model
    local = model.weights != "random" and (
        Path(model.weights).is_dir() or Path(model.weights).is_absolute()
    )
    return Config(
        job=view.job_id,
        client=client,
        variant=found.variant,
        model=model.model_copy(update={"weights": BASE, "digest": None}),
        precision=view.spec.training.precision,
        base=None if local else model.weights,
        base_digest=network.base.digest,
        weights=dict(weights),
        components=network.components,
        tasks=dict(found.tasks),
    )
