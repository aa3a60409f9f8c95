"""Whether clients' personal models are kept on the server: what jobs ask and clients allow."""

from enum import StrEnum
from pathlib import Path


class ShelfForm(StrEnum):
    """How a personal model lies on the server; each form is more open than the one before."""

    NONE = "none"
    ENCRYPTED = "encrypted"
    PLAIN = "plain"

    def allows(self, form: "ShelfForm") -> bool:
        """Whether this, as the most open form that somebody agrees to, lets a model lie like that.

        Nothing allows the form `none`: then there is no model.
        """
        return form is not ShelfForm.NONE and _OPENNESS[form] <= _OPENNESS[self]


_OPENNESS = {form: number for number, form in enumerate(ShelfForm)}


def agreed(asked: ShelfForm, allowed: ShelfForm) -> ShelfForm:
    """The form between a job and a client: the less open of what both say."""
    return min(asked, allowed, key=_OPENNESS.__getitem__)


def key_file(work_dir: Path, client: str) -> Path:
    """Where a client's shelf key lies unless somebody says otherwise.

    Beside the worker's directory: whoever loses that still has the key.
    """
    place = work_dir.absolute()
    return place.with_name(f"{place.name}-shelf-keys") / f"{client}.key"
