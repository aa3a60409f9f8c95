"""The skill score, by which tasks with different metrics can be averaged."""


def skill(value: float, reference: float, best: float) -> float:
    """(value - reference) / (best - reference): 0 is the reference, 1 is perfect.

    `reference` is the score of the best constant answer, learnt from the client's own training
    split; `best` is the score of a perfect answer. Both directions work: for an error, best is 0.
    Where the constant answer is already perfect there is nothing to gain: the skill is 1 for a
    perfect value and 0 for any other.
    """
    if best == reference:
        return 1.0 if value == best else 0.0
    return (value - reference) / (best - reference)
