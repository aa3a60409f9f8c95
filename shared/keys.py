"""Keys of the API as they are asked for and told: of each its prefix, never the key. JSON."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from shared.messages import Message
from shared.spec import Name
from shared.views import Next

KeyOrder = Literal["prefix", "-prefix", "created_at", "-created_at"]

LONGEST_LIFETIME = timedelta(days=3650)


class KeyScope(StrEnum):
    """What a key may do that is no client's; viewer < operator < admin, and the planner's."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    PLANNER = "planner"


class KeyState(StrEnum):
    """Whether requests with a key are answered."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ClientKeyCreate(Message):
    """Asks for another key of a client, to change over to."""

    lifetime: Annotated[timedelta, Field(gt=timedelta(0), le=LONGEST_LIFETIME)] | None = Field(
        default=None, description="For how long the key is valid; absent: until it is revoked."
    )


class KeyCreate(ClientKeyCreate):
    """Asks for a key that is no client's."""

    scope: KeyScope


class KeyView(Message):
    """A key as it is told: by its prefix."""

    prefix: str = Field(description="What stands in the key between `tap_` and the next `_`.")
    scope: str = Field(description="viewer, operator, admin, client or planner.")
    client: Name | None = Field(description="Whose key it is; absent where it is no client's.")
    state: KeyState
    created_at: datetime
    used_at: datetime | None = Field(description="When it was first used.")
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyCreated(KeyView):
    """A new key, shown this once."""

    key: str


class KeyList(Message):
    """A page of keys, by their prefixes unless another order is asked for."""

    items: tuple[KeyView, ...]
    next: Next = None
