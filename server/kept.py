"""What is made of a job's rows that never change is made once: its spec, its components' sizes."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_MOST = 256  # jobs; then all is made anew
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values by what they are made from, for the jobs that were asked for last."""

    def __init__(self) -> None:
        self._found: dict[K, V] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The key's value; threads may make the same one twice, which does no harm."""
        value = self._found.get(key)
        if value is None:
            value = make()
            if len(self._found) >= _MOST:
                self._found.clear()
            self._found[key] = value
        return value
