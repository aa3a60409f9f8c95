"""What must be done about a client's data before they train, or may be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.components import TaskKind
from shared.job_spec import JobSpec
from shared.readiness import Finding, Severity, Spread, TaskCard
from worker.data.client_file import ClientFile
from worker.data.client_task import SPLITS
from worker.data.sources import DataError
from worker.metrics.errors import MetricError
from worker.metrics.ready import check_metrics

_SHOWN = 5  # of sentences that are alike
_FEW = 10  # training samples
_SKEW = 20  # times as many of one class as of another
_FLAT = 3  # times as wide as high, or the other way


@dataclass(frozen=True)
class Patient:
    """A task that has been looked at."""

    file: ClientFile
    name: str
    card: TaskCard
    skipped: Sequence[DataError]

    def says(self, severity: Severity, sentence: str) -> Finding:
        """A finding about it."""
        where = f"client {self.file.client}: task {self.name!r}"
        return Finding(severity=severity, task=self.name, sentence=f"{where} {sentence}")


def of_the_job(file: ClientFile, job: JobSpec) -> Iterator[Finding]:
    """What the client and the job do not have in common."""
    for name in sorted(set(file.tasks) - set(job.tasks)):
        sentence = f"client {file.client}: task {name!r} is not in the job and will not train"
        yield Finding(severity="warning", task=name, sentence=sentence)
    if file.client not in job.clients or not set(file.tasks) & set(job.tasks):
        what = (
            "is not among the job's clients"
            if file.client not in job.clients
            else ("has none of the job's tasks")
        )
        yield Finding(
            severity="error",
            task=min(job.tasks),
            sentence=f"client {file.client}: {what}; correct the job's clients and tasks",
        )


def of_the_metrics(file: ClientFile, job: JobSpec) -> Iterator[Finding]:
    """What the job's metrics need and the machine lacks."""
    common = sorted(set(file.tasks) & set(job.tasks))
    texts = [task for task in common if job.tasks[task].kind is TaskKind.TEXT_GENERATION]
    try:
        check_metrics(job, texts)
    except MetricError as error:
        sentence = f"client {file.client}: {error}"
        yield Finding(severity="error", task=texts[0], sentence=sentence)


def of_the_task(patient: Patient) -> Iterator[Finding]:
    """Everything that is worth a sentence, what forbids training first."""
    yield from _rows(patient)
    yield from _splits(patient)
    yield from _classes(patient)
    yield from _texts(patient)
    yield from _images(patient)


def _rows(patient: Patient) -> Iterator[Finding]:
    skips = patient.file.task(patient.name).on_error == "skip"
    severity: Severity = "warning" if skips else "error"
    for error in patient.skipped[:_SHOWN]:
        yield Finding(severity=severity, task=patient.name, sentence=str(error))
    if len(patient.skipped) > _SHOWN:
        rest = len(patient.skipped) - _SHOWN
        yield patient.says(severity, f"has {rest} more rows that cannot be used")


def _splits(patient: Patient) -> Iterator[Finding]:
    card = patient.card
    if card.shared:
        yield patient.says(
            "error",
            f"has {card.shared} samples in two splits; remove them from one, so that no split "
            "knows another's samples",
        )
    if card.near:
        yield patient.says(
            "warning",
            f"has {card.near} samples of validation and test that look like training samples; "
            "look whether they are copies, or name a column in split.by",
        )
    if card.train.samples < _FEW:
        yield patient.says("warning", f"trains on {card.train.samples} samples only; add some")
    repeated = sum(getattr(card, split).repeated for split in SPLITS)
    if repeated:
        yield patient.says("warning", f"has {repeated} samples more than once in a split")


def _classes(patient: Patient) -> Iterator[Finding]:
    counts = patient.card.train.classes
    task = patient.file.task(patient.name)
    lacking = [name for name in task.classes if not counts.get(name)]
    if lacking:
        yield patient.says(
            "warning",
            f"has no training sample of {len(lacking)} of {len(task.classes)} classes, "
            f"{lacking[0]!r} first; add some, or remove the class",
        )
    if counts and max(counts.values()) > _SKEW * min(counts.values()):
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        yield patient.says(
            "warning",
            f"has {counts[most]} training samples of {most!r} and {counts[least]} of {least!r}; "
            "accuracy will say little: look at macro-F1",
        )
    held_out = {*patient.card.validation.classes, *patient.card.test.classes}
    unseen = sorted(held_out - {name for name, n in counts.items() if n})
    if unseen:
        yield patient.says(
            "warning", f"is tested on {unseen[0]!r}, of which it has no training sample; add some"
        )


def _texts(patient: Patient) -> Iterator[Finding]:
    card = patient.card
    for what, setting in (
        ("texts", "model.max_text_tokens"),
        ("targets", f"tasks.{patient.name}.max_target_tokens"),
    ):
        cut = sum(getattr(getattr(card, split), f"cut_{what}") for split in SPLITS)
        if cut:
            yield patient.says(
                "warning", f"has {cut} {what} that are too long and lose their end; raise {setting}"
            )


def _images(patient: Patient) -> Iterator[Finding]:
    widths, heights = patient.card.train.widths, patient.card.train.heights
    if widths is None or heights is None:
        return
    if _ratio(widths, heights) > _FLAT:
        yield patient.says(
            "warning",
            f"has images of about {widths.median}x{heights.median} pixels, which are made "
            "square; cut them beforehand if their shape matters",
        )


def _ratio(widths: Spread, heights: Spread) -> float:
    ratio = widths.median / heights.median
    return max(ratio, 1 / ratio)
