"""Component-wise weighted averaging, streamed from file to file."""

from server.aggregation.average import Average, aggregate
from server.aggregation.files import Contribution
from server.aggregation.holding_back import disclosed, users
from server.aggregation.weights import (
    client_components,
    client_weights,
    component_weight,
    offered_tasks,
)

__all__ = [
    "Average",
    "Contribution",
    "aggregate",
    "client_components",
    "client_weights",
    "component_weight",
    "disclosed",
    "offered_tasks",
    "users",
]
