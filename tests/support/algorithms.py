"""The algorithms that a job may ask for."""

from typing import get_args

from shared.algorithms import AlgorithmSpec

NAMES = sorted(
    get_args(each.model_fields["name"].annotation)[0] for each in AlgorithmSpec.__subclasses__()
)
