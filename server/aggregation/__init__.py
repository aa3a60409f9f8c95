"""Component-wise weighted averaging, streamed from file to file."""

from server.aggregation.average import Contribution, aggregate
from server.aggregation.weights import client_components, component_weight, offered_tasks

__all__ = ["Contribution", "aggregate", "client_components", "component_weight", "offered_tasks"]
