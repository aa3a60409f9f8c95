"""Options that many commands share."""

import re
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from shared.components import NAME_PATTERN

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = timedelta(days=3650)


def time(text: str) -> timedelta:
    """A time of the command line, such as 90d. Raises typer.BadParameter."""
    found = re.fullmatch(r"([0-9]{1,8})([smhdw])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time: write 30s, 10m, 12h, 90d or 2w")
    length = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    if not timedelta(0) < length <= _LONGEST:
        raise typer.BadParameter(f"{text} is not between 1s and {_LONGEST.days}d: choose another")
    return length


def _idempotency_key(text: str) -> str:
    """What names a request, for those who repeat it. Raises typer.BadParameter."""
    if re.fullmatch(r"[\x21-\x7e]{1,200}", text) is None:
        raise typer.BadParameter("a key is 1 to 200 letters, digits and signs without a space")
    return text


def client_name(text: str) -> str:
    """What may be a client's name. Raises typer.BadParameter."""
    if re.fullmatch(NAME_PATTERN, text) is None:
        raise typer.BadParameter(
            f"{text!r} is no client's name: take one that `tapestry clients` lists"
        )
    return text


MOST_ROUNDS = 2**31 - 1  # what the API takes for a round's number
Url = Annotated[str | None, typer.Option(help="Address of the API.", envvar="TAPESTRY_API_URL")]
KeyFile = Annotated[
    Path | None, typer.Option(help="File that holds the key.", envvar="TAPESTRY_KEY_FILE")
]
Key = Annotated[str | None, typer.Option(envvar="TAPESTRY_KEY", hidden=True)]
Job = Annotated[uuid.UUID, typer.Argument(help="The job's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        parser=_idempotency_key,
        metavar="TEXT",
        help="Names this launch: the same command with the same key launches it once.",
    ),
]
GiveUp = Annotated[
    timedelta | None,
    typer.Option(
        parser=time,
        metavar="TIME",
        help="End when the API has been away for so long, such as 10m; else never.",
    ),
]
Expires = Annotated[
    timedelta | None,
    typer.Option(
        parser=time, metavar="TIME", help="How long the key is valid, such as 90d; else for ever."
    ),
]
