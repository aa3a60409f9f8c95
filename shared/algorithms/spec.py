"""What every algorithm says of itself."""

from shared.components import Component, parse
from shared.spec import Spec


class AlgorithmSpec(Spec):
    """A job's algorithm with its options, and what the server must know of it."""

    name: str

    @property
    def personalizes(self) -> bool:
        """Whether the job has a stage two, after its last round."""
        return True

    def shares(self, component: Component) -> bool:  # noqa: ARG002 - others look at it
        """Whether clients upload the component, for the server to average."""
        return True

    def shares_named(self, component: str) -> bool:
        """The same of a component's name."""
        return self.shares(parse(component))
