"""Whether a client has what a job's metrics need, asked before anything trains."""

from collections.abc import Iterable
from functools import lru_cache

from shared.components import TaskKind
from shared.evaluation_spec import EvaluationSpec
from shared.job_spec import JobSpec


def check_metrics(job: JobSpec, tasks: Iterable[str]) -> None:
    """Read what the metrics of these tasks need, once in a process. Raises MetricError."""
    if any(job.tasks[task].kind is TaskKind.TEXT_GENERATION for task in tasks):
        _read(job.evaluation)


@lru_cache(maxsize=16)  # remembers what is there; what lacks is looked for again
def _read(wanted: EvaluationSpec) -> None:
    """Load all, and keep nothing of it while the client trains. Raises MetricError."""
    if wanted.bert_score is not None:
        from worker.metrics.bert_score import read_encoder  # noqa: PLC0415 - for who asks for it

        read_encoder(wanted.bert_score, wanted.bert_score_layers)
    if wanted.wordnet is not None:
        from worker.metrics.meteor import Meteor  # noqa: PLC0415 - likewise

        Meteor(wanted.wordnet).close()
