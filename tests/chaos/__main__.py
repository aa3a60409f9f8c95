"""`python -m tests.chaos`: disturb a whole stack for minutes, and show what came of it."""

import argparse
import sys
from pathlib import Path

from cli.signals import Stopped, ending_on_signals
from tests.chaos.faults import table
from tests.chaos.report import left_out, rows
from tests.chaos.run import Plan, run
from tests.support.figures import ROOT, show

KEPT = ROOT / ".tapestry" / "chaos"


def main() -> None:
    """Run one plan; ends with 1 where something is wrong."""
    wish = _parser().parse_args()
    plan = Plan(wish.seed, 60 * wish.minutes, wish.faults, wish.gap, Path(KEPT))
    if missing := left_out(table()):
        print(f"Left out are {missing}.", flush=True)
    try:
        with ending_on_signals():
            result = run(plan)
    except Stopped as stopped:
        sys.exit(stopped.exit_code)
    command = f"make chaos SEED={wish.seed} MINUTES={wish.minutes:g} FAULTS={wish.faults}"
    show("chaos", command, rows(result), record=wish.record)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--faults", type=int, default=500, help="real faults that are enough")
    parser.add_argument("--gap", type=float, default=1.5, help="seconds between two, on average")
    parser.add_argument("--record", action="store_true", help="keep the table in the docs")
    return parser


if __name__ == "__main__":
    main()
