"""What is wrong with a metric that a job asks for."""


class MetricError(Exception):
    """A metric's model or data are not here, or cannot be used."""
