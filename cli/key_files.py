"""Files that hold a key, for their owner alone to read."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from cli.exits import UsageError
from cli.output import print_json, say, warn
from shared.keys import KeyCreated
from shared.views import ClientCreated

Out = Annotated[
    Path | None, typer.Option(help="File to be made for the key, for you alone to read.")
]


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


def tell(made: KeyCreated | ClientCreated, out: Path | None, told: str, *, json: bool) -> None:
    """Print the new key, this once; where it is in a file say so, and not the key."""
    if json:
        print_json(made, leaving_out=None if out is None else {"key"})
    elif out is None:
        say(made.key)
        warn("the key is shown this once: keep it in a file of mode 0600")
    else:
        say(told)
