"""The process that averages: the same bits, a cap on its memory, and a death that harms nobody."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from server.aggregation import Average, Contribution, aggregate, process
from server.aggregation.process import AggregationError, Aggregator
from server.jobs.advance import advance
from shared.aggregation_spec import LowRankAggregation
from shared.artifacts import ArtifactStore
from shared.messages import ComponentSpec, TensorSpec
from shared.tensor_file import component_layout
from tests.support.patience import wait_for
from tests.support.scripted import World, component_bytes, component_spec
from tests.support.system_calls import injected

pytestmark = pytest.mark.integration

MEMORY = 64 << 20
LIMIT = timedelta(seconds=60)


@pytest.fixture
def aggregator() -> Iterator[Aggregator]:
    with Aggregator(MEMORY, LIMIT) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def contribute(store: ArtifactStore, *values: float) -> list[Contribution]:
    """A contribution of each value, of rising weight."""
    return [
        Contribution(f"c{n}", store.write([component_bytes(value, 0, 1 / value)]), n + 1.0)
        for n, value in enumerate(values)
    ]


def child(aggregator: Aggregator) -> "subprocess.Popen[bytes]":
    assert aggregator._child is not None
    return aggregator._child


def test_it_gives_the_same_bits_and_serves_many_rounds(
    aggregator: Aggregator, store: ArtifactStore
) -> None:
    given = contribute(store, 3.0, 7.0, 0.1)
    here = aggregate(given, component_spec(), store)
    store.path(here.sha256).unlink()
    assert aggregator.aggregate(given, component_spec(), store) == here
    pid = child(aggregator).pid
    assert aggregator.aggregate(given[::-1], component_spec(), store) == here
    assert store.has(here.sha256)
    assert child(aggregator).pid == pid


@pytest.mark.parametrize("low_rank", ["factors", "svd", "flora_na"])
def test_low_rank_pairs_have_the_same_bits_and_error(
    low_rank: LowRankAggregation, aggregator: Aggregator, store: ArtifactStore
) -> None:
    shapes = {"q.lora_A.default.weight": (4, 96), "q.lora_B.default.weight": (96, 4), "n": (9,)}
    spec = ComponentSpec(tensors={n: TensorSpec(shape=shape) for n, shape in shapes.items()})
    draw = np.random.default_rng(1)
    given = []
    for number in range(3):
        values = draw.standard_normal(2 * 4 * 96 + 9, dtype="<f4").tobytes()
        sha256 = store.write([component_layout(spec).header, values])
        given.append(Contribution(f"c{number}", sha256, number + 1.0))
    here = aggregate(given, spec, store, low_rank)
    assert aggregator.aggregate(given, spec, store, low_rank) == here
    assert here.relative_error


def test_what_it_refuses_is_said(aggregator: Aggregator, store: ArtifactStore) -> None:
    (share,) = contribute(store, 3.0)
    store.path(share.sha256).write_bytes(component_bytes(4, 0, 0))
    with pytest.raises(AggregationError, match=f"artifact {share.sha256} is damaged"):
        aggregator.aggregate([share], component_spec(), store)


def test_its_memory_is_capped_and_it_lives_on(store: ArtifactStore) -> None:
    """A header far above what a catalogue may have stands for a leak."""
    (share,) = contribute(store, 3.0)
    long = ComponentSpec(tensors={f"{n:060}": TensorSpec(shape=(1,)) for n in range(100_000)})
    with Aggregator(MEMORY, LIMIT) as aggregator:
        with pytest.raises(AggregationError, match="TAPESTRY_AGGREGATION_MEMORY_BYTES"):
            aggregator.aggregate([share], long, store)
        assert aggregator.aggregate([share], component_spec(), store).sha256 == share.sha256


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(("number", "read_only"), [("EIO", True), ("ENOSPC", False)])
def test_what_its_disk_says_is_passed_on(
    aggregator: Aggregator, store: ArtifactStore, tmp_path: Path, number: str, read_only: bool
) -> None:
    given = contribute(store, 3.0, 7.0)
    aggregator.aggregate(contribute(store, 1.0), component_spec(), store)  # it is ready
    with (
        injected(child(aggregator).pid, "fsync", f"error={number}:when=1", tmp_path / "strace"),
        pytest.raises(OSError, match=os.strerror(getattr(errno, number))) as met,
    ):
        aggregator.aggregate(given, component_spec(), store)
    assert met.value.errno == getattr(errno, number)
    assert store.read_only is read_only


@pytest.fixture
def kill_next(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has the child killed once, between the moment it is found alive and its answer."""
    said = process._said

    def kill(child: "subprocess.Popen[bytes]", request: bytes) -> bytes:
        monkeypatch.undo()
        child.kill()
        return said(child, request)

    return lambda: monkeypatch.setattr(process, "_said", kill)


