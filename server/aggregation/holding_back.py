"""Which components are averaged in a round, and which would tell too much of who trained them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from server.aggregation.files import Contribution
from server.aggregation.weights import client_components
from shared.job_spec import JobSpec
from shared.messages import ClientOffer

Shares = Mapping[str, Sequence[Contribution]]  # by component


def users(spec: JobSpec, offers: Iterable[ClientOffer]) -> Counter[str]:
    """How many of a job's clients use each component."""
    return Counter(str(c) for offer in offers for c in client_components(spec, offer))


def disclosed(shares: Shares, spec: JobSpec, offers: Iterable[ClientOffer]) -> Shares:
    """The components with `aggregation.min_contributors`, and those that one client alone uses.

    The others are held back: they stay as they were. `offers` are those of all of the job's
    clients. What one client alone uses goes back to it, and to nobody else.
    """
    least, used = spec.aggregation.min_contributors, users(spec, offers)
    return {c: given for c, given in shares.items() if len(given) >= least or used[c] == 1}
