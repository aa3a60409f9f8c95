"""What a worker counts of its attempts, and what its training process tells it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from shared import logs
from shared.artifacts import ArtifactStore
from tests.support import small
from worker.algorithm.method import NOBODY
from worker.algorithm.methods import method_of
from worker.disk import Trimming
from worker.spent import Spent
from worker.supervision import ChildDiedError, Handle, Report, Supervisor
from worker.trainer_process import MODULES
from worker.training.trainer import Trainer
from worker.watching import METERS, Meters

pytestmark = [pytest.mark.unit, pytest.mark.timeout(120)]
TASKS = ("digits", "reviews")


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, name
    return found


def trainer(**training: object) -> Trainer:
    job = small.spec(training={**small.SPEC["training"], **training})
    return Trainer("c01", job, small.network(job), small.data(job, TASKS))


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_round_of_tap_tells_its_steps_its_samples_and_its_phases(accumulation: int) -> None:
    at = trainer(accumulation=accumulation)
    method_of(at).round(at.network.state(), NOBODY, 1)
    training = at.spec.training
    assert at.spent.steps == 2 * training.local_steps  # the engaged and the personal model
    assert at.spent.samples == at.spent.steps * accumulation * training.batch_size
    assert set(at.spent.seconds) == {"train", "replace"}


def test_what_is_told_is_added_up() -> None:
    meters = Meters()
    for steps in (2, 3):
        meters.spent(
            Spent({"train": 0.5, "load": 0.25}, steps, 10 * steps, peak_bytes={"cpu": 1000 * steps})
        )
    registry = meters.registry
    assert value(registry, "tapestry_worker_optimizer_steps_total") == 5
    assert value(registry, "tapestry_worker_samples_total") == 50
    assert value(registry, "tapestry_worker_phase_seconds_sum", phase="train") == 1.0
    assert value(registry, "tapestry_worker_phase_seconds_count", phase="load") == 2
    assert value(registry, "tapestry_worker_phase_seconds_count", phase="pull") == 0
    assert value(registry, "tapestry_worker_peak_memory_bytes", device="cpu") == 3000
    assert registry.get_sample_value("tapestry_worker_peak_memory_bytes", {"device": "gpu"}) is None


def test_the_cache_s_size_is_told_when_it_is_trimmed(tmp_path: Path) -> None:
    cache = ArtifactStore(tmp_path / "cache", durable=False)
    for data in (b"a" * 10, b"b" * 20):
        cache.write([data])
    Trimming(cache, 1000, tmp_path)()
    assert value(METERS.registry, "tapestry_worker_cache_bytes") == 30
    Trimming(cache, 25, tmp_path)()
    assert value(METERS.registry, "tapestry_worker_cache_bytes") == 20


def build() -> Handle:
    def handle(request: object, _: Report) -> object:
        if request == "die":
            raise SystemExit(3)
        return logs.current()

    return handle


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor(build, modules=MODULES)
    yield made
    made.kill()


def test_the_training_process_s_lines_are_about_what_its_worker_s_are(
    supervisor: Supervisor,
) -> None:
    for job in ("j1", "j2"):
        with logs.about(job=job, round=1):
            assert supervisor.call("about", lambda _: None) == {"job": job, "round": 1}
    assert supervisor.call("about", lambda _: None) == {}


def test_starts_and_deaths_of_the_training_process_are_counted(supervisor: Supervisor) -> None:
    registry = METERS.registry
    starts = value(registry, "tapestry_worker_trainer_starts_total")
    deaths = value(registry, "tapestry_worker_trainer_deaths_total", cause="other")
    with pytest.raises(ChildDiedError):
        supervisor.call("die", lambda _: None)
    supervisor.call("about", lambda _: None)
    assert value(registry, "tapestry_worker_trainer_starts_total") == starts + 2
    assert value(registry, "tapestry_worker_trainer_deaths_total", cause="other") == deaths + 1
