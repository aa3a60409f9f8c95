"""Whether what a result says can be summed, stored and shown. Pure.

It is asked of results that come, never of those that are stored: what an earlier version took is
still read.
"""

from collections.abc import Iterator

from shared.results import LONGEST_S, AssignmentResult, PersonalizeResult, TrainResult


def unsound(result: AssignmentResult) -> Iterator[str]:
    """What is wrong, and what to do: a sentence for each value."""
    yield from _endless(result)


def _endless(result: AssignmentResult) -> Iterator[str]:
    times = {"traffic.seconds": result.traffic.seconds}
    if isinstance(result, TrainResult | PersonalizeResult) and result.pace:
        times["pace.step_seconds"] = result.pace.step_seconds
    for place, seconds in times.items():
        if seconds > LONGEST_S:
            yield f"{place}: is more than {LONGEST_S:.0f} seconds; say how long it took"
