"""Splits drawn from one source by seeded shares."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from worker.data.rows import Row
from worker.data.sources import NAMES


def divide(rows: Sequence[Row], shares: Mapping[str, float], seed: int) -> dict[str, list[Row]]:
    """The rows in splits of about these shares of them, each in the order of the source.

    Rows of one group stay together. Groups are taken in an order that the seed draws, so that the
    same data give the same splits on every machine; the last split gets what is left.
    """
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        groups[row.group].append(number)
    order = sorted(groups, key=lambda group: _draw(seed, group))
    *drawn, last = shares
    chosen: dict[str, list[int]] = {}
    for split in drawn:
        wanted = round(shares[split] * len(rows))
        taken: list[int] = []
        while order and len(taken) < wanted:
            taken += groups[order.pop()]
        chosen[split] = taken
    chosen[last] = [number for group in order for number in groups[group]]
    return {split: [rows[n] for n in sorted(numbers)] for split, numbers in chosen.items()}


def _draw(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode(errors=NAMES)).digest()
