"""`tapestry page`: a link to the page that signs its reader in."""

import uuid
from datetime import timedelta

from cli.connection import Connection
from cli.options import Expires, Json, Key, KeyFile, Url
from cli.output import print_data, say
from shared.keys import KeyCreate, KeyScope

_LASTS = timedelta(hours=12)


def page(
    expires: Expires = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Print a link to the page, with a viewer's key of its own that ends after 12 hours.

    What stands behind the # is sent to no server: the page puts it into a cookie and forgets it.
    """
    wish = KeyCreate(scope=KeyScope.VIEWER, lifetime=expires or _LASTS)
    with Connection(url, key, key_file).open() as api:
        made = api.create_key(wish, str(uuid.uuid4()))
        link = f"{api.url}/signin#{made.key}"
    if json:
        print_data({**made.model_dump(mode="json"), "link": link})
    else:
        say(link)
