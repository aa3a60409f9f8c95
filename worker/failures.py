"""How a computation fails: what the coordinator hears, in a form that needs no torch."""

import errno

from shared.artifacts import FULL
from shared.messages import Failure, FailureCode, HeldLease

_FAILING = frozenset({errno.EIO, errno.EROFS})  # as a store is, too, after a failed fsync
_FULL = "the worker's disk is full: free some space on it"
_FAILS = "the worker's disk fails: check it, then restart this worker"


class FailedError(Exception):
    """An assignment cannot be done: the code and the sentence that the coordinator hears."""

    def __init__(self, code: FailureCode, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"

    def under(self, held: HeldLease) -> Failure:
        """What the coordinator is told about the assignment of that lease."""
        return Failure(
            lease_id=held.lease_id,
            attempt=held.attempt,
            code=self.code,
            message=self.sentence[:2000],
        )


def of_disk(error: BaseException | None) -> FailedError | None:
    """The failure that a disk is to blame for, also where torch wraps the disk's own error."""
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        if number in FULL:
            return FailedError(FailureCode.NO_SPACE, _FULL)
        if number in _FAILING:
            return FailedError(FailureCode.INTERNAL, _FAILS)
        error = error.__cause__ or error.__context__
    return None
