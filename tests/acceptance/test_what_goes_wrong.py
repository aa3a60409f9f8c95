"""Jobs that cannot end well say why in one sentence, and leave their workers free for the next."""

import itertools
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.stack.stack import Stack
from shared.api_client import ApiClient
from shared.attendance import AttendanceRow
from shared.job_spec import JobSpec
from shared.states import JOB_TERMINAL, JobState
from shared.transport import ApiError
from shared.views import JobDetail
from tests.support import federation, small
from tests.support.guests import IDLE, TASK, WORKING, Guests
from tests.support.guests import job as guest_job
from tests.support.misfits import MISFITS, Misfit

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]


def ended(api: ApiClient, job: JobDetail, within_s: float = 120) -> JobDetail:
    """The job once it has ended."""
    end = time.monotonic() + within_s
    while (now := api.job(job.id)).state not in JOB_TERMINAL:
        assert time.monotonic() < end, (now.state, now.round)
        time.sleep(0.1)
    return now


def wait_until(there: Callable[[], bool], api: ApiClient, job: JobDetail) -> None:
    end = time.monotonic() + 90
    while not there():
        now = api.job(job.id)
        assert time.monotonic() < end, (now.state, now.round)
        time.sleep(0.1)


def trains(api: ApiClient, job: JobDetail) -> bool:
    """Whether a client works on the newest round."""
    return any(
        a.state == "leased" and a.kind == "train"
        for each in api.rounds(job.id)[-1:]
        for a in each.assignments
    )


def job_of(client: str, name: str, **changes: Any) -> JobSpec:
    """One round of one client's own tasks."""
    tasks = {task: small.SPEC["tasks"][task] for task in federation.CLIENTS[client]}
    given = {"name": name, "clients": [client], "tasks": tasks, "rounds": {"count": 1}}
    return small.spec(**{**given, **changes})


def test_an_image_that_cannot_be_read_is_named_with_its_line(
    stack: Stack, client_files: list[Path]
) -> None:
    image = client_files[1].parent / "images" / "c02-drawing-train-3.png"
    whole = image.read_bytes()
    image.write_bytes(whole[:40])
    # with a length of its own, so that no earlier job's decoded data serve
    model = {**small.SPEC["model"], "max_text_tokens": 7}
    try:
        with stack.client() as api:
            job = ended(api, api.submit(job_of("c02", "torn", model=model), "torn"))
    finally:
        image.write_bytes(whole)
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "quorum_missed"
    assert "bad_data" in job.failure.message
    assert "drawing-train.jsonl line 4" in job.failure.message


def test_a_rate_at_which_training_diverges_is_said_to_be_too_high(stack: Stack) -> None:
    training = {
        "local_steps": 30,
        "batch_size": 8,
        "learning_rate": {"peak": 1e30, "warmup_rounds": 0},
    }
    with stack.client() as api:
        job = ended(api, api.submit(job_of("c01", "wild", training=training), "wild"))
    assert job.failure is not None
    assert "lower the learning rate" in job.failure.message


def test_a_base_with_another_digest_is_refused(stack: Stack) -> None:
    model = {**small.SPEC["model"], "digest": "0" * 64}
    with stack.client() as api:
        job = ended(api, api.submit(job_of("c01", "other base", model=model), "other-base"))
    assert job.failure is not None
    assert job.failure.code == "planning_failed"
    assert "give this worker the same weights" in job.failure.message


def test_a_job_that_nobody_can_do_is_refused_at_once(stack: Stack) -> None:
    with stack.client() as api:
        spec = small.spec(name="nobody", clients=["c03", "c99"])
        with pytest.raises(ApiError) as caught:
            api.submit(spec, "nobody")
    assert caught.value.problem.status == 422
    assert "c99" in str(caught.value)


def test_a_cancelled_job_ends_soon_and_frees_its_worker(stack: Stack) -> None:
    training = {**small.SPEC["training"], "local_steps": 100_000}
    clients = list(federation.CLIENTS)
    with stack.client() as api:
        job = api.submit(small.spec(name="endless", clients=clients, training=training), "endless")
        wait_until(lambda: trains(api, job), api, job)
        api.cancel(job.id)
        assert ended(api, job, 30).state is JobState.CANCELLED
        spec = small.spec(name="after", clients=clients, rounds={"count": 1})
        assert ended(api, api.submit(spec, "after")).state is JobState.SUCCEEDED


def test_a_client_that_loses_its_personal_state_between_two_rounds_says_what_helps(
    stack: Stack,
) -> None:
    training = {**small.SPEC["training"], "local_steps": 40}  # long enough to pause in round 1
    spec = job_of("c03", "rolled back", training=training, rounds={"count": 2})
    with stack.client() as api:
        job = api.submit(spec, "rolled-back")
        wait_until(lambda: trains(api, job), api, job)
        api.pause(job.id)
        pattern = f"worker-*/personal/c03/{job.id}/current"  # there once round 1 is accepted
        wait_until(lambda: any(stack.settings.state.glob(pattern)), api, job)
        (current,) = stack.settings.state.glob(pattern)
        shutil.rmtree(current.parent)
        api.resume(job.id)
        now = ended(api, job)
        assert now.state is JobState.FAILED
        assert now.failure is not None
        assert "c03: state_mismatch" in now.failure.message
        assert "is missing: restore it from a backup, or let the clients" in now.failure.message
        assert "tapestry fork JOB --round N --spec FILE --fresh" in now.failure.message
        (last,) = api.rounds(job.id)[-1].assignments
        assert (last.state, last.attempt) == ("failed", 1), "no second attempt could help"


