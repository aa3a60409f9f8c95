"""Chromium that no debugger listens to: what a page costs a reader.

Playwright has the browser report exceptions. V8 then keeps the stack of each that is thrown, also
if it is caught, and reads a script once more to find its place there; the figures' library throws
some as it starts, and takes the page for eight times as long (docs/performance.md).
"""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

from tests.support.browsing import CHROMIUM, QUIET

_WITHIN_S = 30.0
# The browser reads commands from 3 and answers on 4; a NUL ends each message.
_ON_PIPES = """import os, sys
for end, place in zip(map(int, sys.argv[1:3]), (3, 4)):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])"""
_ABOVE_ITS_OWN = 10


class BarePage:
    """A page that is asked a question now and then, and else left alone."""

    def __init__(self, browser: "BareBrowser", target: str) -> None:
        self._browser = browser
        attached = browser.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = str(attached["sessionId"])

    def goto(self, url: str) -> None:
        """Open an address and wait until it is loaded. Raises RuntimeError if it never is."""
        self.evaluate("window.left = true")
        self._browser.ask("Page.navigate", self._session, url=url)
        self.wait_for("!window.left && document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The expression's value. Raises RuntimeError if it throws."""
        found = self._browser.ask(
            "Runtime.evaluate", self._session, expression=expression, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until it is true. Raises RuntimeError if it is not within 30 seconds."""
        end = time.monotonic() + _WITHIN_S
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise RuntimeError(f"the page did not come to {expression}")
            time.sleep(0.02)  # asked without a pause the page would do nothing else


class BareBrowser:
    """A running browser."""

    def __init__(self, to: BinaryIO, answers: BinaryIO) -> None:
        self._to, self._answers = to, answers
        self._number = 0

    def ask(self, method: str, session: str | None = None, **params: object) -> dict[str, Any]:
        """The result of a command of the DevTools protocol.

        Raises RuntimeError if it is refused or the browser has ended.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._to.write(json.dumps(message | ({"sessionId": session} if session else {})).encode())
        self._to.write(b"\0")
        self._to.flush()
        while (answer := self._next()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        read = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has ended")
            read += byte
        return dict(json.loads(read))

    @contextmanager
    def page(self) -> Iterator[BarePage]:
        """A page that shares nothing with others: no cookies, nothing kept."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        made = self.ask("Target.createTarget", url="about:blank", browserContextId=context)
        yield BarePage(self, made["targetId"])
        self.ask("Target.disposeBrowserContext", browserContextId=context)


@contextmanager
def bare_browser() -> Iterator[BareBrowser]:
    """A headless browser of its own profile, gone behind the block."""
    with ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(prefix="tapestry-browser-"))
        child, to, answers = _started(profile)
        stack.enter_context(child)
        browser = BareBrowser(stack.enter_context(to), stack.enter_context(answers))
        stack.callback(browser.ask, "Browser.close")  # a signal would have it leave a directory
        yield browser


def _started(profile: str) -> tuple["subprocess.Popen[bytes]", BinaryIO, BinaryIO]:
    """The browser, where its commands go to, and where its answers come from."""
    if CHROMIUM is None:
        raise RuntimeError("needs chromium (apt install chromium)")
    commands, to = _high_pipe()
    answers, out = _high_pipe()
    own = [
        "--headless",
        "--window-size=1280,800",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
    ]
    on_pipes = [sys.executable, "-c", _ON_PIPES, str(commands), str(out)]
    child = subprocess.Popen(
        [*on_pipes, CHROMIUM, *QUIET, *own],
        pass_fds=(commands, out),
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us: it is told to close
    )
    os.close(commands)
    os.close(out)
    return child, os.fdopen(to, "wb"), os.fdopen(answers, "rb")


def _high_pipe() -> tuple[int, int]:
    """A pipe whose ends are not the browser's 3 and 4."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _ABOVE_ITS_OWN) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
