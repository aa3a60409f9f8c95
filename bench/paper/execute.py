"""One run: the job as examples/simulate.py does it, then each model on own and whole test sets."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import simulate
from division import WHOLE
from memory import Clock, Cost, Memory, Remembering

from server.rounds.sampling import sample
from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from shared.results import TaskScore
from worker.algorithm.method import NOBODY
from worker.artifacts import catalogue
from worker.data.client_file import ClientFile
from worker.data.client_task import SplitName
from worker.data.loader import Decoding, TaskData, load_task
from worker.models.base import load_base
from worker.models.network import State
from worker.training.evaluation import evaluate, with_guarded
from worker.training.held_out import held_out_losses
from worker.training.trainer import Trainer

Json = dict[str, Any]
DIGITS = 6  # of numbers in results


def execute(spec: JobSpec, federation: Path, scratch: Path, device: str, memory: Memory) -> Json:
    """What the run cost, its decisions, and all scores."""
    files = {path.parent.name: ClientFile.read(path) for path in federation.glob("*/client.yaml")}
    base, cost, clock = load_base(spec.model), Cost(), Clock()

    def client(name: str) -> simulate.Client:
        made = simulate.make_client(spec, files[name], base, cost.step, device)
        made.trainer = Remembering.of(made.trainer, memory, cost)
        made.trainer.network.register_forward_pre_hook(cost.forward)
        return made

    clients = {name: client(name) for name in spec.clients}
    job = simulate.federate(spec, clients, ArtifactStore(scratch, durable=False))
    for name, value in clock.took().items():
        setattr(cost, name, getattr(cost, name) + value)
    found = {**_rounded(vars(cost)), **_bytes(spec, job)}
    measuring = Measuring(job, _whole(spec, files[WHOLE]), memory)
    scores = [row for name, each in clients.items() for row in measuring.rows(name, each)]
    for name in sorted(set(files) - set(spec.clients) - {WHOLE}):
        scores += measuring.rows(name, _onboarded(spec, job, client(name)))
    decisions = [
        {"round": number, "client": name, **_rounded(decision.model_dump(mode="json"))}
        for number, name, decision in job.decisions
    ]
    errors = [  # of each round's low-rank pairs
        _rounded({n: a.relative_error for n, a in of.items() if a.relative_error is not None})
        for of in job.averages
    ]
    measured = {"relative_errors": errors, "decisions": decisions, "scores": scores}
    return {**found, **measured, "final": dict(job.manifests[-1])}


@dataclass(frozen=True)
class Measuring:
    """Models on their client's own samples, and on the whole test set of each task.

    A score is known by the components that the task uses, so that it is found once for clients and
    runs whose models agree in them.
    """

    job: simulate.Run
    whole: Mapping[str, TaskData]
    memory: Memory

    def rows(self, name: str, client: simulate.Client) -> Iterator[Json]:
        """All scores of a client's models."""
        models = client.method.final_models(self.job.server(client), client.personal)
        chosen = client.personal.chosen
        for where in ("validation", "own", "whole"):
            found = {variant: self._scores(client, each, where) for variant, each in models.items()}
            scores = {
                variant: {
                    task: TaskScore.model_validate(each["score"]) for task, each in of.items()
                }
                for variant, of in found.items()
            }
            for variant, tasks in with_guarded(scores, chosen).items():
                for task, score in tasks.items():
                    place = {"client": name, "on": where, "variant": variant, "task": task}
                    loss = found[score.of or variant][task]["loss"]
                    yield {**place, **_of(score), "loss": loss}

    def _scores(self, client: simulate.Client, model: State, where: str) -> dict[str, Json]:
        """Of each task the score, and on validation samples the mean loss."""
        trainer = client.trainer
        manifest = self.memory.manifest(model)
        found = {}
        for task, used in trainer.component_sets.items():
            asked = {
                "on": where,
                "client": WHOLE if where == "whole" else trainer.client,
                "task": task,
                "spec": _described(trainer, task),
                "model": {name: manifest[name] for name in sorted(used)},
            }
            found[task], _ = self.memory.once(
                asked, partial(self._measured, trainer, model, where, task)
            )
        return found

    def _measured(self, trainer: Trainer, model: State, where: str, task: str) -> Json:
        data = self.whole[task] if where == "whole" else trainer.data[task]
        at = replace(trainer, data={task: data})
        split: SplitName = "validation" if where == "validation" else "test"
        score = evaluate(at, model, split, every_metric=False)[task]
        loss = None
        if split == "validation":
            loss = _rounded({"loss": float(held_out_losses(at, model)[task].mean())})["loss"]
        return {"score": score.model_dump(mode="json"), "loss": loss}


def _described(trainer: Trainer, task: str) -> Json:
    """What decides a task's score beside data and components."""
    asked = trainer.network.spec.tasks[task].model_dump(mode="json", exclude={"margin"})
    return {
        "task": asked,
        "model": trainer.spec.model.model_dump(mode="json"),
        "evaluation": trainer.spec.evaluation.model_dump(mode="json"),
    }


def _whole(spec: JobSpec, file: ClientFile) -> dict[str, TaskData]:
    base = load_base(spec.model)
    decoding = Decoding(base.tokenizer, base.image_size, spec.model.max_text_tokens)
    return {task: load_task(file, task, spec.tasks[task], decoding) for task in spec.tasks}


def _onboarded(spec: JobSpec, job: simulate.Run, client: simulate.Client) -> simulate.Client:
    """A client that no round knew: stage two from the last version."""
    if spec.algorithm.personalizes:
        client.personal = client.method.personalize(job.server(client), NOBODY).personal
    return client


def _of(score: TaskScore) -> Json:
    return _rounded(score.model_dump(mode="json", include={"metric", "value", "skill", "n"}))


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
        for name, value in values.items()
    }


def _bytes(spec: JobSpec, job: simulate.Run) -> Json:
    """What travelled: nobody is given a component that it has; at the end all have the last."""
    sizes = dict(_sizes(job))
    up = sum(sizes[component] for _, component, _ in job.sent)
    down, held = 0, dict[tuple[str, str], str]()
    given = [
        (number - 1, client)
        for number in range(1, spec.rounds.count + 1)
        for client in sample(spec.seed, number, spec.clients, spec.clients_per_round)
    ]
    for version, client in [*given, *((spec.rounds.count, name) for name in spec.clients)]:
        for component in job.clients[client].trainer.network.components:
            sha256 = job.manifests[version][component]
            if held.get((client, component)) != sha256:
                down += sizes[component]
                held[client, component] = sha256
    return {"bytes_up": up, "bytes_down": down}


def _sizes(job: simulate.Run) -> Iterable[tuple[str, int]]:
    for client in job.clients.values():
        for name, spec in catalogue(client.trainer.network).components.items():
            yield name, sum(tensor.n_bytes for tensor in spec.tensors.values())
