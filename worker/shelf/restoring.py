"""Getting a model from the shelf: the client's states are below the work directory again."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.api_client import ApiClient
from shared.artifacts import file_digest
from shared.shelf import ShelfItem, ShelfRow
from shared.shelf_spec import ShelfForm, agreed
from worker.disk import TEMPORARY
from worker.personal_files import PersonalFiles
from worker.shelf.errors import ShelfError
from worker.shelf.keys import ShelfKey
from worker.shelf.notes import MOST_STATES
from worker.shelf.sealing import Owner, seal, unseal

Begun = Callable[[Path], object]


def get(owner: Owner, work_dir: Path, api: ApiClient, before: Begun = lambda _: None) -> ShelfItem:
    """Lay the client's states down as its worker had them; the directory must be owned.

    Nothing of them is there before all is found whole. `before` is told where what is not whole
    lies. Raises ShelfError, ApiError, OSError.
    """
    row = _row(owner, api)
    item = row.item
    if item is None:
        raise ShelfError(
            f"there is no model of client {owner.client} on the shelf of job {owner.job} "
            f"({row.sentence}): restore the client's directory from a backup"
        )
    if item.form is ShelfForm.ENCRYPTED:
        _ = owner.key  # before much is downloaded in vain
    with _scratch(work_dir, before) as scratch:
        _download(owner, api, item, scratch / "model")
        files = PersonalFiles(scratch / "states")
        found = unseal(owner, scratch / "model", files)
        if found.states[0] != item.state_digest:
            raise ShelfError(
                "the model on the shelf is another one than the coordinator says: have the "
                "operator look how it came there"
            )
        target = _files(owner, work_dir)
        for each in found.files:
            target.store.keep(files.store.path(each.sha256), each.sha256)
        target.accept(found.states)
    return item


def _row(owner: Owner, api: ApiClient) -> ShelfRow:
    """The client's row of the shelf. Raises ShelfError where the job has none."""
    view = api.shelf(owner.job)
    row = next((each for each in view.items if each.client == owner.client), None)
    if row is None:
        raise ShelfError(
            f"job {owner.job} asks for no personal models (its spec says shelf: {view.asked}), or "
            f"the key is not client {owner.client}'s: check both"
        )
    return row


def _download(owner: Owner, api: ApiClient, item: ShelfItem, path: Path) -> None:
    api.get_from_shelf(owner.job, item, path)
    if file_digest(path) != item.sha256:
        raise ShelfError(
            "the model's bytes are not those that were put on the shelf: try again, and then have "
            f"the operator restore artifact {item.sha256[:12]} from a backup"
        )


def put(
    owner: Owner,
    allowed: ShelfForm,
    work_dir: Path,
    api: ApiClient,
    before: Begun = lambda _: None,
) -> ShelfRow:
    """Put the state that the server knows there, now, in the form that client and job agree to.

    Raises ShelfError, StateError, ApiError, OSError.
    """
    asked = api.shelf(owner.job).asked
    form = agreed(asked, allowed)
    if form is ShelfForm.NONE:
        raise ShelfError(
            f"the job says shelf: {asked} and the client file says shelf: {allowed}, so nothing is "
            "put there: change the client file, or fork the job with another shelf"
        )
    if form is ShelfForm.ENCRYPTED:
        ShelfKey.ensure(owner.key_file)
    digest = api.takeaway(owner.job).state_digest
    if digest is None:
        raise ShelfError(f"client {owner.client} has no personal model in this job: wait for it")
    files = _files(owner, work_dir)
    states = list(dict.fromkeys([digest, *files.accepted()]))[:MOST_STATES]
    with _scratch(work_dir, before) as scratch:
        wish = seal(owner, form, files, states, scratch / "model")
        api.put_on_shelf(owner.job, wish, scratch / "model")
    return _row(owner, api)


def drop(scratch: Path) -> None:
    """Remove what is not whole."""
    shutil.rmtree(scratch, ignore_errors=True)


def _files(owner: Owner, work_dir: Path) -> PersonalFiles:
    return PersonalFiles(work_dir / "personal" / owner.client / str(owner.job))


@contextmanager
def _scratch(work_dir: Path, before: Begun) -> Iterator[Path]:
    """A directory for a while; the next worker's start clears it away if nobody else does."""
    made = work_dir / TEMPORARY / f"shelf-{uuid.uuid4().hex}"
    before(made)
    made.mkdir(mode=0o700, parents=True)
    try:
        yield made
    finally:
        drop(made)
