"""Messages between processes: lost, doubled, late, out of order, or cut off one way or both."""

from collections import Counter
from dataclasses import dataclass
from random import Random

_LONGEST_S = 150.0


@dataclass(frozen=True, slots=True)
class Weather:
    """How likely it is that one message is lost, doubled, or late."""

    drop: float
    double: float
    slow: float

    @classmethod
    def drawn(cls, rng: Random) -> "Weather":
        """Some episodes are calm, some are wild."""
        wild = rng.choice((0.0, 0.2, 0.5, 1.0))
        return cls(0.15 * wild * rng.random(), 0.1 * wild, 0.1 * wild)


CALM = Weather(0.0, 0.0, 0.0)


class Network:
    """Decides when each copy of a message arrives, if at all."""

    def __init__(self, rng: Random, weather: Weather, faults: Counter[str]) -> None:
        self.weather = weather
        self.cuts: Counter[tuple[str, str]] = Counter()  # (from, to) -> how many partitions cut it
        self._rng = rng
        self._faults = faults

    def delays(self, source: str, target: str) -> tuple[float, ...]:
        """Seconds until each copy arrives; none for a message that is lost."""
        weather, rng = self.weather, self._rng
        if not self.passes(source, target):
            return ()
        if rng.random() < weather.drop:
            self._faults["message lost"] += 1
            return ()
        if rng.random() < weather.double:
            self._faults["message doubled"] += 1
            return (self._delay(), self._delay())
        return (self._delay(),)

    def _delay(self) -> float:
        rng = self._rng
        if rng.random() < self.weather.slow:
            self._faults["message late"] += 1
            return rng.random() * _LONGEST_S
        return 0.001 + rng.random() * 0.1

    def passes(self, source: str, target: str) -> bool:
        """Whether no partition lies between; counted where one does."""
        if self.cuts and self.cuts[source, target] > 0:
            self._faults["message cut off"] += 1
            return False
        return True

    def cut(self, pairs: list[tuple[str, str]]) -> None:
        """Begin a partition."""
        self.cuts.update(pairs)

    def heal(self, pairs: list[tuple[str, str]]) -> None:
        """End a partition."""
        self.cuts.subtract(pairs)
        self.cuts += Counter()  # forgets what is whole
