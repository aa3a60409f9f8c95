"""A client with every kind of task whose model is trained and lies on its disk, and what of it the
API would say."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from shared.reports import ReplacementRow, ReportRow
from shared.results import Decision, TaskScore, Variant
from shared.states import JobState
from shared.takeaway import TakeawayView, TakenComponent
from tests.support import federation, small
from worker.algorithm.distillation import taught_by
from worker.algorithm.method import Personal
from worker.artifacts import save_state
from worker.data.client_file import ClientFile
from worker.data.loader import Decoding, TaskData, load_task
from worker.models.base import Base, load_base
from worker.models.network import Network, State
from worker.state import PersonalStore
from worker.takeaway.export import Source, Wish
from worker.training.loop import Rule
from worker.training.trainer import Trainer

JOB = UUID(int=41)
TASKS = tuple(small.SPEC["tasks"])


class Answers(ApiClient):
    """The API's answers to a client, with no server behind them."""

    def __init__(self, view: TakeawayView, server: ArtifactStore) -> None:
        super().__init__("http://nowhere.invalid", "none")
        self.view = view
        self.server = server
        self.downloaded: list[str] = []

    def takeaway(self, job: UUID | str) -> TakeawayView:
        assert str(job) == str(self.view.job_id)
        return self.view

    def download(
        self, sizes: Mapping[str, int], keep: Callable[[str, Iterator[bytes]], None]
    ) -> None:
        for sha256 in sizes:
            self.downloaded.append(sha256)
            keep(sha256, iter([self.server.path(sha256).read_bytes()]))


@dataclass(frozen=True)
class Home:
    """A client's machine after a job."""

    spec: JobSpec
    file: ClientFile
    work_dir: Path
    api: Answers
    network: Network
    data: Mapping[str, TaskData]
    models: Mapping[Variant, State]

    @property
    def source(self) -> Source:
        return Source(self.file, self.work_dir, self.api)

    def loaded(self, variant: Variant = Variant.DISTILLED) -> Network:
        """The network of training with a variant's state, in evaluation mode."""
        self.network.load(self.models[variant])
        return self.network.eval()

    def wish(self, out: Path, **more: Any) -> Wish:
        return Wish(JOB, out, **more)

    def view_again(self, **changes: Any) -> None:
        """From now on the API answers otherwise."""
        self.api.view = self.api.view.model_copy(update=changes)


def home(root: Path, spec: JobSpec, chosen: Mapping[str, Variant] | None = None) -> Home:
    """Train a client of all the spec's tasks a little, and lay its states down as a worker does.

    chosen: what a guard has kept for each task.
    """
    chosen = chosen or {}
    [path] = federation.write(root / "clients", {"c01": tuple(spec.tasks)})
    file = ClientFile.read(path)
    base = load_base(spec.model)
    network = small.network(spec)
    data = decoded(file, spec, base)
    start = network.state()
    trainer = Trainer("c01", spec, network, data)
    models = {
        Variant.PERSONAL: trainer.local_steps(start, 1, "personal")[0],
        Variant.POST_TRAINED: trainer.post_steps(start)[0],
    }
    models[Variant.DISTILLED] = trainer.post_steps(
        models[Variant.PERSONAL],
        "distill",
        Rule(taught_by(trainer, models[Variant.POST_TRAINED], 1.0)),
    )[0]
    store = PersonalStore(root / "work" / "personal" / "c01" / str(JOB))
    digest = store.save(Personal(models, {}, chosen=chosen))
    server = ArtifactStore(root / "server")
    manifest = save_state(server, start)
    view = TakeawayView(
        job_id=JOB,
        name="small",
        state=JobState.SUCCEEDED,
        spec=spec,
        base_digest=base.digest,
        state_digest=digest,
        rounds=2,
        took_part=(1, 2),
        components=network.components,
        version=2,
        manifest={
            name: TakenComponent(sha256=sha, n_bytes=server.path(sha).stat().st_size, made_in=1)
            for name, sha in manifest.items()
        },
        scores=(
            *(_row(task, variant) for task in spec.tasks for variant in models),
            *(_row(task, Variant.GUARDED, chosen[task]) for task in chosen),
        ),
        replacements=(ReplacementRow(client="c01", round=2, decision=_DECISION),),
    )
    return Home(
        spec, file, root / "work", Answers(view, server), network, data,
        {**models, Variant.ENGAGED: start},
    )  # fmt: skip


def decoded(file: ClientFile, spec: JobSpec, base: Base) -> dict[str, TaskData]:
    """The client's data as a worker decodes them."""
    decoding = Decoding(base.tokenizer, base.image_size, spec.model.max_text_tokens)
    return {name: load_task(file, name, task, decoding) for name, task in spec.tasks.items()}


_DECISION = Decision(
    task="digits", engaged_loss=0.5, personal_loss=0.75, margin=0.01, replaced=True
)


def _row(task: str, variant: Variant, of: Variant | None = None) -> ReportRow:
    score = TaskScore(metric="accuracy", value=0.8125, reference=0.5, skill=0.625, n=6, of=of)
    return ReportRow(client="c01", task=task, variant=variant, score=score, validation=score)
