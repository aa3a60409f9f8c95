"""Rules of workers that upload: whole, in pieces, again, and everything that is wrong."""

import hashlib
import json
from uuid import UUID

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import rule

from server.storage import part_path
from server.updates.service import MOST_REFUSALS
from shared.states import ASSIGNMENT_HELD, AssignmentState
from tests.support.machine.averages import component
from tests.support.machine.base import FAULTS, PICK, Expectation, Faults
from tests.support.machine.calls import Answer
from tests.support.machine.claiming import WHO
from tests.support.machine.describing import Describing
from tests.support.machine.hands import Hand
from tests.support.machine.reference import need
from tests.support.machine.rows import Files, Upload, Work
from tests.support.machine.workers import MISSING, STALE

_UPLOADS = """
    SELECT id, attempt, digest, components, completed_at IS NOT NULL AS complete, refusals
    FROM uploads WHERE assignment_id = %s
"""
_ARRIVED = "SELECT component, sha256 FROM uploaded_components WHERE assignment_id = %s"
N_BYTES = len(component(0.0))
_HEADER = component(0.0)[: N_BYTES - 12]


def announcement(files: Files) -> str:
    """The digest by which the service knows an announcement again."""
    wishes = {name: {"sha256": sha, "n_bytes": size} for name, (sha, size) in files.items()}
    return hashlib.sha256(json.dumps(wishes, sort_keys=True).encode()).hexdigest()


