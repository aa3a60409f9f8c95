"""How every command ends: the exit codes, and the errors that lead to them."""

from cli.stack.errors import ClientFileError
from shared.exits import ExitCode, of_answer
from shared.spec_files import SpecError
from shared.transport import ApiError

MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "Done.",
    ExitCode.FAILED: "It was asked for in the right form and did not come about: the API refused "
    "it, the job did not succeed, the doctor found what must be done first, the stack did not "
    "start, a disk is full.",
    ExitCode.USAGE: "The command was given something wrong (an option, a file, an id), or was not "
    "told where the API is. Nothing was changed.",
    ExitCode.AWAY: "The API cannot be reached, does not answer in time, or is no Tapestry.",
    ExitCode.NOT_ALLOWED: "The API does not know the key, or the key may not do it.",
    ExitCode.STOPPED: "Ctrl-C. In the same way 143 after SIGTERM and 129 after SIGHUP: 128 and the "
    "signal's number.",
}


class UsageError(Exception):
    """The command cannot be carried out as given; the text is one sentence with the remedy."""


class FailedError(Exception):
    """What was asked for did not come about; the text is one sentence with the remedy."""


class PartError(Exception):
    """A process of the worker's, which does a command's work, ended with a sentence and a code."""

    def __init__(self, sentence: str, code: ExitCode) -> None:
        self.code = code
        super().__init__(sentence)


_NO_PATH = (
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    FileExistsError,
    PermissionError,
)


def exit_code(error: Exception) -> ExitCode:
    """With what a command ends on this error."""
    match error:
        case UsageError() | SpecError() | ClientFileError():
            return ExitCode.USAGE
        case ApiError():
            return of_answer(error.problem)
        case PartError():
            return error.code
        case OSError() if isinstance(error, _NO_PATH):
            return ExitCode.USAGE
        case _:
            return ExitCode.FAILED
