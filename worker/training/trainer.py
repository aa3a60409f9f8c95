"""Training of one client's models: binds network, data, spec and seeds, and hides the loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from shared.components import Modality
from shared.job_spec import JobSpec
from worker.algorithm.losses import task_loss
from worker.data.loader import TaskData
from worker.models.network import Batch, Network, State
from worker.spent import Spent
from worker.training import seeds
from worker.training.batches import batches, shares
from worker.training.checkpoints import Checkpoints, Finished, NoCheckpoints
from worker.training.loop import Budget, Keeping, Rule, train

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
    spent: Spent = field(default_factory=Spent)

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

    def local_steps(
        self, start: State, number: int, purpose: str, rule: Rule | None = None, times: int = 1
    ) -> Trained:
        """Train from `start` for one round's budget, or so many; without a rule by plain loss."""
        training = self.spec.training
        rate = training.learning_rate.at(number, self.spec.rounds.count)
        naming = (number, purpose)
        steps = times * training.local_steps
        return self._train(start, naming, steps, rate, rule or Rule(self.plain))

    def post_steps(
        self, start: State, purpose: str = "post", rule: Rule | None = None, times: int = 1
    ) -> Trained:
        """Train from `start` for stage two's budget, or so many; without a rule by plain loss."""
        post, naming = self.spec.post, (self.spec.rounds.count + 1, purpose)
        steps = times * post.steps
        return self._train(start, naming, steps, post.learning_rate, rule or Rule(self.plain))

    def task_loss(self, task: str, batch: Batch, output: Tensor) -> Tensor:
        """The plain loss of each sample. (B,)"""
        pad = self.network.base.tokenizer.pad_id
        return task_loss(self.spec.tasks[task].kind, batch, output, pad)

    def plain(self, task: str, batch: Batch) -> tuple[Tensor, Tensor]:
        """The plain loss, to be minimized as it is."""
        each = self.task_loss(task, batch, self.network(task, batch))
        return each, each

    def _train(
        self, start: State, naming: tuple[int, str], steps: int, rate: float, rule: Rule
    ) -> Trained:
        """`steps` counts what costs the same for all rules: a forward and a backward pass."""
        _, purpose = naming
        done, steps = self.checkpoints.finished(purpose), max(steps // rule.passes, 1)
        self.spent.asked += steps
        if done is None:
            with self.spent.phase("train"):
                losses = self._steps(start, naming, steps, rate, rule)
            kept = [tensor.cpu() for tensor in rule.tensors()]
            done = Finished(self.network.state(), losses, kept)
            self.checkpoints.finish(purpose, done)
        else:
            rule.restore(done.rule)
        return done.state, dict(done.losses)

    def _steps(
        self, start: State, naming: tuple[int, str], steps: int, rate: float, rule: Rule
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
        names = (self.spec.seed, self.client, *naming)
        self.network.load(start)
        splits = {task: data.train for task, data in self.data.items()}
        stream = batches(splits, training.batch_size, seeds.generator(*names, "batches"))
        kept, (_, purpose) = self.checkpoints, naming
        keeping = Keeping(partial(kept.latest, purpose), partial(kept.offer, purpose))
        sizes = [len(split) for split in splits.values()]
        n_samples = budget.accumulation * rule.passes * sum(shares(sizes, training.batch_size))

        def on_step(done: int) -> None:
            self.spent.stepped(n_samples)
            self.on_step(done)

        with seeds.scope(*names, "dropout"):
            return train(self.network, stream, rule, budget, on_step, keeping)
