"""What a client's models take in memory beside one: server's, X, Z, teacher, gradients, moments.

`python -m bench.model_memory`: counted on torch's meta device at the paper's dimensions, for its
ten patterns of clients on both backbones. One model is the frozen base and one state. Activations,
which depend on the batch, and the client's data are not counted. tests/unit/test_model_memory.py
holds the moments below against what a real round and a real stage two hold.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from shared.model_spec import Family
from tests.support import paper
from worker.models.network import Network

LIMIT = 1.3  # of one model


@dataclass(frozen=True)
class Moment:
    """What there is beside the base: states by name, the network's own tensors, an optimizer's."""

    name: str
    states: tuple[str, ...]
    training: bool

    @property
    def copies(self) -> int:
        """How many times the size of a state that is; a gradient and two moments in training."""
        return 1 + len(self.states) + (3 if self.training else 0)


ROUND = (
    Moment("X trains", ("server", "Z before"), training=True),
    Moment("Z trains", ("server", "X", "Z before"), training=True),
    Moment("the round is done", ("server", "X", "Z before", "Z"), training=False),
)
STAGE_TWO = (
    Moment("the teacher trains", ("server", "Z"), training=True),
    Moment("Z is taught", ("server", "Z", "teacher"), training=True),
    Moment("stage two is done", ("server", "Z", "teacher", "Z taught"), training=False),
)
MOMENTS = ROUND + STAGE_TWO
MOST = max(MOMENTS, key=lambda moment: moment.copies)
ONE_TRAINS = Moment("one model trains", (), training=True).copies


@dataclass(frozen=True)
class Sizes:
    """Bytes of a client's network."""

    base: int  # all that is loaded and frozen, once in a process
    used: int  # what of it the network stands on
    state: int

    @property
    def three_models(self) -> float:
        """X, Z and the teacher on the loaded base, as a multiple of one model there."""
        return (self.base + 3 * self.state) / (self.base + self.state)

    @property
    def three_used(self) -> float:
        """The same, if only what is used of the base were loaded."""
        return (self.used + 3 * self.state) / (self.used + self.state)

    @property
    def training(self) -> float:
        """All that is held when it is most, as a multiple of what training one model holds."""
        return (self.base + MOST.copies * self.state) / (self.base + ONE_TRAINS * self.state)

    @property
    def all_told(self) -> float:
        """The same as a multiple of one model that does not train."""
        return (self.base + MOST.copies * self.state) / (self.base + self.state)

    @property
    def limited(self) -> float:
        """The largest of those that have a limit."""
        return max(self.three_models, self.three_used, self.training)


def sizes(network: Network) -> Sizes:
    """Of a network; each tensor counts once, however many modules share it."""
    own = {id(p) for name in network.components for p in network.tensors(name).values()}
    library = network.base.backbone.model
    here = [t for t in (*network.parameters(), *network.buffers()) if id(t) not in own]
    state = [p for name in network.components for p in network.tensors(name).values()]
    return Sizes(
        _bytes([*library.parameters(), *library.buffers(), *here]), _bytes(here), _bytes(state)
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in {id(t): t for t in tensors}.values())


def table(family: Family) -> list[Sizes]:
    """Print a line for each pattern."""
    print(
        f"| {family}: tasks | base (used), MiB | a state | X, Z, teacher (used) | training | all |"
    )
    print("|---|---|---|---|---|---|")
    found = [sizes(paper.client(family, i)) for i in range(len(paper.PATTERNS[family]))]
    for tasks, each in zip(paper.PATTERNS[family], found, strict=True):
        base, used, state = (n / (1 << 20) for n in (each.base, each.used, each.state))
        three = f"{each.three_models:.3f} ({each.three_used:.3f})"
        ratios = f"{three} | {each.training:.3f} | {each.all_told:.3f}"
        print(f"| {', '.join(tasks)} | {base:.0f} ({used:.0f}) | {state:.1f} | {ratios} |")
    return found


def main() -> None:
    """Print both tables; fails beyond the limit."""
    for moment in MOMENTS:
        print(f"{moment.name}: the base and {moment.copies} states' worth")
    families: tuple[Family, ...] = ("flava", "vilt")
    worst = max(each.limited for family in families for each in table(family))
    print(f"at most {worst:.3f} of one model; the limit is {LIMIT}")
    sys.exit(worst > LIMIT)


if __name__ == "__main__":
    main()
