"""What a job's models scored over all clients. JSON on the wire."""

from pydantic import Field, FiniteFloat, PositiveInt

from shared.messages import Message
from shared.results import Variant
from shared.spec import Name


class AverageRow(Message):
    """A metric of a task's models of one variant over clients, weighted by their test samples."""

    task: Name
    variant: Variant
    metric: str
    value: FiniteFloat = Field(
        description="The clients' values averaged, also where a metric is no mean over samples, "
        "such as macro_f1 and perplexity."
    )
    n: PositiveInt = Field(description="Test samples of these clients.")
    clients: PositiveInt
