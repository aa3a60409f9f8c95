"""Training of one client's models: binds network, data, spec and seeds, and hides the loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call

from shared.components import Modality
from shared.job_spec import JobSpec, TapAlgorithm
from worker.algorithm.distillation import distillation_loss
from worker.algorithm.losses import task_loss
from worker.data.loader import TaskData
from worker.models.network import Batch, Network, State
from worker.training import seeds
from worker.training.batches import batches
from worker.training.checkpoints import Checkpoints, Finished, NoCheckpoints
from worker.training.loop import Budget, Keeping, SampleLoss, train

Progress = Callable[[int], None]
Trained = tuple[State, dict[str, float]]  # the new state, and the mean loss of each task


@dataclass(frozen=True)
class Trainer:
    """One client's network and data; spec.seed, client, round and purpose seed everything.

    `spec` is the job as it was asked for; `network.spec` may read less (JobSpec.read_with).
    With `samples_at_once` no more of them go through the network together: the same sums, up to
    rounding (and up to dropout, which draws its masks piece by piece).
    """

    client: str
    spec: JobSpec
    network: Network
    data: Mapping[str, TaskData]
    on_step: Progress = lambda _: None
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    samples_at_once: int | None = None

    @property
    def component_sets(self) -> dict[str, frozenset[str]]:
        """C(o) of each of the client's tasks, as far as its data reach."""
        have = frozenset(self.network.components)
        tasks, layers = self.network.spec.tasks, self.spec.model.layers
        return {
            task: have & {str(c) for c in tasks[task].components(task, layers)}
            for task in self.data
        }

    @property
    def reads(self) -> dict[str, tuple[Modality, ...]]:
        """What the client reads for each of its tasks."""
        return {task: self.network.spec.tasks[task].modalities for task in self.data}

    def local_steps(self, start: State, number: int, purpose: str) -> Trained:
        """Train from `start` for one round's budget."""
        training = self.spec.training
        rate = training.learning_rate.at(number, self.spec.rounds.count)
        return self._train(start, number, purpose, training.local_steps, rate, self._plain())

    def post_steps(self, start: State, teacher: State | None = None) -> Trained:
        """Train from `start` for the budget of stage two; with a teacher, by distillation."""
        post = self.spec.post
        loss = self._plain() if teacher is None else self._distilling(teacher)
        purpose = "post" if teacher is None else "distill"
        number = self.spec.rounds.count + 1
        return self._train(start, number, purpose, post.steps, post.learning_rate, loss)

    def _train(
        self, start: State, number: int, purpose: str, steps: int, rate: float, loss: SampleLoss
    ) -> Trained:
        done = self.checkpoints.finished(purpose)
        if done is None:
            losses = self._steps(start, number, purpose, steps, rate, loss)
            done = Finished(self.network.state(), losses)
            self.checkpoints.finish(purpose, done)
        return done.state, dict(done.losses)

    def _steps(
        self, start: State, number: int, purpose: str, steps: int, rate: float, loss: SampleLoss
    ) -> dict[str, float]:
        training = self.spec.training
        budget = Budget(
            steps,
            training.accumulation,
            rate,
            training.weight_decay,
            training.clip_norm,
            self.samples_at_once,
        )
        names = (self.spec.seed, self.client, number, purpose)
        self.network.load(start)
        splits = {task: data.train for task, data in self.data.items()}
        stream = batches(splits, training.batch_size, seeds.generator(*names, "batches"))
        kept = self.checkpoints
        keeping = Keeping(partial(kept.latest, purpose), partial(kept.offer, purpose))
        with seeds.scope(*names, "dropout"):
            return train(self.network, stream, loss, budget, self.on_step, keeping)

    def _task_loss(self, task: str, batch: Batch, output: Tensor) -> Tensor:
        pad = self.network.base.tokenizer.pad_id
        return task_loss(self.spec.tasks[task].kind, batch, output, pad)

    def _plain(self) -> SampleLoss:
        def loss(task: str, batch: Batch) -> tuple[Tensor, Tensor]:
            each = self._task_loss(task, batch, self.network(task, batch))
            return each, each

        return loss

    def _distilling(self, teacher: State) -> SampleLoss:
        """loss_o + lambda_o * (distillation loss against the teacher), TAP's stage two."""
        weights = as_parameters(self.network, teacher)
        algorithm = self.spec.algorithm
        temperature = algorithm.temperature if isinstance(algorithm, TapAlgorithm) else 1.0
        pad = self.network.base.tokenizer.pad_id

        def loss(task: str, batch: Batch) -> tuple[Tensor, Tensor]:
            output = self.network(task, batch)
            plain = self._task_loss(task, batch, output)
            taught = self._taught(weights, task, batch)
            spec = self.spec.tasks[task]
            extra = distillation_loss(spec.kind, batch, output, taught, temperature, pad)
            return plain + spec.distillation_weight * extra, plain

        return loss

    def _taught(self, weights: Mapping[str, Tensor], task: str, batch: Batch) -> Tensor:
        """The teacher's outputs in evaluation mode."""
        self.network.eval()
        with torch.no_grad():
            output: Tensor = functional_call(self.network, dict(weights), (task, batch))
        self.network.train()
        return output


def as_parameters(network: Network, state: State) -> dict[str, Tensor]:
    """A state under the network's parameter names, for `torch.func.functional_call`."""
    names = {id(p): name for name, p in network.named_parameters()}
    return {
        names[id(parameter)]: state[component][tensor].to(parameter.device)
        for component in network.components
        for tensor, parameter in network.tensors(component).items()
    }
