"""`python -m worker.shelf get|put JOB`: a client's model from the server's shelf, or there.

Both read the environment of the client's worker: its API, key, client files and work directory.
"""

import argparse
import os
from functools import partial
from pathlib import Path
from uuid import UUID

from worker.signals import STOPPED, when_told_to_stop

if __name__ == "__main__":
    when_told_to_stop(lambda: os._exit(STOPPED))

from shared.api_client import ApiClient
from shared.artifacts import ArtifactError
from shared.shelf import ShelfItem, ShelfRow
from shared.spec_files import SpecError
from shared.terminal import escaped, harmless, take_any_text
from shared.transport import ApiError
from worker.data.client_file import ClientFile
from worker.disk import owned
from worker.ending import end
from worker.personal_files import StateError
from worker.settings import read_settings
from worker.shelf.errors import ShelfError
from worker.shelf.restoring import drop, get, put
from worker.shelf.sealing import Owner

Did = tuple[ShelfItem | ShelfRow, str]  # what the API says of it, and a sentence for people
_KNOWN = (ShelfError, ApiError, ArtifactError, SpecError, StateError, OSError, ValueError)


def main() -> None:
    """Do what is asked; ends with one sentence where that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("get", "put"))
    parser.add_argument("job", type=UUID)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    take_any_text()
    try:
        settings = read_settings()
        (file,) = map(ClientFile.read, settings.client_files)
        with ApiClient(settings.api_url, settings.key_of(file.client)) as api:
            owner = Owner(asked.job, file.client, settings.shelf_key_of(file.client))
            act = _get if asked.command == "get" else _put
            found, said = act(owner, file, settings.work_dir, api)
            told = escaped(found.model_dump_json(indent=1)) if asked.json else harmless(said)
            print(told, flush=True)  # noqa: T201 - its answer
    except _KNOWN as error:
        end(error)


def _get(owner: Owner, _: ClientFile, work_dir: Path, api: ApiClient) -> Did:
    with owned(work_dir):
        item = get(owner, work_dir, api, _remove_when_stopped)
    old = "" if item.current else ", an earlier one than the job's last"
    state = item.state_digest[:12]
    return item, f"{work_dir} has personal state {state} of client {owner.client}{old}"


def _put(owner: Owner, file: ClientFile, work_dir: Path, api: ApiClient) -> Did:
    row = put(owner, file.shelf, work_dir, api, _remove_when_stopped)
    return row, f"client {owner.client} on the shelf of job {owner.job}: {row.sentence}"


def _remove_when_stopped(scratch: Path) -> None:
    when_told_to_stop(partial(_leave, scratch))


def _leave(scratch: Path) -> None:
    drop(scratch)
    os._exit(STOPPED)


if __name__ == "__main__":
    main()
