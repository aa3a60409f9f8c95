"""`tapestry page`: a link to the page that signs its reader in."""

import uuid
from datetime import timedelta
from typing import Annotated

import typer

from cli.connection import Connection, checked_address
from cli.options import Json, Key, KeyFile, Url, time
from cli.output import print_data, say
from shared.keys import KeyCreate, KeyScope

_LASTS = timedelta(hours=12)

Lasts = Annotated[
    timedelta | None,
    typer.Option(
        parser=time, metavar="TIME", help="How long its key is valid, such as 90d; else 12 hours."
    ),
]
PublicUrl = Annotated[
    str | None,
    typer.Option(help="Where people find the API, if not at --url.", envvar="TAPESTRY_PUBLIC_URL"),
]


def page(
    expires: Lasts = None,
    public_url: PublicUrl = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Print a link to the page, with a viewer's key of its own; it takes an admin's key to make.

    What stands behind the # is sent to no server: the page puts it into a cookie and forgets it.
    """
    wish = KeyCreate(scope=KeyScope.VIEWER, lifetime=expires or _LASTS)
    shown = checked_address(public_url, "--public-url") if public_url else None
    with Connection(url, key, key_file).open() as api:
        made = api.create_key(wish, str(uuid.uuid4()))
        link = f"{(shown or api.url).rstrip('/')}/signin#{made.key}"
    if json:
        print_data({**made.model_dump(mode="json"), "link": link})
    else:
        say(link)
