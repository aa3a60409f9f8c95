"""One run: the job by examples/simulate.py, then each model on its tasks' whole test sets."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import simulate
from grid import Run, Scale
from shares import WHOLE, newcomers

from server.rounds.sampling import sample
from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from shared.results import TaskScore, Variant
from worker.algorithm.method import NOBODY
from worker.artifacts import catalogue
from worker.data.client_file import ClientFile
from worker.data.loader import Decoding, Split, load_task
from worker.models.base import load_base
from worker.models.network import State
from worker.training.evaluation import evaluate

Json = dict[str, Any]


def execute(run: Run, scale: Scale, federation: Path, scratch: Path) -> Json:
    """The run's result: what it cost, its decisions, and all scores."""
    spec, steps = run.spec(scale), 0
    files = {path.parent.name: ClientFile.read(path) for path in federation.glob("*/client.yaml")}
    began = time.monotonic()

    def on_step(_: int) -> None:
        nonlocal steps
        steps += 1

    store = ArtifactStore(scratch, durable=False)
    job = simulate.run(spec, [files[name] for name in spec.clients], store, on_step)
    seconds = time.monotonic() - began
    whole = _whole(spec, files[WHOLE])
    scores = [
        row
        for name, client in job.clients.items()
        for row in _rows(name, client, _models(job, client), whole)
    ]
    scores += _of_newcomers(spec, job, [files[name] for name in newcomers()], whole)
    return {
        "run": asdict(run),
        "spec": spec.model_dump(mode="json"),
        "seconds": seconds,
        "optimizer_steps": steps,
        **_bytes(spec, job),
        "decisions": [
            {"round": number, "client": client, **decision.model_dump(mode="json")}
            for number, client, decision in job.decisions
        ],
        "scores": scores,
        "final": dict(job.manifests[-1]),
    }


def _models(job: simulate.Run, client: simulate.Client) -> Mapping[Variant, State]:
    return client.method.final_models(job.server(client), client.personal)


def _whole(spec: JobSpec, file: ClientFile) -> dict[str, Split]:
    """Each task's own test set."""
    base = load_base(spec.model)
    decoding = Decoding(base.tokenizer, base.image_size, spec.model.max_text_tokens)
    return {task: load_task(file, task, spec.tasks[task], decoding).test for task in spec.tasks}


def _rows(
    name: str,
    client: simulate.Client,
    models: Mapping[Variant, State],
    whole: Mapping[str, Split],
) -> Iterable[Json]:
    """Scores of a client's models on its own test samples, and on the tasks' whole test sets."""
    trainer = client.trainer
    data = {task: replace(sets, test=whole[task]) for task, sets in trainer.data.items()}
    for where, at in (("own", trainer), ("whole", replace(trainer, data=data))):
        for variant, model in models.items():
            for task, score in evaluate(at, model, "test").items():
                yield {"client": name, "on": where, "variant": variant, "task": task, **_of(score)}


def _of(score: TaskScore) -> Json:
    return score.model_dump(mode="json", include={"metric", "value", "skill", "n", "metrics"})


def _of_newcomers(
    spec: JobSpec, job: simulate.Run, files: Iterable[ClientFile], whole: Mapping[str, Split]
) -> list[Json]:
    """Clients that no round knew: stage two from the last version."""
    base, rows = load_base(spec.model), list[Json]()
    for file in files:
        client = simulate.make_client(spec, file, base)
        if spec.algorithm.personalizes:
            client.personal = client.method.personalize(job.server(client), NOBODY).personal
        rows += _rows(file.client, client, _models(job, client), whole)
    return rows


def _bytes(spec: JobSpec, job: simulate.Run) -> Json:
    """What travelled in the rounds: a client that has a component is not given it again."""
    sizes = _sizes(job)
    up = sum(sizes[component] for _, _, component in job.sent)
    down, held = 0, dict[tuple[str, str], str]()
    federated = bool(job.sent)
    for number in range(1, spec.rounds.count + 1) if federated else ():
        for client in sample(spec.seed, number, spec.clients, spec.clients_per_round):
            for component in job.clients[client].trainer.network.components:
                sha256 = job.manifests[number - 1][component]
                if held.get((client, component)) != sha256:
                    down += sizes[component]
                    held[client, component] = sha256
    return {"bytes_up": up, "bytes_down": down}


def _sizes(job: simulate.Run) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for client in job.clients.values():
        for name, spec in catalogue(client.trainer.network).components.items():
            sizes[name] = sum(tensor.n_bytes for tensor in spec.tensors.values())
    return sizes
