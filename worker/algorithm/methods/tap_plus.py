"""TAP with other defaults: what it does is the same."""

from worker.algorithm.methods.tap import Tap

METHOD = Tap
