"""A claim that a worker cannot read: it says so, and goes on."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from server import examples
from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore
from shared.messages import Claim
from worker.attempt import Member
from worker.host import Host
from worker.journal import Entry
from worker.supervision import Limits
from worker.trainer_process import TrainerProcess
from worker.work import Equipment
from worker.workplace import Workplace

pytestmark = pytest.mark.unit

CLAIM = Claim.model_validate(examples.CLAIM)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace("c01", ArtifactStore(tmp_path / "cache", durable=False), tmp_path)


class Answering:
    """A member whose coordinator says this to a claim, once."""

    def __init__(self, place: Workplace, claim: dict[str, Any]) -> None:
        self.heard: list[httpx.Request] = []
        self._answers = [httpx.Response(200, json=claim)]
        api = ApiClient("http://127.0.0.1:1", "key")
        api._http.close()
        api._http = httpx.Client(base_url=api.url, transport=httpx.MockTransport(self._answer))
        trainer = TrainerProcess.of(Equipment({}), Limits())  # nothing is asked of it
        self.host = Host({"c01": Member(api, place)}, trainer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(request)
        if request.url.path.endswith("/failure"):
            return httpx.Response(200, json=examples.FAILED_ASSIGNMENT)
        return self._answers.pop() if self._answers else httpx.Response(204)


def test_a_claim_of_another_version_is_refused_with_the_field_and_the_remedy(
    place: Workplace,
) -> None:
    place.journal.write(Entry.of(CLAIM))
    newer = {**CLAIM.model_dump(mode="json"), "dialect": 2}
    coordinator = Answering(place, {**newer, "lease": {**newer["lease"], "colour": "red"}})
    coordinator.host.work("c01")
    claim, failure, again = coordinator.heard
    assert claim.url.path == again.url.path == "/v1/assignments:claim"
    assert failure.url.path == f"/v1/assignments/{CLAIM.assignment_id}/failure"
    assert json.loads(failure.content) == {
        "lease_id": str(CLAIM.lease.id),
        "attempt": CLAIM.lease.attempt,
        "code": "refused",
        "message": "this worker cannot read its claim (lease.colour: Extra inputs are not "
        "permitted): bring it to the coordinator's version",
    }
    assert place.journal.read() is None


def test_an_answer_that_is_no_claim_at_all_is_said_in_the_log(
    place: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    coordinator = Answering(place, {"greeting": "hello"})
    coordinator.host.work("c01")
    assert len(coordinator.heard) == 1
    assert "(assignment_id: Field required): check the URL and versions" in caplog.text