def spoiled(rest: bytes, how: str) -> bytes:
    """The bytes that are left of a stream, as a worker sends them that does it that way."""
    match how:
        case "half":
            return rest[: len(rest) // 2]
        case "byte":
            return rest[:1]
        case "nothing":
            return b""
        case "too much":
            return rest + b"x"
        case "NaN":
            return rest[:-4] + np.float32("nan").tobytes()
        case "header":
            return b"?" + rest[1:]
        case "other":
            return rest[:-4] + np.float32(123).tobytes()
        case _:
            return rest


class Senders(Describing):
    """Workers that send what they have made."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[Work] = []  # in this step, for the second time

    def observe(self) -> None:
        """As before; what was refused twice has failed."""
        super().observe()
        for work in self.refused:
            need(work.state is AssignmentState.FAILED, f"{work.id} was refused twice")
        self.refused = []

    # announcing

    @rule(who=WHO, pick=PICK, value=st.integers(0, 3), fault=FAULTS,
          wrong=st.sampled_from(["", "", "", "name", "length", "lease"]))  # fmt: skip
    def announce(self, who: str, pick: int, value: int, wrong: str, fault: Faults) -> None:
        self.step(f"announce {wrong}".strip())
        hand = self.any_hand(who, pick)
        if hand is None:
            return
        if not hand.files:
            hand.make_files(self.reference.averages, value)
        names = hand.components or {"proj": "e" * 64}
        files = {name: (sha, N_BYTES) for name, sha in names.items()}
        if wrong == "name":
            files["nothing"] = ("e" * 64, N_BYTES)
        if wrong == "length":
            files = {name: (sha, N_BYTES + 4) for name, (sha, _) in files.items()}
        attempt = hand.lease["attempt"] + (wrong == "lease")
        self.announces(who, hand, files, attempt, fault)

    def announces(
        self, who: str, hand: Hand, files: Files, attempt: int, fault: Faults = None
    ) -> None:
        """Announce files for the claim in the hand."""
        work = self.own(who, hand)
        wishes = {name: {"sha256": sha, "n_bytes": size} for name, (sha, size) in files.items()}
        body = {**hand.held, "attempt": attempt, "components": wishes}
        self.ask(
            fault,
            lambda: self._announced(work, hand, files, attempt),
            who,
            "POST /v1/uploads",
            body,
            later=lambda answer: self._announced_late(work, hand, answer),
        )
        if self.faulted and work is not None:
            self.reload(work)

    def _announced(self, work: Work | None, hand: Hand, files: Files, attempt: int) -> Expectation:
        if work is None:
            return MISSING
        fits = hand.lease == {"lease_id": work.lease_id, "attempt": attempt}
        if not fits or not self.current(work, hand) or work.job.ended:
            return STALE
        if work.uploads_nothing:
            return Expectation(422, "nothing_to_upload")
        if not set(files) <= set(work.components):
            return Expectation(422, "unknown_component")
        if work.job.catalogue is None:
            return Expectation(409, "no_catalogue")
        if any(size != N_BYTES for _, size in files.values()):
            return Expectation(422, "wrong_length")
        return self._wanted(work, hand, files)

    def _wanted(self, work: Work, hand: Hand, files: Files) -> Expectation:
        """An upload that may be there already; with all bytes here it is completed at once."""
        digest = announcement(files)
        left = {n: f for n, f in files.items() if (n, f[0]) not in work.arrived}
        before = self._begun(work, digest)
        if before is not None:
            before.attempt = work.attempt
            if not before.complete and len(before.received) == before.n_bytes:
                if before in self.busy():
                    return Expectation(409, "upload_busy")
                return self._completes(work, before, 201)

        def take(answer: Answer) -> None:
            view = answer.body
            upload = work.uploads.get(view["id"])
            if upload is None:
                need(before is None, f"upload of {work.id}: {view}, expected {before}")
                need(set(view["components"]) == set(left), f"upload of {work.id}: {view}")
                wanted = {name: left[name] for name in view["components"]}
                upload = Upload(view["id"], work.attempt, digest, wanted)
                work.uploads[upload.id] = upload
            upload.complete = upload.complete or not upload.files
            need(view["complete"] == upload.complete, f"upload of {work.id}: {view}")
            offset = upload.n_bytes if upload.complete else len(upload.received)
            need(view["offset"] == offset, f"upload of {work.id}: {view}, expected {offset}")
            hand.upload = upload.id

        return Expectation(201, then=take)

    def _begun(self, work: Work, digest: str) -> Upload | None:
        """The upload of these bytes in this attempt, or one that an earlier left unfinished."""
        same = [upload for upload in work.uploads.values() if upload.digest == digest]
        go_on = [u for u in same if u.attempt == work.attempt or not u.complete]
        return max(go_on, key=lambda upload: upload.attempt, default=None)

    def _announced_late(self, work: Work | None, hand: Hand, answer: Answer) -> None:
        self.judged(f"late announcement for {hand.id}", answer)
        if work is not None:
            self.reload(work)
            if answer.status == 201:
                hand.upload = answer.body["id"]

    # sending

    @rule(who=WHO, pick=PICK, how=st.sampled_from(
        ["rest", "rest", "rest", "half", "byte", "again", "gap", "too much",
         "NaN", "header", "other", "nothing"]), fault=FAULTS)  # fmt: skip
    def send(self, who: str, pick: int, how: str, fault: Faults) -> None:
        self.step(f"send {how}")
        hand = self.any_hand(who, pick)
        work = self.own(who, hand) if hand else None
        upload = work.uploads.get(hand.upload or "") if work and hand else None
        if hand is None or work is None or upload is None:
            return
        offset = len(upload.received)
        rest = self.stream(upload, hand)[offset:]
        data = spoiled(rest, how)
        offset += {"gap": 1, "again": -min(offset, 5)}.get(how, 0)
        self.sends(who, work, upload, data, offset, fault)

    def stream(self, upload: Upload, hand: Hand) -> bytes:
        """All bytes of the upload."""
        return b"".join(hand.files.get(name, component(9.0)) for name in upload.files)

    def sends(  # a request is that much
        self,
        who: str,
        work: Work,
        upload: Upload,
        data: bytes,
        offset: int,
        fault: Faults = None,
    ) -> None:
        """Send bytes of the upload."""
        self.ask(
            fault,
            lambda: self._sent(work, upload, data, offset),
            who,
            f"PATCH /v1/uploads/{upload.id}",
            data,
            later=lambda answer: self._sent_late(work, upload, answer),
            upload_offset=str(offset),
            content_type="application/octet-stream",
        )
        if self.faulted:
            self.reload(work)
        store = self.arena.coordinators[0].store
        if not part_path(store, UUID(upload.id)).exists():
            for each in self.frozen:
                each.holds_part &= upload.id not in each.name

    def _sent(self, work: Work, upload: Upload, data: bytes, offset: int) -> Expectation:
        if upload.id not in work.uploads:
            return MISSING
        if upload.attempt != work.attempt or work.state not in ASSIGNMENT_HELD:
            return STALE
        if upload.complete:
            return Expectation(200)
        if upload in self.busy():
            return Expectation(409, "upload_busy")
        if offset != len(upload.received):
            return Expectation(409, "wrong_offset")
        if offset + len(data) > upload.n_bytes:
            return Expectation(413, "too_large")
        whole = upload.received + data
        if len(whole) < upload.n_bytes:
            return Expectation(200, then=lambda _: self._grows(upload, whole))
        upload.received = whole
        return self._completes(work, upload, 200)

    def busy(self) -> list[Upload]:
        """The uploads to which a frozen request writes."""
        writes = [each for each in self.frozen if each.name.startswith("PATCH")]
        names = [each.name for each in writes if each.holds_part]
        every = [u for work in self.reference.work.values() for u in work.uploads.values()]
        return [upload for upload in every if any(upload.id in name for name in names)]

    def _grows(self, upload: Upload, whole: bytes) -> None:
        upload.received = whole

    def _completes(self, work: Work, upload: Upload, status: int) -> Expectation:
        """All bytes are here: they are kept, or dropped and counted."""
        code = self._refusal(upload)
        if not code:
            return Expectation(status, then=lambda _: self._arrived(work, upload))
        return Expectation(422, code, then=lambda _: self._refused(work, upload))

    def _refusal(self, upload: Upload) -> str:
        for n, (sha, _) in enumerate(upload.files.values()):
            part = upload.received[n * N_BYTES : (n + 1) * N_BYTES]
            if part[:-12] != _HEADER:
                return "wrong_header"
            if not np.isfinite(np.frombuffer(part[-12:], "<f4")).all():
                return "not_finite"
            if hashlib.sha256(part).hexdigest() != sha:
                return "wrong_hash"
        return ""

    def _arrived(self, work: Work, upload: Upload) -> None:
        upload.complete = True
        work.arrived |= {(name, sha) for name, (sha, _) in upload.files.items()}

    def _refused(self, work: Work, upload: Upload) -> None:
        upload.received = b""
        upload.refusals += 1
        total = sum(each.refusals for each in work.uploads.values())
        if total >= MOST_REFUSALS and work.state in ASSIGNMENT_HELD:
            self.refused.append(work)

    def _sent_late(self, work: Work, upload: Upload, answer: Answer) -> None:
        self.judged(f"late bytes for {upload.id}", answer)
        self.reload(work)

    def reload(self, work: Work) -> None:
        """What became of uploads whose answers are not known."""
        rows, arrived = self.arena.query((_UPLOADS, [work.id]), (_ARRIVED, [work.id]))
        found: dict[str, Upload] = {}
        for row in rows:
            files = {n: (w["sha256"], w["n_bytes"]) for n, w in row["components"].items()}
            new = Upload(str(row["id"]), row["attempt"], row["digest"], files)
            mine = work.uploads.get(new.id, new)
            mine.attempt, mine.refusals = row["attempt"], row["refusals"]
            mine.complete = row["complete"]
            mine.received = self._received(mine)
            found[mine.id] = mine
        work.uploads = found
        work.arrived = {(row["component"], row["sha256"]) for row in arrived}

    def _received(self, upload: Upload) -> bytes:
        part = self.arena.coordinators[0].store.root / "parts" / upload.id.replace("-", "")
        return part.read_bytes() if part.is_file() else b""
