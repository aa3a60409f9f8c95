"""Many episodes, one after the other, until so many events have happened."""

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b

from shared.states import JobState
from tests.support.simulation.episode import Episode, Outcome


@dataclass(slots=True)
class Campaign:
    """What the episodes of a seed came to, all together."""

    seed: int
    episodes: int = 0
    events: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    jobs: Counter[JobState] = field(default_factory=Counter)
    simulated_s: float = 0.0
    digest: str = ""
    broken: Outcome | None = None

    def add(self, outcome: Outcome) -> None:
        """Count an episode in."""
        self.episodes += 1
        self.events += outcome.events
        self.faults += outcome.faults
        self.checked += outcome.checked
        self.jobs += outcome.jobs
        self.simulated_s += outcome.simulated_s
        both = f"{self.digest} {outcome.digest}".encode()
        self.digest = blake2b(both, digest_size=16).hexdigest()
        if outcome.violation is not None:
            self.broken = outcome


def run(seed: int, events: int) -> Campaign:
    """Episodes of the seed until there are so many events, or an invariant does not hold."""
    campaign = Campaign(seed)
    while campaign.broken is None and campaign.events.total() < events:
        campaign.add(Episode(seed, campaign.episodes).run())
    return campaign


def report(seed: int, outcome: Outcome) -> str:
    """The violation, what came before it, and how to see it again."""
    return "\n".join(
        [
            f"seed {seed}, episode {outcome.number}: {outcome.violation}",
            f"the last {len(outcome.last)} events:",
            *outcome.last,
            f"again: python -m tests.support.simulation --seed {seed} --episode {outcome.number}",
        ]
    )
