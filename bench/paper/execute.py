"""One run: the job as examples/simulate.py does it, then each model on own and whole test sets."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import simulate
import torch
from division import WHOLE
from safetensors.torch import save
from torch import nn

from server.rounds.sampling import sample
from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from shared.results import TaskScore
from worker.algorithm.method import NOBODY
from worker.artifacts import catalogue
from worker.data.client_file import ClientFile, SplitName
from worker.data.loader import Decoding, TaskData, load_task
from worker.models.base import load_base
from worker.models.network import Batch, State
from worker.training.evaluation import evaluate, with_guarded
from worker.training.held_out import held_out_losses
from worker.training.trainer import Trainer

Json = dict[str, Any]
DIGITS = 6  # of numbers in results


def execute(spec: JobSpec, federation: Path, scratch: Path, device: str) -> Json:
    """What the run cost, its decisions, and all scores."""
    files = {path.parent.name: ClientFile.read(path) for path in federation.glob("*/client.yaml")}
    base, count = load_base(spec.model), Count()

    def client(name: str) -> simulate.Client:
        made = simulate.make_client(spec, files[name], base, count.step, device)
        made.trainer.network.register_forward_pre_hook(count.forward)
        return made

    began, computed = time.monotonic(), time.process_time()
    clients = {name: client(name) for name in spec.clients}
    job = simulate.federate(spec, clients, ArtifactStore(scratch, durable=False))
    took = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - computed}
    cost = {**_rounded(took), **count.found(), **_bytes(spec, job)}
    measuring = Measuring(job, _whole(spec, files[WHOLE]))
    scores = [row for name, each in clients.items() for row in measuring.rows(name, each)]
    for name in sorted(set(files) - set(spec.clients) - {WHOLE}):
        scores += measuring.rows(name, _onboarded(spec, job, client(name)))
    decisions = [
        {"round": number, "client": name, **_rounded(decision.model_dump(mode="json"))}
        for number, name, decision in job.decisions
    ]
    final = dict(job.manifests[-1])
    return {**cost, "decisions": decisions, "scores": scores, "final": final}


@dataclass
class Count:
    """Optimizer steps, and samples that a gradient was taken on."""

    steps: int = 0
    samples: int = 0

    def step(self, _: int) -> None:
        """A trainer has made one."""
        self.steps += 1

    def forward(self, network: nn.Module, given: tuple[str, Batch]) -> None:
        """A network is about to compute."""
        if network.training and torch.is_grad_enabled():
            self.samples += len(given[1])

    def found(self) -> Json:
        """By now."""
        return {"optimizer_steps": self.steps, "samples": self.samples}


@dataclass(frozen=True)
class Measuring:
    """Models on their client's own samples, and on the whole test set of each task."""

    job: simulate.Run
    whole: Mapping[str, TaskData]
    _known: dict[str, TaskScore] = field(default_factory=dict)

    def rows(self, name: str, client: simulate.Client) -> Iterator[Json]:
        """All scores of a client's models."""
        trainer = client.trainer
        models = client.method.final_models(self.job.server(client), client.personal)
        chosen = client.personal.chosen
        measured = {
            variant: {
                "validation": _measured(trainer, model, "validation"),
                "own": _measured(trainer, model, "test"),
                "whole": {task: self._on_whole(client, model, task) for task in trainer.data},
            }
            for variant, model in models.items()
        }
        losses = {variant: _losses(trainer, model) for variant, model in models.items()}
        for where in ("validation", "own", "whole"):
            found = {variant: each[where] for variant, each in measured.items()}
            for variant, tasks in with_guarded(found, chosen).items():
                for task, score in tasks.items():
                    place = {"client": name, "on": where, "variant": variant, "task": task}
                    loss = losses[score.of or variant][task] if where == "validation" else None
                    yield {**place, **_of(score), "loss": loss}

    def _on_whole(self, client: simulate.Client, model: State, task: str) -> TaskScore:
        """Measured once for clients whose models agree in all that the task uses."""
        used = {c: model[c] for c in sorted(client.trainer.component_sets[task])}
        key = hashlib.sha256(task.encode())
        for component, tensors in used.items():
            key.update(component.encode() + save(dict(tensors)))
        known = self._known.get(key.hexdigest())
        if known is None:
            at = replace(client.trainer, data={task: self.whole[task]})
            known = self._known[key.hexdigest()] = _measured(at, model, "test")[task]
        return known


def _measured(trainer: Trainer, model: State, split: SplitName) -> dict[str, TaskScore]:
    return evaluate(trainer, model, split, every_metric=False)


def _losses(trainer: Trainer, model: State) -> dict[str, float]:
    """By which a guard chooses: each task's mean validation loss."""
    return _rounded({t: float(each.mean()) for t, each in held_out_losses(trainer, model).items()})


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
    up = sum(sizes[component] for _, _, component in job.sent)
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
