"""`python -m bench.untrained_worker clients`: a real worker that leaves out the optimizer's steps.

All else is real: claim, journal, download, personal state, upload, report, promotion. It works by
replacing the algorithm's method when it is imported, so that a training process which imports its
parent's main module does the same.
"""

import sys

from typing_extensions import override

from shared.results import Variant
from worker.algorithm.method import Outcome, Personal
from worker.algorithm.methods import tap
from worker.models.network import State


class Untrained(tap.Tap):
    """TAP without training."""

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Every component changes, so that all of them travel."""
        shifted = {
            component: {name: tensor + number / 1024 for name, tensor in tensors.items()}
            for component, tensors in server.items()
        }
        return Outcome(shifted, Personal({Variant.PERSONAL: shifted}), {})


tap.METHOD = Untrained

if __name__ == "__main__":
    from worker.__main__ import main

    main(sys.argv[1])
