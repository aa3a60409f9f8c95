"""The paper's experiments: `python bench/paper/paper.py --scale small`, again to go on.

Each run's result is a file of its own in `OUT/runs`, from which `tables.py` makes tables.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("bench/paper", ".", "examples", "examples/demo", "examples/pretraining")
sys.path[:0] = [str(ROOT / scripts) for scripts in SCRIPTS]

from grid import SCALES, Run, Scale, runs  # noqa: E402  # it lies beside this file


class OtherCommitError(Exception):
    """The directory holds another commit's results."""


def commit() -> str:
    """The commit that is checked out; `-dirty-DIGEST` behind it where files differ from it."""

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout

    head, changes = git("rev-parse", "HEAD").decode().strip(), git("diff", "HEAD")
    return f"{head}-dirty-{hashlib.sha256(changes).hexdigest()[:8]}" if changes else head


def claim(out: Path, now: str) -> None:
    """Let the directory hold this commit's results. Raises OtherCommitError."""
    out.mkdir(parents=True, exist_ok=True)
    stamp = out / "commit.txt"
    if stamp.is_file() and stamp.read_text(encoding="utf-8").strip() != now:
        raise OtherCommitError(
            f"{out} holds results of commit {stamp.read_text(encoding='utf-8').strip()}, and this "
            f"is {now}: check that one out, or name another directory by --out"
        )
    stamp.write_text(now + "\n", encoding="utf-8")


def result_of(out: Path, run: Run) -> Path:
    """Where a run's result lies once it is there."""
    return out / "runs" / f"{run.name}.json"


def federation(run: Run, cache: Path) -> Path:
    """The clients of a run's division of the data, made once. Raises PrepareError."""
    from fashion import obtain as obtain_fashion
    from packages import obtain
    from prepare import is_prepared, put, write
    from shares import build

    code = (ROOT / "bench/paper/shares.py").read_bytes()
    recipe = hashlib.sha256(code + f"{run.family} {run.alpha} {run.seed}".encode()).hexdigest()
    target = cache.resolve() / f"paper-{recipe[:16]}"
    if not is_prepared(target, recipe):
        packages = cache.resolve() / "packages"
        obtain(packages)
        parts = build(packages, obtain_fashion(packages), run.family, run.alpha, run.seed)
        put(target, recipe, lambda folder: write(parts, folder))
    return target


def one(run: Run, scale: Scale, out: Path, clients: Path) -> None:
    """Do a run, and keep its result in one step."""
    from execute import execute

    with tempfile.TemporaryDirectory(prefix="tapestry-paper-") as scratch:
        result = execute(run, scale, clients, Path(scratch))
    path = result_of(out, run)
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def do(todo: Sequence[Run], scale: Scale, out: Path, cache: Path, workers: int) -> None:
    """All runs that have no result yet."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        Progress(*columns, TimeElapsedColumn()) as progress,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        bar = progress.add_task("runs", total=len(todo))
        begun: dict[Future[None], Run] = {}
        for run in todo:
            begun[pool.submit(one, run, scale, out, federation(run, cache))] = run
        for done in as_completed(begun):
            done.result()
            progress.console.print(f"{begun[done].name}: done")
            progress.advance(bar)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=sorted(SCALES), default="small")
    parser.add_argument("--out", type=Path, help="default: .tapestry/paper/SCALE")
    parser.add_argument("--cache", type=Path, default=ROOT / ".tapestry/cache")
    parser.add_argument("--workers", type=int, default=2, help="runs at once")
    options = parser.parse_args()
    scale, out = SCALES[options.scale], options.out or ROOT / ".tapestry/paper" / options.scale
    from packages import PrepareError

    try:
        claim(out, commit())
        todo = [run for run in runs(scale) if not result_of(out, run).is_file()]
        do(todo, scale, out, options.cache, options.workers)
    except (OtherCommitError, PrepareError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
