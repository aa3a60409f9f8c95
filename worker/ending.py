"""How a process of the worker's ends that somebody started by a command: a sentence and a code."""

import errno
import sys
from typing import ClassVar, NoReturn

from pydantic import ValidationError

from shared.exits import ExitCode, of_answer
from shared.spec_files import SpecError, explain
from shared.transport import ApiError
from worker.data.sources import DataError
from worker.settings import WorkerSettings


class EndingError(Exception):
    """What was asked for does not come about; one sentence with the remedy."""

    code: ClassVar[ExitCode] = ExitCode.FAILED


def end(error: Exception, before: str = "") -> NoReturn:
    """End the process with the error's sentence and its exit code."""
    match error:
        case ValidationError():
            said = "; ".join(explain(WorkerSettings, error))
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            said = f"{error}: free some disk space"
        case _:
            said = str(error)
    print(f"{before}{said}", file=sys.stderr, flush=True)  # noqa: T201 - its last words
    sys.exit(exit_code(error))


def exit_code(error: Exception) -> ExitCode:
    """With what a process ends on this error."""
    match error:
        case EndingError():
            return error.code
        case SpecError() | ValidationError() | UnicodeDecodeError() | DataError():
            return ExitCode.USAGE
        case ApiError():
            return of_answer(error.problem)
        case _:
            return ExitCode.FAILED
