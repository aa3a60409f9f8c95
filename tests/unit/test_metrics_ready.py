"""A metric that cannot be measured is refused before anything trains."""

from pathlib import Path
from uuid import UUID

import pytest

from shared.artifacts import ArtifactStore
from shared.evaluation_spec import EvaluationSpec
from shared.messages import AssignmentKind, Claim, FailureCode, Lease
from tests.support import encoder, federation, small
from worker.assignments import Workshop
from worker.data.client_file import ClientFile
from worker.doctor.examine import Reading, examine
from worker.failures import FailedError
from worker.metrics.errors import MetricError
from worker.metrics.ready import check_metrics
from worker.work import Equipment, Request
from worker.workplace import Workplace

pytestmark = pytest.mark.unit


def writer(folder: Path) -> ClientFile:
    """The client that generates texts."""
    tasks = federation.CLIENTS["c03"]
    return ClientFile.read(federation._write_client(folder / "c03", "c03", tasks))


@pytest.mark.parametrize("wish", ["bert_score", "wordnet"])
def test_a_worker_refuses_before_it_trains(tmp_path: Path, wish: str) -> None:
    job = small.spec(clients=["c03"], evaluation={wish: str(tmp_path / "nowhere")})
    claim = Claim(
        assignment_id=UUID(int=2),
        kind=AssignmentKind.TRAIN,
        job_id=UUID(int=3),
        spec=job,
        lease=Lease(id=UUID(int=1), attempt=1, seconds=60),
        round=1,
        components=small.network(job, federation.CLIENTS["c03"]).components,
    )
    cache = ArtifactStore(tmp_path / "cache", durable=False)
    place = Workplace("c03", cache, tmp_path, writer(tmp_path))
    steps: list[float] = []
    with pytest.raises(FailedError) as caught:
        Workshop(Equipment({"c03": place})).handle(Request("c03", claim), steps.append)
    assert caught.value.code is FailureCode.BAD_DATA
    assert caught.value.sentence.startswith(f"evaluation.{wish} '{tmp_path}/nowhere' ")
    assert caught.value.sentence.endswith(f"or leave {wish} out of the job")
    assert steps == []


@pytest.mark.parametrize("wish", ["bert_score", "wordnet"])
def test_the_doctor_names_it(tmp_path: Path, wish: str) -> None:
    job = small.spec(clients=["c03"], evaluation={wish: str(tmp_path / "nowhere")})
    card = examine(writer(tmp_path), job, Reading())
    (finding,) = [each for each in card.findings if each.severity == "error"]
    assert finding.task == "titles"
    assert finding.sentence.startswith(f"client c03: evaluation.{wish} ")
    assert not card.sound


def test_what_lacked_is_looked_for_again(tmp_path: Path) -> None:
    job = small.spec(evaluation={"bert_score": str(tmp_path / "tiny")})
    with pytest.raises(MetricError):
        check_metrics(job, ["titles"])
    encoder.write(tmp_path / "tiny")
    check_metrics(job, ["titles"])
    assert examine(writer(tmp_path), job.model_copy(update={"clients": ("c03",)}), Reading()).sound


def test_tasks_without_generated_texts_need_nothing(tmp_path: Path) -> None:
    wanted = EvaluationSpec(bert_score=str(tmp_path / "no"), wordnet=str(tmp_path / "no"))
    check_metrics(small.spec(evaluation=wanted), ["digits", "drawing", "reviews"])
