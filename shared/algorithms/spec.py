"""What every algorithm says of itself."""

from collections.abc import Sequence

from pydantic import Field

from shared.spec import Spec


class AlgorithmSpec(Spec):
    """A job's algorithm with its options, and what the server must know of it."""

    name: str

    @property
    def personalizes(self) -> bool:
        """Whether the job has a stage two, after its last round."""
        return True

    @property
    def times(self) -> int:
        """How many times the budget of optimizer steps each of a client's models is trained for."""
        return 1

    @property
    def replaces(self) -> bool:
        """Whether clients decide in each round what of the engaged model their personal one has."""
        return False

    @property
    def distils(self) -> bool:
        """Whether stage two has a teacher, whose part in a task's loss is the task's to weigh."""
        return False

    def unheard(self, weighted: Sequence[str]) -> tuple[str, ...]:
        """Options of a distillation that does not take place.

        `weighted` are the tasks that have a weight of it.
        """
        return () if self.distils else tuple(f"tasks.{t}.distillation_weight" for t in weighted)

    def check_budget(self, local_steps: int) -> None:
        """Raises ValueError where a round has too few optimizer steps for the algorithm."""

    def shares(self, component: str) -> bool:  # noqa: ARG002 - others look at it
        """Whether clients upload the component of that name, for the server to average."""
        return True


class OneModel(AlgorithmSpec):
    """An algorithm by which a client trains one model, where TAP trains two."""

    equal_compute: bool = Field(
        default=False,
        description="Twice the steps, in rounds and at the end: as many as TAP, which trains two "
        "models.",
    )

    @property
    def times(self) -> int:
        """With equal compute the one model has the steps of TAP's two."""
        return 2 if self.equal_compute else 1
