"""The specs of forks that do stage two alone: distilling again, and onboarding. Pure functions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from cli.exits import UsageError
from shared.job_spec import JobSpec
from shared.messages import ClientOffer
from shared.spec_files import SpecError, explain
from shared.views import JobDetail, VersionSummary

_LONGEST_NAME = 200


@dataclass(frozen=True)
class StageTwo:
    """What of stage two is to be otherwise than in the parent; weights by task."""

    steps: int | None = None
    learning_rate: float | None = None
    temperature: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    name: str | None = None


def version_of(versions: Sequence[VersionSummary], asked: int | None) -> int:
    """The version to begin with, by default the newest. Raises UsageError where nobody trained."""
    number = asked if asked is not None or not versions else versions[-1].number
    if not number:
        raise UsageError(
            "stage two begins behind a round of training: wait until the job's first round is "
            "published, and choose round 1 or a later one"
        )
    return number


def distilled_again(parent: JobDetail, number: int, wish: StageTwo) -> JobSpec:
    """The parent's spec, which ends at version `number`, with stage two as wished.

    Raises UsageError, SpecError.
    """
    _check_algorithm(parent.spec, wish)
    return _ending_at(parent, number, wish, f"{parent.name}: distilled again", {})


def onboarding(
    parent: JobDetail,
    number: int,
    clients: Sequence[str],
    offers: Mapping[str, ClientOffer | None],
    wish: StageTwo,
) -> JobSpec:
    """The same for clients that the parent did not have, over the tasks that they offer.

    Raises UsageError, SpecError.
    """
    _check_algorithm(parent.spec, wish)
    offered = {task for client in clients for task in _offered(parent, client, offers)}
    dumped = parent.spec.model_dump(mode="json")
    changes = {
        "clients": list(clients),
        "tasks": {name: task for name, task in dumped["tasks"].items() if name in offered},
        "rounds": {**dumped["rounds"], "clients_per_round": None, "quorum": None},
    }
    return _ending_at(parent, number, wish, f"{parent.name}: with {', '.join(clients)}", changes)


def weights_of(given: Collection[str]) -> dict[str, float]:
    """TASK=LAMBDA of the command line, by task. Raises UsageError."""
    found: dict[str, float] = {}
    for each in given:
        task, _, value = each.partition("=")
        try:
            weight = float(value)
        except ValueError:
            raise UsageError(f"--weight {each}: write it as TASK=LAMBDA, such as vqa=0.5") from None
        if task in found:
            raise UsageError(f"--weight names {task} twice: leave one of both out")
        found[task] = weight
    return found


def _ending_at(
    parent: JobDetail, number: int, wish: StageTwo, name: str, changes: Mapping[str, Any]
) -> JobSpec:
    data = {**parent.spec.model_dump(mode="json"), **changes}
    data["name"] = name[:_LONGEST_NAME] if wish.name is None else wish.name
    data["rounds"] = {**data["rounds"], "count": number}
    data["post"] |= _given(steps=wish.steps, learning_rate=wish.learning_rate)
    data["algorithm"] |= _given(temperature=wish.temperature)
    for task, weight in wish.weights.items():
        data["tasks"][task]["distillation_weight"] = weight
    try:
        return JobSpec.model_validate(data)
    except ValidationError as error:
        raise SpecError("the fork's spec", explain(JobSpec, error)) from error


def _given(**options: float | None) -> dict[str, float]:
    return {name: value for name, value in options.items() if value is not None}


def _check_algorithm(spec: JobSpec, wish: StageTwo) -> None:
    algorithm = spec.algorithm
    if not algorithm.personalizes:
        raise UsageError(
            f"the job's {algorithm.name} has no stage two: fork it by tapestry fork JOB --round N "
            "--spec FILE, with an algorithm that has one"
        )
    if (wish.weights or wish.temperature is not None) and not algorithm.distils:
        raise UsageError(
            f"--temperature and --weight are of distillation, which the job's {algorithm.name} is "
            "without: leave them out"
        )
    for task in wish.weights:
        if task not in spec.tasks:
            raise UsageError(
                f"--weight names {task}, which is no task of the job: choose one of "
                f"{', '.join(spec.tasks)}"
            )


def _offered(parent: JobDetail, client: str, clients: Mapping[str, ClientOffer | None]) -> set[str]:
    """Which of the job's tasks a newcomer offers. Raises UsageError where it is none."""
    if client in parent.clients:
        raise UsageError(
            f"{client} took part in the job already: leave it out, and give it another stage two "
            "by tapestry distil JOB"
        )
    if client not in clients:
        raise UsageError(f"{client} is not registered: choose one that `tapestry clients` lists")
    offer = clients[client]
    if offer is None:
        raise UsageError(f"{client} has made no offer: start its worker")
    if not offer.tasks.keys() & parent.spec.tasks.keys():
        raise UsageError(
            f"{client} offers none of the job's tasks ({', '.join(parent.spec.tasks)}) but "
            f"{', '.join(offer.tasks)}: leave it out"
        )
    return {*offer.tasks}
