"""DisentAFL: FedAvg whose modality-task streams are kept apart by their angles."""

from collections import defaultdict
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from shared.algorithms.disentafl import DisentAflAlgorithm
from shared.components import MoteBlock
from worker.algorithm.averaging import Averaging
from worker.models.blocks import masked_mean
from worker.models.network import Batch
from worker.training.loop import Rule
from worker.training.trainer import Trainer

Group = tuple[str, str]  # modality, kind of task


class DisentAfl(Averaging[DisentAflAlgorithm]):
    """FedAvg, its loss with a penalty; the last steps are plain."""

    @override
    def rule(self) -> Rule:
        """Its streams apart."""
        return Apart(self.trainer, self.options.strength)


class Apart(Rule):
    """The plain loss + strength * mean cos^2 between groups of (modality, kind).

    A group's vectors are the MoTE outputs of its modality-task stream, averaged over tokens and
    normalised. The mean is over pairs of groups in a batch, and for each over all pairs of samples.
    Where a client's memory does not suffice for whole batches, groups of one task only meet.
    """

    def __init__(self, trainer: Trainer, strength: float) -> None:
        super().__init__(self._watched)
        self.trainer = trainer
        self.strength = strength
        self.seen: defaultdict[Group, list[Tensor]] = defaultdict(list)

    def _watched(self, task: str, batch: Batch) -> tuple[Tensor, Tensor]:
        """The plain loss, while the blocks' outputs are noted."""
        read = self.trainer.network.spec.tasks[task]
        handles = [
            self.trainer.network.part(str(MoteBlock(modality))).register_forward_hook(
                partial(self._note, (modality, read.kind))
            )
            for modality in read.modalities
        ]
        try:
            return self.trainer.plain(task, batch)
        finally:
            for handle in handles:
                handle.remove()

    def _note(
        self, group: Group, _: nn.Module, given: tuple[Any, ...], paths: list[Tensor]
    ) -> None:
        """Keep the pooled task stream: a block's paths are the shared one and the task's."""
        pooled = masked_mean(paths[1], given[1])  # by the mask of the tokens
        self.seen[group].append(functional.normalize(pooled.float(), dim=-1))

    @override
    def penalty(self) -> Tensor | None:
        """Of what was seen since it was last asked for; none for a single group."""
        groups = [torch.cat(parts) for parts in self.seen.values()]
        self.seen.clear()
        if len(groups) < 2:
            return None
        means = [(one @ other.T).square().mean() for one, other in combinations(groups, 2)]
        return self.strength * torch.stack(means).mean()


METHOD = DisentAfl
