"""The aggregation of a job spec: what the server makes of the clients' components."""

from typing import Literal

from pydantic import Field

from shared.spec import Count, Spec

LowRankAggregation = Literal["factors", "svd", "flora_na", "ffa", "fedsa"]


class AggregationSpec(Spec):
    """What is made of LoRA's factors A and B, and when; all other tensors are averaged."""

    low_rank: LowRankAggregation = Field(
        default="factors",
        description="`factors`: the means of A and B apart (the paper's). `svd`: the best pair of "
        "the same rank for the mean of the products BA. `flora_na`: the clients' factors mixed so "
        "that the product comes nearest to that mean. `ffa`: A stays as the seed made it; only B "
        "is trained and sent. `fedsa`: only A is sent; each client keeps its own B.",
    )
    min_contributors: Count = Field(
        default=1,
        description="A component that other clients use, too, is averaged in a round where at "
        "least so many have trained it; else it stays as it was, for whoever gets an average of "
        "few can tell what each of them sent.",
    )
