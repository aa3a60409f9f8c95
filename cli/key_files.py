"""Files that hold a key, for their owner alone to read."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cli.exits import UsageError


@contextmanager
def new(path: Path) -> Iterator[IO[str]]:
    """A file that its owner alone can read; it goes again when the block fails.

    It is there before the key is, which nobody could show a second time. Raises UsageError.
    """
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be made ({error.strerror}): choose another --out"
        ) from error
    try:
        with os.fdopen(number, "w", encoding="ascii") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def write(file: IO[str], key: str) -> None:
    """Write the key so that it outlives a power cut. Raises OSError, and has closed it then."""
    try:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            file.close()
        raise
