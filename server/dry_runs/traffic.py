"""What would travel: pure. Each client is taken to have an artifact cache of its own."""

from collections.abc import Iterable, Mapping

from server.dry_runs.described import Described, state_bytes
from shared.dry_run import ClientTraffic
from shared.job_spec import JobSpec

Contributors = Mapping[str, Mapping[str, int]]  # component -> client -> weight

_REMADE = frozenset({"svd", "flora_na"})  # make other bytes also of a single client's pairs


def client_traffic(
    spec: JobSpec, client: str, mine: Iterable[str], makers: Contributors, described: Described
) -> ClientTraffic:
    """What one client moves in a round.

    The first time it pulls all of its components: as they begin where all clients are asked in
    each round, else as they may have grown apart since. Later what others have changed: an average
    of nobody but itself is what it has uploaded.
    """
    mine = tuple(mine)
    whole, everyone = described.whole(mine), asked(spec) == len(spec.clients)
    changed = [name for name in mine if _changes(spec, client, name, makers[name], described)]
    return ClientTraffic(
        first_down=described.begin_bytes(mine) if everyone else whole.n_bytes,
        later_down=described.whole(changed).n_bytes,
        up=described.whole(name for name in mine if client in makers[name]).n_bytes,
        full_exchange=2 * state_bytes(whole),
    )


def _changes(
    spec: JobSpec, client: str, name: str, makers: Mapping[str, int], described: Described
) -> bool:
    """Whether a round leaves other bytes of the component than the client itself has made."""
    remade = spec.aggregation.low_rank in _REMADE and described.has_pairs(name)
    return bool(makers.keys() - {client}) or (client in makers and remade)


def asked(spec: JobSpec) -> int:
    """How many clients a training round asks."""
    return spec.asked_for(spec.clients_per_round)


def per_round(spec: JobSpec, values: Iterable[int]) -> int:
    """The mean over rounds of a sum over the clients that are asked, given each client's value."""
    return round(sum(values) * asked(spec) / len(spec.clients))


def per_job(spec: JobSpec, rounds: int, first: Iterable[int], later: Iterable[int]) -> int:
    """What all clients pull over so many rounds, and of the final version, which comes to all."""
    times = rounds * asked(spec) / len(spec.clients)
    return round(sum(first) + times * sum(later))
