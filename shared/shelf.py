"""The personal-model shelf: what a client puts there, and what is shown of it. JSON on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import Field, NonNegativeInt, PositiveInt

from shared.messages import Message
from shared.shelf_spec import ShelfForm
from shared.spec import Name, Sha256


class ShelfPut(Message):
    """Announces a client's personal model: the bytes that are to come, of which one is kept."""

    form: ShelfForm
    sha256: Sha256 = Field(description="Of the bytes as they lie on the server.")
    n_bytes: PositiveInt
    state_digest: Sha256 = Field(
        description="The personal state that it is, by the digest that the client reported."
    )


class ShelfUpload(Message):
    """One stream of bytes, wanted from `offset` on; when complete, it takes its place."""

    id: UUID
    offset: NonNegativeInt
    n_bytes: PositiveInt
    complete: bool


class ShelfItem(Message):
    """A personal model on the shelf. Its bytes are its client's alone to read."""

    id: UUID
    form: ShelfForm
    n_bytes: PositiveInt
    sha256: Sha256
    state_digest: Sha256
    current: bool = Field(
        description="Whether it is the personal state that the job goes on with, or ended with."
    )
    put_at: datetime


class ShelfRow(Message):
    """One client of the job: in which form its model is to lie there, and what is there."""

    client: Name
    agreed: ShelfForm = Field(
        description="The less open of what the job asks and the client allows; `none` where the "
        "client goes without."
    )
    item: ShelfItem | None = None

    @property
    def sentence(self) -> str:
        """The row for people."""
        if self.item is not None:
            old = "" if self.item.current else ", of an earlier personal state"
            return f"{self.item.form}, {self.item.n_bytes} bytes{old}"
        if self.agreed is ShelfForm.NONE:
            return "it goes without, for the client does not allow it"
        return f"not there yet; it is to be {self.agreed}"


class ShelfView(Message):
    """The shelf of a job: all clients' rows for operators, its own for a client."""

    job_id: UUID
    asked: ShelfForm
    items: tuple[ShelfRow, ...]


class ShelfDeleted(Message):
    """What was deleted, and is nowhere any more."""

    clients: tuple[Name, ...]
    n_bytes: NonNegativeInt
