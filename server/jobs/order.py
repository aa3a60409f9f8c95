"""The order of a job's phases: decided without the database."""

from dataclasses import dataclass

from shared.job_spec import JobSpec
from shared.messages import AssignmentKind
from shared.states import JobState


@dataclass(frozen=True, slots=True)
class Following:
    """What follows a published round: the states that the job takes, and the round that opens."""

    states: tuple[JobState, ...]
    phase: AssignmentKind | None
    number: int


def following(phase: AssignmentKind, number: int, spec: JobSpec) -> Following:
    """The next round, the next phase, or the end."""
    match phase:
        case AssignmentKind.PLAN:
            return _behind_version(number, spec, (JobState.RUNNING,))
        case AssignmentKind.TRAIN:
            return _behind_version(number, spec, ())
        case AssignmentKind.PERSONALIZE:
            return Following((JobState.EVALUATING,), AssignmentKind.EVALUATE, number)
        case AssignmentKind.EVALUATE:
            return Following((JobState.SUCCEEDED,), None, number)


def _behind_version(number: int, spec: JobSpec, states: tuple[JobState, ...]) -> Following:
    """What follows version `number`: the next round, or stage two, or evaluation."""
    if number < spec.rounds.count:
        return Following(states, AssignmentKind.TRAIN, number + 1)
    if spec.algorithm.personalizes:
        return Following((*states, JobState.PERSONALIZING), AssignmentKind.PERSONALIZE, number)
    return Following((*states, JobState.EVALUATING), AssignmentKind.EVALUATE, number)
