"""The training process: all that computes, beside the worker that talks with the coordinator.

The worker imports this module without torch; torch is loaded in the training process alone.
"""

from functools import partial

from shared.dry_run import DryRunClaim, DryRunDescription
from worker.supervision import Handle, Limits, Report, Supervisor
from worker.work import Computed, Equipment, Request

# Imported once, before training processes are forked. Their main module is the worker's.
MODULES = ["worker.__main__", "worker.assignments"]


class TrainerProcess:
    """The training process of a worker, as the worker sees it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    @classmethod
    def of(cls, equipment: Equipment, limits: Limits) -> "TrainerProcess":
        """One that works with the equipment."""
        return cls(Supervisor(partial(_build, equipment), limits, MODULES))

    def warm_up(self) -> None:
        """Have torch loaded, without waiting for it."""
        self._supervisor.warm_up()

    def check(self) -> None:
        """Raises FailedError where the equipment is not there, such as a GPU."""
        self._supervisor.call(None, lambda _: None)

    def compute(self, request: Request, on_progress: Report) -> Computed:
        """Do an assignment. `on_progress` may raise to end it.

        Raises FailedError, ChildDiedError, UnexpectedError.
        """
        computed: Computed = self._supervisor.call(request, on_progress)
        return computed

    def describe(self, claim: DryRunClaim, on_progress: Report) -> DryRunDescription:
        """Say what a dry run's components would be. `on_progress` may raise to end it.

        Raises FailedError, ChildDiedError, UnexpectedError.
        """
        found: DryRunDescription = self._supervisor.call(claim, on_progress)
        return found

    def kill(self) -> None:
        """End the process at once; the next request gets a fresh one."""
        self._supervisor.kill()


def _build(equipment: Equipment) -> Handle:
    from worker.assignments import Workshop  # noqa: PLC0415  # torch stays out of the worker

    workshop = Workshop(equipment)

    def handle(request: DryRunClaim | Request | None, report: Report) -> object:
        if isinstance(request, DryRunClaim):
            return workshop.describe(request)
        return workshop.handle(request, report)

    return handle
