"""A child process that does one request after the other, and can be killed at any time.

It keeps what it has loaded between requests, dies with its parent, and is replaced after a crash,
after so many requests, or when its memory has grown.
"""

import logging
import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import psutil

log = logging.getLogger("tapestry.worker")

Report = Callable[[float], None]  # of a request's progress, 0 to 1
Handle = Callable[[Any, Report], Any]  # does a request in the child; raises what it cannot do
_TICK_S = 0.2
_STOP_WITHIN_S = 5.0


class ChildDiedError(Exception):
    """The child ended before it answered; `code` is its exit status, negative for a signal."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        super().__init__(
            f"the training process ended with status {code}: look at this worker's log, and "
            "whether the machine ran out of memory"
        )


class UnexpectedError(Exception):
    """The child met an error that it does not know."""


@dataclass(frozen=True)
class Limits:
    """When a child is replaced by a fresh one."""

    requests: int = 200
    memory_bytes: int = 1 << 62


@dataclass(frozen=True)
class _Progress:
    value: float


@dataclass(frozen=True)
class _Done:
    value: Any
    memory_bytes: int


@dataclass(frozen=True)
class _Failed:
    error: Exception


@dataclass
class _Child:
    process: SpawnProcess
    connection: Connection
    requests: int = 0


class Supervisor:
    """Has requests done in a child process, one at a time; `build` makes the handler there."""

    def __init__(self, build: Callable[[], Handle], limits: Limits = Limits()) -> None:
        self._build = build
        self._limits = limits
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, if there is one."""
        return self._child.process.pid if self._child else None

    def call(self, request: object, on_progress: Report) -> Any:
        """The handler's answer.

        `on_progress` hears the last progress at least five times a second, and may raise: then the
        child is killed. Raises what the handler raised, ChildDiedError and UnexpectedError.
        """
        child = self._ready()
        try:
            child.connection.send(request)
            answer = _answer(child.connection, on_progress)
        except (EOFError, ConnectionError) as error:
            child.process.join(_STOP_WITHIN_S)
            code = child.process.exitcode
            self.kill()
            raise ChildDiedError(code) from error
        except BaseException:
            self.kill()
            raise
        if isinstance(answer, _Failed):
            raise answer.error
        child.requests += 1
        if child.requests >= self._limits.requests:
            self._replace(f"has done {child.requests} requests")
        elif answer.memory_bytes > self._limits.memory_bytes:
            self._replace(f"takes {answer.memory_bytes >> 20} MiB")
        return answer.value

    def kill(self) -> None:
        """End the child at once."""
        if self._child is not None:
            self._child.process.kill()
            self._child.process.join()
            self._child.process.close()
            self._child.connection.close()
            self._child = None

    def _replace(self, why: str) -> None:
        log.info("the training process %s: a fresh one takes its place", why)
        self.kill()

    def _ready(self) -> _Child:
        if self._child is not None and not self._child.process.is_alive():
            self.kill()
        if self._child is None:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            arguments = (theirs, self._build, os.getpid())
            process = context.Process(target=_serve, args=arguments, name="trainer", daemon=True)
            process.start()
            theirs.close()
            self._child = _Child(process, ours)
        return self._child


def _answer(connection: Connection, on_progress: Report) -> _Done | _Failed:
    progress = 0.0
    while True:
        if connection.poll(_TICK_S):
            message = connection.recv()
            if isinstance(message, _Done | _Failed):
                return message
            progress = message.value
        on_progress(progress)


def _serve(connection: Connection, build: Callable[[], Handle], parent: int) -> None:
    """The child's whole life."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    handle = build()
    try:
        while True:
            connection.send(_do(handle, connection.recv(), connection))
    except (EOFError, ConnectionError):
        return  # the parent has closed its end


def _do(handle: Handle, request: object, connection: Connection) -> _Done | _Failed:
    try:
        value = handle(request, lambda progress: connection.send(_Progress(progress)))
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent hears of it
        return _Failed(_portable(error))
    return _Done(value, psutil.Process().memory_info().rss)


def _portable(error: Exception) -> Exception:
    """The error itself where this code base made it; else its name, for it may quote data."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be loaded here
        return MemoryError(str(error))
    if type(error).__module__.split(".")[0] in {"worker", "shared"} or type(error) is MemoryError:
        return error
    log.error("unexpected error in the training process:\n%s", traceback.format_exc())
    return UnexpectedError(type(error).__name__)


def _die_with(parent: int) -> None:
    """End this process when its parent is gone, whatever it computes."""
    while os.getppid() == parent:
        time.sleep(_TICK_S)
    os._exit(1)
