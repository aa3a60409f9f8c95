"""`python -m bench.untrained_worker clients`: a real worker that leaves out the optimizer's steps.

All else is real: claim, journal, download, personal state, upload, report, promotion. It works by
replacing one function when it is imported, so that a training process which imports its parent's
main module does the same.
"""

import sys

import worker.assignments
from shared.results import Variant
from worker.algorithm.stages import Outcome, Personal
from worker.models.network import State
from worker.training.trainer import Trainer


def without_training(_: Trainer, server: State, __: Personal, number: int) -> Outcome:
    """Every component changes, so that all of them travel."""
    shifted = {
        component: {name: tensor + number / 1024 for name, tensor in tensors.items()}
        for component, tensors in server.items()
    }
    return Outcome(shifted, Personal({Variant.PERSONAL: shifted}), {})


setattr(worker.assignments, "client_round", without_training)  # noqa: B010 - mypy knows no other way

if __name__ == "__main__":
    from worker.__main__ import main

    main(sys.argv[1])
