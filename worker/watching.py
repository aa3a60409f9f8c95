"""What a worker counts: its own part, and what its training process tells with each answer."""

from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from shared.messages import AssignmentKind
from worker.spent import DEVICES, PHASES, Spent

# A series more for each, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types

ENDS = ("done", "failed", "given_back", "withdrawn", "kept")
DEATHS = ("memory", "other")


class Meters:
    """The counters of one worker. Every series is there from the start: an absent one is not 0."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._assignments = Counter(
            "tapestry_worker_assignments",
            "Attempts by what they ended with; kept is one that goes on later.",
            ["kind", "end"],
            registry=registry,
        )
        self._phases = Summary(
            "tapestry_worker_phase_seconds",
            "What an assignment's phases took.",
            ["phase"],
            registry=registry,
        )
        self._steps = Counter(
            "tapestry_worker_optimizer_steps", "Optimizer steps.", registry=registry
        )
        self._samples = Counter(
            "tapestry_worker_samples", "Samples that a training took.", registry=registry
        )
        self.trainers = Counter(
            "tapestry_worker_trainer_starts", "Training processes begun.", registry=registry
        )
        self._deaths = Counter(
            "tapestry_worker_trainer_deaths",
            "Training processes that ended unasked: for want of memory, or otherwise.",
            ["cause"],
            registry=registry,
        )
        self.cache_bytes = Gauge(
            "tapestry_worker_cache_bytes",
            "What the artifact cache takes, as of the last minute.",
            registry=registry,
        )
        self._peak_bytes = Gauge(
            "tapestry_worker_peak_memory_bytes",
            "The most that the last training process took so far.",
            ["device"],
            registry=registry,
        )
        for kind, end in product(AssignmentKind, ENDS):
            self._assignments.labels(kind, end)
        for phase in PHASES:
            self._phases.labels(phase)
        for cause in DEATHS:
            self._deaths.labels(cause)

    def ended(self, kind: str, end: str) -> None:
        """Count an attempt."""
        self._assignments.labels(kind, end).inc()

    def spent(self, what: Spent) -> None:
        """Count what the training process did."""
        for phase, seconds in what.seconds.items():
            self._phases.labels(phase).observe(seconds)
        self._steps.inc(what.steps)
        self._samples.inc(what.samples)
        for device in DEVICES:
            if device in what.peak_bytes:
                self._peak_bytes.labels(device).set(what.peak_bytes[device])

    def died(self, *, out_of_memory: bool) -> None:
        """Count a training process that ended unasked."""
        self._deaths.labels("memory" if out_of_memory else "other").inc()


METERS = Meters()
"""The process's. Those of a training process are read by nobody: it tells its worker instead."""
