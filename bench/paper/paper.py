"""The paper's experiments: `python bench/paper/paper.py --scale small`, again to go on.

Each run's result is a file of its own in `OUT/runs`; `OUT/index.html` shows what they come to.
`OUT/memory` holds what runs have in common until all are done.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("bench/paper", ".", "examples", "examples/demo", "examples/pretraining")
sys.path[:0] = [str(ROOT / scripts) for scripts in SCRIPTS]

from division import Family  # noqa: E402  # it lies beside this file, as the next ones do
from grid import SCALES, Run  # noqa: E402  # likewise
from processes import Order, processes  # noqa: E402
from provenance import OtherCommitError, claim, commit  # noqa: E402
from results import Results  # noqa: E402

from cli.signals import Stopped, ending_on_signals  # noqa: E402  # found by the path above

Found = dict[str, Any]


def do(results: Results, order: Order, workers: int) -> list[str]:
    """All runs that have no result yet; returns what became of those that failed."""
    todo = [run for run in results.scale.runs() if not results.has(run)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    failed = []
    with Progress(*columns, TimeElapsedColumn()) as progress:
        bars = Bars(progress, order, results.scale.rounds)
        every = progress.add_task("runs", total=len(todo))
        for run, done in _each(todo, results, order, workers, bars):
            error = done.exception()
            if error is None:
                results.keep(run, done.result())
                said = f"{done.result()['seconds']:.0f} s"
            else:
                failed.append(f"{run.name}: {error}")
                said = f"failed: {error}"
            progress.console.print(f"{run.name}: {said}")
            progress.advance(every)
    return failed


def _each(
    todo: list[Run], results: Results, order: Order, workers: int, bars: "Bars"
) -> Iterator[tuple[Run, Future[Found]]]:
    """The runs as they end, in order but for those that need another's result.

    A run is not begun when the one that it needs has failed.
    """
    begun: dict[Future[Found], Run] = {}
    with processes(workers) as pool:
        while True:
            while len(begun) < workers and (run := _next(todo, results)):
                todo.remove(run)
                begun[pool.submit(order.do, results.spec(run), run.division)] = run
            if not begun:
                return
            ended = wait(begun, timeout=1, return_when=FIRST_COMPLETED).done
            for done in ended:
                yield begun.pop(done), done
            bars.show([run.name for run in begun.values()])


def _next(todo: Iterable[Run], results: Results) -> Run | None:
    """The first run that needs no result which is not there."""
    return next((run for run in todo if run.needs is None or results.has(run.needs)), None)


@dataclass(frozen=True)
class Bars:
    """A bar for each run that is being done, of its rounds; it is measured when they are full."""

    progress: Progress
    order: Order
    rounds: int
    shown: dict[str, TaskID] = field(default_factory=dict)

    def show(self, names: Collection[str]) -> None:
        """Those that run now."""
        for name in [name for name in self.shown if name not in names]:
            self.progress.remove_task(self.shown.pop(name))
        for name in names:
            if name not in self.shown:
                self.shown[name] = self.progress.add_task(name, total=self.rounds)
            self.progress.update(self.shown[name], completed=self.order.rounds_done(name))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=sorted(SCALES), default="small")
    parser.add_argument("--family", choices=get_args(Family), help="default: all of the scale's")
    parser.add_argument("--out", type=Path, help="default: .tapestry/paper/SCALE")
    parser.add_argument("--cache", type=Path, default=ROOT / ".tapestry/cache")
    parser.add_argument("--workers", type=int, help="runs at once; 2, but 1 on a GPU")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    out = options.out or ROOT / ".tapestry/paper" / options.scale
    command = f"python bench/paper/paper.py --scale {options.scale} --device {options.device}"
    scale = SCALES[options.scale]
    if options.family:
        scale, command = scale.of(options.family), f"{command} --family {options.family}"
        if not scale.waves:
            parser.error(f"--scale {options.scale} has no runs of {options.family}: leave --family")
    from fashion import obtain as obtain_fashion
    from packages import PrepareError, obtain
    from page import ResultsError, publish, read

    try:
        now = commit()
        claim(out, now)
        packages = options.cache.resolve() / "packages"
        obtain(packages)
        obtain_fashion(packages)
        results = Results(out, scale, now, command)
        with tempfile.TemporaryDirectory(prefix="tapestry-paper-") as scratch:
            order = Order(options.cache.resolve(), Path(scratch), options.device, out / "memory")
            failed = do(results, order, options.workers or (2 if options.device == "cpu" else 1))
        if not failed:
            shutil.rmtree(order.memory, ignore_errors=True)
        publish(out, read([out]), command)
    except (OtherCommitError, PrepareError, ResultsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"see {out / 'index.html'}")
    for each in failed:
        print(f"error: {each}; its row lacks it: run the command again", file=sys.stderr)
    return min(len(failed), 1)


if __name__ == "__main__":
    try:
        with ending_on_signals():
            sys.exit(main())
    except Stopped as stopped:
        sys.exit(stopped.exit_code)
