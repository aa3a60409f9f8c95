"""What a run has shown, as rows of a table."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.chaos.faults import Fault
from tests.chaos.run import Result
from tests.support.figures import Row


def rows(result: Result) -> list[Row]:
    """The figures of a run."""
    return [*_summary(result), *_outcome(result), *_faults(result)]


def left_out(faults: Sequence[Fault[Any]]) -> str:
    """The kinds of faults that cannot be made here, and why; empty where all can."""
    reasons = dict.fromkeys(fault.impossible for fault in faults if fault.impossible)
    kinds = {why: [f.kind for f in faults if f.impossible == why] for why in reasons}
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in kinds.items())


def _summary(result: Result) -> Iterator[Row]:
    checked = result.checked
    yield "seed", result.plan.seed
    yield "real faults (they hit something)", result.tally.total
    yield "kinds of faults left out", left_out(result.faults) or "none"
    yield "minutes under faults", f"{result.disturbed_s / 60:.1f}"
    states = Counter(f"{job.name} {job.state}" for job in result.jobs)
    yield "jobs", _counted(states)
    yield "from the last fault to the last job's end", f"{result.peace_s:.1f} s"
    yield (
        "lost, counted twice, stuck",
        (f"{len(checked.lost)}, {len(checked.twice)}, {len(checked.stuck)}"),
    )
    looked_at = ", ".join(f"{n} {name}" for name, n in checked.counts.items())
    yield "invariants I1 to I9, every version recomputed from the log", f"hold over {looked_at}"
    yield "processes that gave up and were started again", _counted(result.tally.ended)


def _counted(counter: Counter[str]) -> str:
    return "; ".join(f"{n} {name}" for name, n in sorted(counter.items())) or "none"


def _outcome(result: Result) -> Iterator[Row]:
    """Versions, replacements and scores of a job, hashed."""
    yield "outcome undisturbed", f"`{result.undisturbed}`"
    for outcome, n in Counter(job.outcome for job in result.comparable).items():
        yield f"outcome of {n} disturbed jobs", f"`{outcome}`"


def _faults(result: Result) -> Iterator[Row]:
    tally = result.tally
    for fault in result.faults:
        if fault.impossible:
            yield fault.kind, f"skipped: {fault.impossible}"
            continue
        missed = tally.misses[fault.kind]
        said = f" ({missed} more found nothing to hit)" if missed else ""
        yield fault.kind, f"{tally.hits[fault.kind]}{said}"
