"""What goes wrong with a model on the shelf."""

from shared.exits import ExitCode
from worker.ending import EndingError


class ShelfError(EndingError):
    """It cannot be put or got; the text is one sentence with the remedy."""


class ShelfKeyError(ShelfError):
    """The file that was named for a shelf key is none, or another's."""

    code = ExitCode.USAGE
