"""What every algorithm says of itself."""

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

    def shares(self, component: str) -> bool:  # noqa: ARG002 - others look at it
        """Whether clients upload the component of that name, for the server to average."""
        return True