def test_a_killed_one_is_replaced_and_the_cause_is_said(
    aggregator: Aggregator, store: ArtifactStore, kill_next: Callable[[], None]
) -> None:
    given = contribute(store, 3.0, 7.0)
    kill_next()
    with pytest.raises(AggregationError, match="killed by SIGKILL"):
        aggregator.aggregate(given, component_spec(), store)
    assert aggregator.aggregate(given, component_spec(), store)


def test_one_that_hangs_is_ended(store: ArtifactStore) -> None:
    with Aggregator(MEMORY, timedelta(seconds=1)) as aggregator:
        aggregator._ready = bool(process._exchange(child(aggregator), b"", 60.0))
        child(aggregator).send_signal(signal.SIGSTOP)
        with pytest.raises(AggregationError, match="longer than 1 s"):
            aggregator.aggregate(contribute(store, 3.0), component_spec(), store)
        assert child(aggregator).returncode == -signal.SIGKILL


def test_it_dies_with_its_coordinator() -> None:
    code = """if True:
        import time
        from datetime import timedelta
        from server.aggregation.process import Aggregator
        with Aggregator(1 << 26, timedelta(seconds=9)) as own:
            print(own._child.pid, flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as coordinator:
        assert coordinator.stdout is not None
        pid = int(coordinator.stdout.readline())
        coordinator.kill()
    wait_for(lambda: not _lives(pid))


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_round_whose_aggregator_is_killed_is_aggregated_again(
    pair: World, aggregator: Aggregator, kill_next: Callable[[], None]
) -> None:
    context = replace(pair.context, aggregate=aggregator.aggregate)
    job = pair.trained()
    kill_next()
    advance(context, UUID(job))
    events = pair.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]
    (failed,) = [e for e in events if e["kind"] == "round.aggregation_failed"]
    assert "killed by SIGKILL" in failed["data"]["reason"]
    assert pair.job(job)["round"] == 1
    pair.execute("UPDATE rounds SET lease_until = now() WHERE state = 'aggregating'")
    advance(context, UUID(job))
    assert pair.job(job)["round"] == 2


def test_an_average_that_ends_with_its_coordinator_has_not_failed(pair: World) -> None:
    job = pair.trained()
    with Aggregator(256 << 20, timedelta(seconds=60)) as ended:
        pass
    with pytest.raises(SystemExit):
        advance(replace(pair.context, aggregate=ended.aggregate), UUID(job))
    assert pair.job(job)["waiting"]["cause"] == "aggregating"


def test_coordinators_that_die_do_not_count_against_the_round(pair: World) -> None:
    def dies(*_: object, **_options: object) -> Average:
        raise SystemExit

    job = pair.trained(rounds={"count": 1})
    for _ in range(pair.context.settings.aggregation_attempts + 1):
        with pytest.raises(SystemExit):
            advance(replace(pair.context, aggregate=dies), UUID(job))
        assert pair.job(job)["waiting"]["cause"] == "aggregating"
        pair.execute("UPDATE rounds SET lease_until = now() WHERE state = 'aggregating'")
    pair.advance(job)
    assert pair.job(job)["state"] == "personalizing"


def test_what_postgres_does_not_let_pass_does_not_count_against_the_round(pair: World) -> None:
    def away(*_: object, **_options: object) -> Average:
        raise OperationalError("COMMIT", None, ConnectionError("the connection was cut"))

    job = pair.trained(rounds={"count": 1})
    for _ in range(pair.context.settings.aggregation_attempts + 1):
        with pytest.raises(OperationalError):
            advance(replace(pair.context, aggregate=away), UUID(job))
    assert pair.job(job)["waiting"]["cause"] == "aggregation_due"
    kinds = [e["kind"] for e in pair.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]]
    assert "round.aggregation_failed" not in kinds
    pair.advance(job)
    assert pair.job(job)["state"] == "personalizing"
