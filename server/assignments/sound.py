"""Whether what a result says can be summed, stored and shown. Pure.

It is asked of results that come, never of those that are stored: what an earlier version took is
still read.
"""

from collections import Counter
from collections.abc import Iterator

from shared.benefits import PROPORTIONS
from shared.results import (
    LONGEST_S,
    MOST_COUNTED,
    AssignmentResult,
    EvaluateResult,
    PersonalizeResult,
    TrainResult,
)


def unsound(result: AssignmentResult) -> Iterator[str]:
    """What is wrong, and what to do: a sentence for each value."""
    yield from _unstorable(result.model_dump(mode="json"))
    yield from _endless(result)
    if isinstance(result, TrainResult):
        yield from _repeated(result)
    if isinstance(result, EvaluateResult):
        yield from _no_shares(result)


def _unstorable(value: object, *place: str) -> Iterator[str]:
    """Counts whose sums Postgres cannot hold, and texts that it cannot read out of JSON."""
    match value:
        case dict():
            for name, each in value.items():
                yield from _unstorable(name, *place)
                yield from _unstorable(each, *place, name)
        case list():
            for number, each in enumerate(value):
                yield from _unstorable(each, *place, str(number))
        case str() if "\0" in value:
            yield f"{'.'.join(place)}: must have no NUL character; remove it"
        case int() if value > MOST_COUNTED:
            yield f"{'.'.join(place)}: must be at most {MOST_COUNTED}; say what was counted"


def _endless(result: AssignmentResult) -> Iterator[str]:
    times = {"traffic.seconds": result.traffic.seconds}
    if isinstance(result, TrainResult | PersonalizeResult) and result.pace:
        times["pace.step_seconds"] = result.pace.step_seconds
    for place, seconds in times.items():
        if seconds > LONGEST_S:
            yield f"{place}: is more than {LONGEST_S:.0f} seconds; say how long it took"


def _repeated(result: TrainResult) -> Iterator[str]:
    """Pages of decisions go on behind a round, a client and a task."""
    for task, n in Counter(decision.task for decision in result.decisions).items():
        if n > 1:
            yield f"decisions: has {n} of the task {task}; send one"


def _no_shares(result: EvaluateResult) -> Iterator[str]:
    for split, models in (("scores", result.scores), ("validation", result.validation)):
        for variant, tasks in models.items():
            for task, score in tasks.items():
                if score.metric in PROPORTIONS and not 0 <= score.value <= 1:
                    yield (
                        f"{split}.{variant}.{task}.value: is {score.value} and {score.metric} a "
                        "share; send one from 0 to 1"
                    )
