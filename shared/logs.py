"""Log lines that say what they are about: readable text, or JSON lines if a process is asked to.

What a block is about (job, round, client, assignment, attempt, request) is bound around it once,
and stands on every line that is logged in it. No secret passes: see `without_secrets`.
"""

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from functools import partial
from typing import Literal

Form = Literal["text", "json"]
Fields = Mapping[str, object]

_QUIET = ("httpx", "httpcore", "celery.worker.strategy", "celery.app.trace")  # a line per request
_about: ContextVar[dict[str, object] | None] = ContextVar("tapestry_about", default=None)
_form: Form = "text"
_WORD = re.compile(r"[\w.:/{}()+-]+")
_KEY = re.compile(r"(tap_[0-9a-f]{4,16}_)[\w-]+")
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_BEARER = re.compile(r"(?i)(bearer\s+)(?!tap_)[\w.~+/=-]{8,}")


def current() -> dict[str, object]:
    """What the lines are about that are logged here."""
    return dict(_about.get() or {})


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Have these on every line until the block ends; None leaves out."""
    token = _about.set({**current(), **_given(fields)})
    try:
        yield
    finally:
        _about.reset(token)


def begin(**fields: object) -> None:
    """Have these, and nothing of what was before, on every line of this thread or task."""
    _about.set(_given(fields))


def note(**fields: object) -> None:
    """Have these on every line until the surrounding `about` ends, in all threads that share it."""
    known = _about.get()
    if known is not None:
        known.update(_given(fields))


def _given(fields: Fields) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def thread(run: Callable[[], object], name: str) -> threading.Thread:
    """A daemon thread whose lines are about what those here are."""
    return threading.Thread(target=partial(copy_context().run, run), name=name, daemon=True)


def form() -> Form:
    """The form of the process's lines, for those of its children."""
    return _form


def set_up(process: str, form: Form = "text") -> None:
    """Write the process's log to stderr, from INFO on; once in each process."""
    global _form  # noqa: PLW0603  # a process has one log
    _form = form
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(process) if form == "json" else Text())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _uncaught
    threading.excepthook = lambda ended: _uncaught(
        ended.exc_type, ended.exc_value, ended.exc_traceback
    )


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: object) -> None:
    """Have what ends a process or a thread as one line too."""
    if error is not None and issubclass(kind, Exception):
        logging.getLogger("tapestry").critical("it ends by an error", exc_info=error)
    elif kind is not SystemExit:
        sys.__excepthook__(kind, error, trace)  # type: ignore[arg-type]  # as it came


class Text(logging.Formatter):
    """Time, level, logger, message, and what it is about."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s%(fields)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line, and an error's traceback below it."""
        fields = " ".join(f"{name}={_plain(value)}" for name, value in _fields(record).items())
        record.fields = f" [{fields}]" if fields else ""
        return without_secrets(super().format(record))


def _plain(value: object) -> str:
    """The value as one word; quoted where it is none, for it may come from outside."""
    text = str(value)
    return text if _WORD.fullmatch(text) else json.dumps(text)


class JsonLines(logging.Formatter):
    """One JSON object in each line; an error's traceback is in `error`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        own: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1]:
            own["error"] = "".join(traceback.format_exception(record.exc_info[1]))
        line = {**own, **_fields(record), **own}  # whatever it is about, these are the line's own
        return without_secrets(json.dumps(line, default=str, ensure_ascii=False))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What is bound, and what this line alone was given as `extra={"about": {...}}`."""
    own = getattr(record, "about", None)
    return {**current(), **(_given(own) if isinstance(own, Mapping) else {})}


def without_secrets(text: str) -> str:
    """The text with its keys and passwords blotted out.

    We log none; this is for what a library or a caller may quote.
    """
    text = _KEY.sub(r"\1***", text)
    return _BEARER.sub(r"\1***", _PASSWORD.sub(r"\1***@", text))
