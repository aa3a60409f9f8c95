"""What each algorithm does at a client: a file here for each, found by the algorithm's name.

What it may be asked for is the file of the same name in shared/algorithms.
"""

from importlib import import_module
from typing import Any

from worker.algorithm.method import Method
from worker.algorithm.own_factors import OwnFactors
from worker.artifacts import keeps_factors
from worker.training.trainer import Trainer


def method_of(trainer: Trainer) -> Method[Any]:
    """The method of the trainer's job."""
    name = trainer.spec.algorithm.name.replace("-", "_")  # a module's name has no hyphen
    found: Method[Any] = import_module(f"{__name__}.{name}").METHOD(trainer)
    return OwnFactors(trainer, found) if keeps_factors(trainer.spec) else found
