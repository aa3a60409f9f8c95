"""Puts noted models on the shelf, beside the worker's other work; no job waits for it or fails."""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from shared.crash_points import crash_point
from shared.logs import about
from shared.problem_codes import Code
from shared.shelf import ShelfPut
from shared.shelf_spec import ShelfForm
from shared.transport import ApiError
from worker.attempt import Member
from worker.decisions import Ending, when_not_put
from worker.personal_files import StateError
from worker.shelf.errors import ShelfError
from worker.shelf.keys import ShelfKey
from worker.shelf.notes import Note
from worker.shelf.sealing import Owner, seal

log = logging.getLogger("tapestry.worker")

_LOOK_S = 5.0
_AGAIN_S = 30.0  # as a full server says by Retry-After


class Shelving:
    """The members' models on their way to the shelf; `key_of` says where a client's key lies."""

    def __init__(self, members: Mapping[str, Member], key_of: Callable[[str], Path]) -> None:
        self._members = members
        self._key_of = key_of

    def run(self, stopping: threading.Event) -> None:
        """Look again and again, until the worker stops."""
        done = True
        while not stopping.wait(_LOOK_S if done else _AGAIN_S):
            done = self.turn()

    def turn(self) -> bool:
        """Put all there that is noted; whether nothing is left."""
        done = True
        for member in self._members.values():
            for note in member.place.shelf.waiting():
                done &= self._tried(member, note)
        return done

    def _tried(self, member: Member, note: Note) -> bool:
        """Whether nothing is left to do about it."""
        with about(job=note.job, client=member.place.name):
            try:
                self._put(member, note)
            except ApiError as error:
                if when_not_put(error.problem.status, error.problem.code) is Ending.DROP:
                    return _given_up(member, note, error)
                if error.problem.code == Code.WRONG_HASH:  # by this disk's fault, perhaps
                    member.place.shelf.sealed_file(note.job).unlink(missing_ok=True)
                log.warning("the personal model is not on the shelf yet: %s", error)
            except StateError as error:
                return _given_up(member, note, error)
            except (ShelfError, OSError) as error:
                log.warning("the personal model is not on the shelf yet: %s", error)
            else:
                return True
            return False

    def _put(self, member: Member, note: Note) -> None:
        """Raises ApiError, StateError, ShelfError, OSError."""
        sealed = self._sealed(member, note)
        crash_point("shelf.sealed")
        notes, path = member.place.shelf, member.place.shelf.sealed_file(note.job)
        member.api.put_on_shelf(note.job, sealed, path)
        crash_point("shelf.sent")
        notes.drop(note)
        log.info("the personal model is on the shelf, %s, %d bytes", sealed.form, sealed.n_bytes)

    def _sealed(self, member: Member, note: Note) -> ShelfPut:
        """What is announced: of a file that an earlier try has left, or of a new one."""
        place = member.place
        path = place.shelf.sealed_file(note.job)
        if note.sealed is not None and path.is_file():
            return note.sealed
        owner = Owner(note.job, place.name, self._key_of(place.name))
        if note.form is ShelfForm.ENCRYPTED:
            ShelfKey.ensure(owner.key_file)
        part = path.with_suffix(".part")
        made = seal(owner, note.form, place.personal_files(note.job), note.states, part)
        part.replace(path)
        place.shelf.write(note.model_copy(update={"sealed": made}))
        return made


def _given_up(member: Member, note: Note, error: Exception) -> bool:
    log.error("the personal model is not put on the shelf: %s", error)
    member.place.shelf.drop(note)
    return True