@pytest.fixture(scope="module")
def guests(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guests]:
    two = Guests(stack, tmp_path_factory.mktemp("guests"))
    yield two
    two.close()


@pytest.mark.parametrize("misfit", MISFITS, ids=lambda misfit: misfit.__name__)
def test_a_worker_that_does_not_fit_ends_its_assignment_and_the_job_says_why(
    stack: Stack,
    guests: Guests,
    monkeypatch: pytest.MonkeyPatch,
    misfit: Misfit,
) -> None:
    name, (code, sentence) = misfit.__name__, MISFITS[misfit]
    with stack.client() as api:
        job = api.submit(guest_job(name, WORKING, IDLE), name)
        misfit(monkeypatch)
        guests.work_until(lambda: state_of(api, job, WORKING) == "failed")
        waiting = next(item for item in api.waiting(job.id).items if item.kind == "round").waiting
        assert waiting.owner == IDLE, "the round goes on without it"
        assert waiting.sentence.endswith(f"; failed: {WORKING} ({code}).")
        reason = absences(api.attendance(job.id).items[-1])[WORKING]
        assert re.fullmatch(f"{code}: {sentence}", reason), reason
        api.cancel(job.id)
        ended(api, job, 30)
        assert absences(api.report(job.id).attendance[-1])[WORKING] == reason
        (told,) = (e.data for e in api.events(job.id, kinds=["assignment.failed"]))
        assert reason == f"{told['code']}: {told['reason']}"
        assert told["attempt"] == 1, "no second attempt could help"


def state_of(api: ApiClient, job: JobDetail, client: str) -> str:
    """Of the client's assignment in the newest round; empty before there is one."""
    parts = [a for each in api.rounds(job.id)[-1:] for a in each.assignments]
    return next((a.state for a in parts if a.client == client), "")


def absences(row: AttendanceRow) -> dict[str, str]:
    return {absent.client: absent.reason for absent in row.missing}


def test_a_personal_directory_that_was_rolled_back_is_said_to_lack_the_newest_state(
    stack: Stack, guests: Guests, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with stack.client() as api:
        spec = guest_job("an older state", WORKING, rounds={"count": 2})
        job = api.submit(spec, "older-state")
        states, backup = guests.place.personal / str(job.id), tmp_path / "backup"
        done = itertools.count(1)

        def roll_back() -> None:
            match next(done):
                case 1:
                    shutil.copytree(states, backup)
                case 2:
                    shutil.rmtree(states)
                    shutil.copytree(backup, states)

        monkeypatch.setattr(guests, "after", roll_back)
        guests.work_until(lambda: api.job(job.id).state in JOB_TERMINAL)
        failure = api.job(job.id).failure
        assert failure is not None
        last = api.report(job.id).attendance[-1]
    assert last.phase == "personalize"
    reason = absences(last)[WORKING]
    assert re.fullmatch(
        r"state_mismatch: \S+ of the client's personal state is missing: restore it from a backup, "
        "or let the clients begin anew with tapestry fork JOB --round N --spec FILE --fresh",
        reason,
    ), reason
    assert f"{WORKING}: state_mismatch ({reason.partition(': ')[2]})" in failure.message
    older = (backup / "current").read_text()
    assert guests.place.personal_files(job.id).holds(older), "what is there stays"


def test_data_that_change_between_rounds_cost_their_rounds_until_they_are_back(
    stack: Stack, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert guests.place.file is not None
    file = guests.place.file.directory / f"{TASK}-train.jsonl"
    whole = file.read_text()
    texts = iter([whole.replace("zero", "one", 1), whole])  # behind its first and second assignment
    spec = guest_job("changing", WORKING, IDLE, rounds={"count": 3, "quorum": 1})
    with stack.client() as api:
        job = api.submit(spec, "changing")
        end = time.monotonic() + 90
        while api.job(job.id).state not in JOB_TERMINAL:
            assert time.monotonic() < end, api.job(job.id)
            monkeypatch.setattr(guests, "after", lambda: file.write_text(next(texts, whole)))
            guests.work(WORKING)
            monkeypatch.setattr(guests, "after", lambda: None)
            guests.work(IDLE)
        assert api.job(job.id).state is JobState.SUCCEEDED, api.job(job.id).failure
        first, second, third, *_ = api.report(job.id).attendance
    assert set(first.accepted) == set(third.accepted) == {WORKING, IDLE}
    assert set(second.accepted) == {IDLE}
    assert re.fullmatch(
        rf"bad_data: client {WORKING}: the data of task '{TASK}' are not those that the job began "
        rf"with, in {TASK}-train.jsonl \(train\) or its images; put the old data back, or let the "
        "clients begin anew with tapestry fork JOB --round N --spec FILE --fresh",
        absences(second)[WORKING],
    )
