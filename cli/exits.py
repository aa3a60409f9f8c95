"""How every command ends: the exit codes, and the errors that lead to them."""

from enum import IntEnum

from cli.stack.errors import ClientFileError
from shared.problem_codes import Code
from shared.spec_files import SpecError
from shared.transport import UNUSABLE, ApiError
from shared.views import Problem


class ExitCode(IntEnum):
    """With what a command ends; by a signal with 128 and its number, as by Ctrl-C."""

    OK = 0
    FAILED = 1
    USAGE = 2
    AWAY = 3
    NOT_ALLOWED = 4
    STOPPED = 130


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


def exit_code(error: Exception) -> ExitCode:
    """With what a command ends on this error."""
    match error:
        case UsageError() | SpecError() | ClientFileError():
            return ExitCode.USAGE
        case ApiError():
            return _of_answer(error.problem)
        case _:
            return ExitCode.FAILED


def _of_answer(problem: Problem) -> ExitCode:
    if problem.status in {401, 403}:
        return ExitCode.NOT_ALLOWED
    if problem.code in {UNUSABLE, Code.UNAVAILABLE}:
        return ExitCode.AWAY
    return ExitCode.FAILED
