"""A child process that does one request after the other, and can be killed at any time.

It keeps what it has loaded between requests, dies with its parent, and is replaced after a crash,
after so many requests, or when its memory has grown. It is forked from a process that has imported
the heavy modules already, so that a fresh one is there at once.
"""

import gc
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from shared import crash_points, logs, memory
from worker.memory import oom_kills, taken_bytes
from worker.watching import METERS

log = logging.getLogger("tapestry.worker")

Report = Callable[[float], None]  # of a request's progress, 0 to 1; raises when it is to stop
Handle = Callable[[Any, Report], Any]  # does a request in the child; raises what it cannot do
_TICK_S = 0.2
_GRACE_S = 2.0
_STOP_WITHIN_S = 5.0
_BROKEN = (EOFError, OSError)  # of a pipe whose other end is gone
_CONTEXT = multiprocessing.get_context("forkserver")


class ChildDiedError(Exception):
    """The child ended before it answered."""

    def __init__(self, code: int | None, *, out_of_memory: bool) -> None:
        self.out_of_memory = out_of_memory
        super().__init__(f"the training process {_ending(code)}")


class StoppedError(Exception):
    """In the child: the parent does not want the answer any more."""


class _GoneError(EOFError):
    """In the child: the pipe is broken, for the parent is gone."""


class UnexpectedError(Exception):
    """The child met an error that it does not know; the text is the error's class."""


@dataclass(frozen=True)
class Limits:
    """When a child is replaced by a fresh one."""

    requests: int = 200
    memory_bytes: int = 1 << 62  # as `taken_bytes` counts them


@dataclass(frozen=True)
class _Request:
    value: object
    about: dict[str, object]  # what the child's lines are about


@dataclass(frozen=True)
class _Stop:
    pass


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
    process: ForkServerProcess
    connection: Connection
    requests: int = 0


class Supervisor:
    """Has requests done in a child process, one at a time; `build` makes the handler there.

    `modules` are imported before the first child is forked.
    """

    def __init__(
        self,
        build: Callable[[], Handle],
        limits: Limits = Limits(),
        modules: Sequence[str] = (),
    ) -> None:
        self._build = build
        self._limits = limits
        self._modules = list(modules)
        self._child: _Child | None = None
        self._children = 0

    @property
    def pid(self) -> int | None:
        """The child's process id, if there is one."""
        return self._child.process.pid if self._child else None

    def warm_up(self) -> None:
        """Have the modules imported, without waiting for it."""
        _CONTEXT.set_forkserver_preload(self._modules)
        forkserver.ensure_running()

    def call(self, request: object, on_progress: Report) -> Any:
        """The handler's answer.

        `on_progress` hears every progress, and the last one at least five times a second. It may
        raise: then the child is asked to stop, and soon killed. Raises what the handler raised,
        ChildDiedError and UnexpectedError.
        """
        child = self._ready()
        kills = oom_kills()
        try:
            child.connection.send(_Request(request, logs.current()))
            answer = self._answer(child, on_progress)
        except _BROKEN as error:
            child.process.join(_STOP_WITHIN_S)
            code = child.process.exitcode
            self.kill()
            short = code == -signal.SIGKILL and oom_kills() > kills
            METERS.died(out_of_memory=short)
            raise ChildDiedError(code, out_of_memory=short) from error
        child.requests += 1
        if isinstance(answer, _Failed):
            raise answer.error
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

    def _answer(self, child: _Child, on_progress: Report) -> _Done | _Failed:
        progress = 0.0
        try:
            while True:
                if child.connection.poll(_TICK_S):
                    message = child.connection.recv()
                    if not isinstance(message, _Progress):
                        return message  # type: ignore[no-any-return]  # a pipe carries anything
                    progress = message.value
                on_progress(progress)
        except _BROKEN:
            raise
        except BaseException:
            if not _stops(child.connection):
                self.kill()
            raise

    def _replace(self, why: str) -> None:
        log.info("the training process %s: a fresh one takes its place", why)
        self.kill()

    def _ready(self) -> _Child:
        if self._child is not None and not self._child.process.is_alive():
            self.kill()
        if self._child is None:
            self._child = self._begin()
        return self._child

    def _begin(self) -> _Child:
        _CONTEXT.set_forkserver_preload(self._modules)
        self._children += 1
        METERS.trainers.inc()
        armed = crash_points.of_child(self._children)
        ours, theirs = _CONTEXT.Pipe()
        with theirs:
            process = _CONTEXT.Process(
                target=_serve,
                args=(theirs, self._build, armed, logs.form()),
                name="trainer",
                daemon=True,
            )
            try:
                process.start()
            except _BROKEN as error:  # of the process that forks
                ours.close()
                raise ChildDiedError(None, out_of_memory=False) from error
        return _Child(process, ours)


def _stops(connection: Connection) -> bool:
    """Ask the child to stop; whether it does within the grace, and waits for another request."""
    end = time.monotonic() + _GRACE_S
    try:
        connection.send(_Stop())
        while connection.poll(max(end - time.monotonic(), 0)):
            if not isinstance(connection.recv(), _Progress):
                return True
    except _BROKEN:
        pass
    return False


def _ending(code: int | None) -> str:
    """How a process ended, for people."""
    if code is None:
        return "could not be started"
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _serve(
    connection: Connection, build: Callable[[], Handle], armed: str, form: logs.Form
) -> None:
    """The child's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which decides
    os.environ[crash_points.VARIABLE] = armed
    logs.set_up("trainer", form)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    handle = _built(build)
    memory.widen_names()
    gc.freeze()  # what is imported is no garbage; collections of the rest are quick, and come often
    try:
        while True:
            request = connection.recv()
            if isinstance(request, _Request):  # a stop that came too late stops nothing
                with logs.about(**request.about):
                    connection.send(_do(handle, request.value, connection))
    except _BROKEN:
        return  # the parent has closed its end


def _built(build: Callable[[], Handle]) -> Handle:
    """The handler; where it cannot be made, one that answers why."""
    try:
        return build()
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent hears of it
        problem = _portable(error)

        def refuse(_: object, __: Report) -> None:
            raise problem

        return refuse


def _do(handle: Handle, request: object, connection: Connection) -> _Done | _Failed:
    try:
        value = handle(request, lambda progress: _report(connection, progress))
    except _GoneError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent hears of it
        return _Failed(_portable(error))
    return _Done(value, taken_bytes())


def _report(connection: Connection, progress: float) -> None:
    """Say how far it is. Raises StoppedError, _GoneError."""
    try:
        connection.send(_Progress(progress))
        if not connection.poll():
            return
        connection.recv()  # during a request nothing but a stop comes
    except _BROKEN as error:  # unlike an error of the disk that the handler meets
        raise _GoneError from error
    raise StoppedError


def _portable(error: Exception) -> Exception:
    """The error itself where this code base made it; else its name, for it may quote data."""
    if type(error).__module__.split(".")[0] in {"worker", "shared"}:
        return error
    log.error("unexpected error in the training process", exc_info=error)
    return UnexpectedError(type(error).__name__)


def _die_with_parent() -> None:
    """End this process when its parent is gone, whatever it computes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
