"""With what commands end, and the processes of the worker's that do their work."""

from enum import IntEnum

from shared.problem_codes import Code
from shared.transport import UNUSABLE
from shared.views import Problem


class ExitCode(IntEnum):
    """With what a command ends; by a signal with 128 and its number, as by Ctrl-C."""

    OK = 0
    FAILED = 1
    USAGE = 2
    AWAY = 3
    NOT_ALLOWED = 4
    STOPPED = 130


def of_answer(problem: Problem) -> ExitCode:
    """With what a command ends that got this answer."""
    if problem.status in {401, 403}:
        return ExitCode.NOT_ALLOWED
    if problem.code in {UNUSABLE, Code.UNAVAILABLE}:
        return ExitCode.AWAY
    return ExitCode.FAILED
