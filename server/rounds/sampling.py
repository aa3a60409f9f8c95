"""Who takes part in a round: a pure function of the job's seed and the round's number."""

import hashlib
from collections.abc import Sequence


def sample(seed: int, number: int, clients: Sequence[str], n: int) -> tuple[str, ...]:
    """The n clients of round `number`, sorted; the order of `clients` does not matter.

    Each client draws a hash of (seed, round, client), and the smallest win. So adding a client
    never changes the order among the others. Raises ValueError when n is not in 1..len(clients).
    """
    if not 1 <= n <= len(clients):
        raise ValueError(f"cannot choose {n} of {len(clients)} clients: correct clients_per_round")
    return tuple(sorted(draw(seed, number, clients)[:n]))


def draw(seed: int, number: int, clients: Sequence[str]) -> list[str]:
    """All clients in the order in which round `number` would ask them."""
    return sorted(clients, key=lambda client: _draw(seed, number, client))


def _draw(seed: int, number: int, client: str) -> bytes:
    return hashlib.sha256(f"round {seed} {number} {client}".encode()).digest()
