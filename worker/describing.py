"""What a planner does besides jobs: it says what the components of a dry run would be."""

import logging
import time
from uuid import UUID

from shared.api_client import ApiClient
from shared.dry_run import DryRunClaim, DryRunDescription, DryRunFailure
from shared.messages import FailureCode
from shared.transport import ApiError
from worker.attempt import Member
from worker.coordinator import WithdrawnError
from worker.decisions import has_decided
from worker.failures import FailedError
from worker.supervision import ChildDiedError, Report, UnexpectedError
from worker.trainer_process import TrainerProcess

log = logging.getLogger("tapestry.worker")

MOST_S = 240.0  # for one: the server gives it to another after five minutes


def describe_next(member: Member, trainer: TrainerProcess, on_progress: Report) -> bool:
    """Describe one dry run; whether there was one, so that there may be another.

    Nothing is written down for it: who ends over it leaves it to another planner. `on_progress`
    may raise WithdrawnError to end it.
    """
    try:
        claim = member.api.claim_dry_run()
        if claim is None:
            return False
        _answer(member.api, claim.id, _found(trainer, claim, on_progress))
    except (ApiError, WithdrawnError) as error:
        log.warning("no dry run is described now: %s", error)
        return False
    return True


def _answer(api: ApiClient, dry_run: UUID, found: DryRunDescription | DryRunFailure) -> None:
    """Tell what was found; a description that is refused is a failure, which needs no second try.

    Raises ApiError.
    """
    if isinstance(found, DryRunDescription):
        try:
            api.describe_dry_run(dry_run, found)
        except ApiError as error:
            if not has_decided(error.problem.status):
                raise
            found = DryRunFailure(code=FailureCode.REFUSED, message=str(error)[:2000])
        else:
            log.info("dry run %s: described", dry_run)
            return
    log.warning("dry run %s: %s", dry_run, found.message)
    api.fail_dry_run(dry_run, found)


def _found(
    trainer: TrainerProcess, claim: DryRunClaim, on_progress: Report
) -> DryRunDescription | DryRunFailure:
    """The description, or why there is none."""
    end = time.monotonic() + MOST_S

    def watched(progress: float) -> None:
        on_progress(progress)
        if time.monotonic() > end:
            raise FailedError(
                FailureCode.INTERNAL,
                f"the components were not made within {MOST_S:.0f} s: use a smaller model, or a "
                "faster machine for the planner",
            )

    try:
        return trainer.describe(claim, watched)
    except FailedError as error:
        return DryRunFailure(code=error.code, message=error.sentence[:2000])
    except ChildDiedError as error:
        code = FailureCode.OUT_OF_MEMORY if error.out_of_memory else FailureCode.INTERNAL
        return DryRunFailure(code=code, message=f"{error}: look at the planner's log and memory")
    except UnexpectedError as error:
        message = f"unexpected {error}: see the planner's log"
        return DryRunFailure(code=FailureCode.INTERNAL, message=message)
