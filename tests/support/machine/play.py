"""Playing the machine with a seed."""

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.machine.arena import Arena
from tests.support.machine.base import Figures
from tests.support.machine.machine import machine_on

RULES = 100  # in a run
_SLOW = (  # a run is a hundred calls of a service and more, and the drawing is timed with them
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
)


def play(arena: Arena, figures: Figures, number: int, runs: int) -> None:
    """That many runs, drawn from the seed `number`. Raises what a run raised, shrunk."""
    chosen = settings(
        max_examples=runs,
        stateful_step_count=RULES,
        deadline=None,
        database=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=_SLOW,
    )
    machine = seed(number)(machine_on(arena, figures))
    run_state_machine_as_test(machine, settings=chosen)
