"""One run: a job undisturbed, then jobs under the nemesis, then peace, then the checks."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cli.stack.processes import Processes
from cli.stack.settings import StackSettings
from shared.artifacts import ArtifactStore
from shared.states import JobState
from tests.chaos.checker import Checked, check
from tests.chaos.faults import Fault, table
from tests.chaos.jobs import CLIENTS, Launcher, Operator, Running, patient
from tests.chaos.nemesis import Nemesis, Tally, schedule
from tests.chaos.stack import Disturbed
from tests.support import federation

_UNDISTURBED_WITHIN_S = 300.0
_PEACE_WITHIN_S = 240.0  # after the faults have stopped, all jobs must end


@dataclass(frozen=True)
class Plan:
    """What a run is: the same seed, the same schedule of faults."""

    seed: int
    seconds: float
    most_faults: int
    gap_s: float
    kept: Path  # where logs go when something is wrong
    each_once: bool = False  # every kind of fault is enough


@dataclass(frozen=True)
class Result:
    """What came out."""

    plan: Plan
    faults: Sequence[Fault[Any]]
    tally: Tally
    checked: Checked
    undisturbed: str
    jobs: Sequence[Running]
    peace_s: float  # from the last fault to the last job's end
    disturbed_s: float

    @property
    def comparable(self) -> list[Running]:
        """The disturbed jobs whose outcome must be the undisturbed one's."""
        return [job for job in self.jobs[1:] if job.name == "patient"]

    @property
    def wrong(self) -> list[str]:
        """What must not be."""
        others = [j for j in self.comparable if j.outcome != self.undisturbed]
        return [
            *self.checked.wrong,
            *(f"job {j.id} ended {j.state} with {j.outcome or 'no outcome'}" for j in others),
        ]


def run(plan: Plan) -> Result:
    """Carry out a plan. Raises AssertionError; its logs and diary are kept then."""
    with Processes() as processes:
        place = processes.own_directory(Path(mkdtemp(prefix="tapestry-chaos-")))
        with kept_on_error(plan, place / "logs"):
            clients = federation.write(place / "clients", CLIENTS)
            settings = StackSettings(place / "state", place / "logs", tuple(clients))
            with Disturbed(processes, settings) as stack:
                stack.wait_for_offers()
                result = _run(plan, stack)
            assert not result.wrong, "\n".join(result.wrong)
    return result


@contextmanager
def kept_on_error(plan: Plan, logs: Path) -> Iterator[None]:
    """Where the block fails, keep the logs, and have the error say where and with which seed."""
    try:
        yield
    except Exception as error:
        kept = plan.kept / f"seed-{plan.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
        shutil.copytree(logs, kept)
        error.add_note(f"seed {plan.seed}; logs and the diary of all faults are in {kept}")
        raise


def _run(plan: Plan, stack: Disturbed) -> Result:
    operator = Operator(stack.apis)
    first = operator.launch(patient())
    operator.wait(_UNDISTURBED_WITHIN_S)
    assert not stack.ended(), f"{[s.name for s in stack.ended()]} ended undisturbed"
    operator.judge(first)
    possible = [fault for fault in table() if not fault.impossible]
    diary = stack.settings.logs / "diary.jsonl"
    nemesis = Nemesis(stack, schedule(plan.seed, possible, plan.gap_s), diary)
    began = time.monotonic()
    launcher = Launcher(operator)
    kinds = {fault.kind for fault in possible} if plan.each_once else None
    nemesis.run(lambda: _enough(plan, nemesis, began, kinds) or launcher.error is not None)
    stopped = time.monotonic()
    launcher.stop()
    _wait_in_peace(operator, nemesis)
    ended = time.monotonic()
    for job in operator.jobs[1:]:
        if job.name == "patient" and job.state is JobState.SUCCEEDED:
            operator.judge(job)
    return Result(
        plan,
        table(),
        nemesis.tally,
        _check(stack),
        first.outcome,
        operator.jobs,
        ended - stopped,
        stopped - began,
    )


def _enough(plan: Plan, nemesis: Nemesis, began: float, kinds: set[str] | None) -> bool:
    over = time.monotonic() - began > plan.seconds
    return over or nemesis.tally.total >= plan.most_faults or nemesis.tally.hits.keys() == kinds


def _wait_in_peace(operator: Operator, nemesis: Nemesis) -> None:
    """All jobs end; what had been told to end, or stumbles now, is started again."""
    end = time.monotonic() + _PEACE_WITHIN_S
    while operator.look():
        nemesis.tend()
        if time.monotonic() > end:
            operator.wait(0)
        time.sleep(0.1)


def _check(stack: Disturbed) -> Checked:
    state = stack.settings.state
    places = [
        state / name / "personal" / client
        for name, client in zip(
            (f"worker-{n}" for n in range(1, 7)), sorted(stack.settings.clients), strict=True
        )
    ]
    return check(stack.sessions, ArtifactStore(stack.artifacts), places)
