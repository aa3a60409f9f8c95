"""An API that is away for a while: said once, asked again, said once when it is back."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from cli.exits import exit_code
from cli.waiting import ago
from shared.exits import ExitCode
from shared.transport import ApiError

T = TypeVar("T")
_PAUSE_S = 1.0


class Patience:
    """Asks until there is an answer, behind the first one; for ever without `give_up`.

    Before the first answer nothing says that there is such an API, so the first error counts.
    """

    def __init__(
        self,
        url: str,
        say: Callable[[str], None],
        give_up: timedelta | None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._url = url
        self._say = say
        self._give_up = give_up
        self._check = check
        self._answered = False

    def ask(self, ask: Callable[[], T]) -> T:
        """The answer. Raises ApiError when it will not come; what `check` raises meanwhile."""
        since, since_s = datetime.now().astimezone(), time.monotonic()
        told = False
        while True:
            try:
                answer = ask()
            except ApiError as error:
                if not self._answered or exit_code(error) is not ExitCode.AWAY:
                    raise
                if self._give_up is not None and _passed(since_s) >= self._give_up:
                    raise
                if not told:
                    self._say(f"away since {since:%H:%M:%S}: {error}; asked again until it is back")
                    told = True
                self._check()
                time.sleep(_PAUSE_S)
            else:
                self._answered = True
                if told:
                    self._say(f"{self._url} is back after {ago(_passed(since_s))}")
                return answer


def _passed(since_s: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - since_s)
