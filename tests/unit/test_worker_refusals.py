"""What a worker cannot do with what it has: a failure of its class, which names the remedy."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.artifacts import ArtifactStore, ReadOnlyError
from shared.messages import RETRYABLE, AssignmentKind, Claim, FailureCode, Lease
from shared.results import Variant
from tests.support import small
from worker.algorithm.method import Personal
from worker.artifacts import network_specs, save_state
from worker.assignments import Workshop
from worker.failures import FailedError
from worker.models.base import load_base
from worker.personal_files import PersonalFiles, StateError
from worker.state import PersonalStore
from worker.work import Equipment, Request
from worker.workbench import Workbench
from worker.workplace import Workplace

pytestmark = pytest.mark.unit

JOB = small.spec()
NETWORK = small.network(JOB, ["digits"])
CLAIM = Claim(
    assignment_id=UUID(int=2),
    kind=AssignmentKind.TRAIN,
    job_id=UUID(int=3),
    spec=JOB,
    lease=Lease(id=UUID(int=1), attempt=1, seconds=60),
    round=1,
    components=NETWORK.components,
)
FRESH = "or let the clients begin anew with tapestry fork JOB --round N --spec FILE --fresh"


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace("c01", ArtifactStore(tmp_path / "cache", durable=False), tmp_path)


@pytest.fixture
def store(place: Workplace) -> PersonalStore:
    """Where the training process looks for the personal states of the job."""
    return Workbench(place).personal_store(CLAIM.job_id)


def refused(place: Workplace, **changes: Any) -> FailedError:
    """What the training process answers to the claim, changed."""
    request = Request("c01", CLAIM.model_copy(update=changes))
    with pytest.raises(FailedError) as caught:
        Workshop(Equipment({"c01": place})).handle(request, lambda _: None)
    return caught.value


@pytest.mark.parametrize("kind", [AssignmentKind.PLAN, AssignmentKind.TRAIN])
def test_a_component_of_another_versions_catalogue(place: Workplace, kind: AssignmentKind) -> None:
    failed = refused(place, kind=kind, components=("encoder.smell", "proj"))
    assert failed.code is FailureCode.REFUSED
    assert "knows no component 'encoder.smell': bring it to the coordinator's" in failed.sentence


def test_a_component_with_other_tensors_than_here(place: Workplace) -> None:
    state = {**NETWORK.state(), "proj": NETWORK.state()["head.digits"]}
    failed = refused(place, manifest=save_state(place.cache, state))
    assert failed.code is FailureCode.REFUSED
    assert "has other tensors than this network: bring this worker to the" in failed.sentence


def test_another_base_than_the_planners(place: Workplace) -> None:
    model = small.SPEC["model"]
    planners = small.spec(model={**model, "random": {**model["random"], "seed": 7}}).model
    digest = load_base(planners).digest
    failed = refused(place, base_digest=digest)
    assert failed.code is FailureCode.BASE_MISMATCH
    assert f"{digest}: give this worker the same weights" in failed.sentence


def lose(files: PersonalFiles, sha256: str) -> None:
    files.store.remove(sha256)


def cut(files: PersonalFiles, sha256: str) -> None:
    path = files.store.path(sha256)
    path.write_bytes(path.read_bytes()[:-1])


def flip(files: PersonalFiles, sha256: str) -> None:
    """The same length, and a value that is as good as any: only the hash tells."""
    path = files.store.path(sha256)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [cut, flip, lose])
@pytest.mark.parametrize("part", ["manifest", "proj"])
def test_a_personal_state_that_is_lost_or_damaged(
    place: Workplace, store: PersonalStore, part: str, harm: Callable[..., None]
) -> None:
    state = store.save(Personal({Variant.PERSONAL: NETWORK.state()}))
    files = {"manifest": state, **store.manifest(state).models[Variant.PERSONAL]}
    harm(store, files[part])
    failed = refused(place, state_digest=state)
    assert failed.code is FailureCode.STATE_MISMATCH
    assert failed.code not in RETRYABLE
    what = "missing" if harm is lose else "damaged"
    path = store.store.path(files[part])
    assert failed.sentence == (
        f"{path} of the client's personal state is {what}: restore it from a backup, {FRESH}"
    )


def test_a_personal_state_of_another_version(place: Workplace, store: PersonalStore) -> None:
    failed = refused(place, state_digest=store.store.write([b'{"weights": {}}']))
    assert failed.code is FailureCode.STATE_MISMATCH
    assert f"no personal state of this version: restore it from a backup, {FRESH}" in str(failed)


def test_a_damaged_state_drops_no_file_of_another(store: PersonalStore) -> None:
    good = store.save(Personal({Variant.PERSONAL: NETWORK.state()}))
    store.promote(good)
    specs = network_specs(NETWORK, NETWORK.components)
    broken = store.save(Personal({}, {"digits": 1.0}))
    cut(store, broken)
    assert not store.holds(broken)
    for act in (lambda: store.load(broken, specs), lambda: store.promote(broken)):
        with pytest.raises(StateError):
            act()
    assert store.holds(good)
    assert store.save(Personal({}, {"digits": 1.0})) == broken, "computed again"
    assert store.holds(broken)


def test_an_older_state_that_is_damaged_hinders_no_new_one(store: PersonalStore) -> None:
    old = store.save(Personal({}, {"digits": 2.0}))
    store.promote(old)
    cut(store, old)
    new = store.save(Personal({}, {"digits": 1.0}))
    store.promote(new)
    assert store.holds(new)


def torch_error() -> RuntimeError:
    """As torch.save raises it, when it cannot end its file."""
    error = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    return error


FULL = "disk is full: free some space on it"
FAILS = "disk fails: check it, then restart this worker"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.EDQUOT, "Quota exceeded"), FULL),
        (OSError(errno.EIO, "I/O error"), FAILS),
        (OSError(errno.ENOSPC, "No space left"), FULL),
        (ReadOnlyError(Path("a")), FAILS),
        (torch_error(), FULL),
    ],
    ids=repr,
)
def test_a_disk_that_takes_no_bytes_of_the_training_process(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("worker.assignments.plan", fail)
    failed = refused(place, kind=AssignmentKind.PLAN)
    assert failed.code is (FailureCode.NO_SPACE if sentence == FULL else FailureCode.INTERNAL)
    assert failed.code in RETRYABLE, "the disk may have space again"
    assert failed.sentence == f"the worker's {sentence}"


def test_a_store_whose_disk_failed_stays_read_only(place: Workplace) -> None:
    bench = Workbench(place)
    bench.personal_store(CLAIM.job_id).store.read_only = True
    with pytest.raises(ReadOnlyError):
        bench.personal_store(CLAIM.job_id).save(Personal({}))
    assert bench.personal_store(UUID(int=4)).save(Personal({}))
