"""A job in MLflow: a real store in a file, written while it runs and again when it has ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cli import mlflow_sink
from cli.exits import FailedError, UsageError
from shared.api_client import ApiClient
from shared.job_tables import TABLES, LossTable
from shared.reports import ReportView
from tests.support.scripted import Json, World, job_spec

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
]
SCORE = {
    "metric": "accuracy",
    "value": 0.8,
    "reference": 0.5,
    "skill": 0.6,
    "n": 5,
    "metrics": {"accuracy": 0.8, "loss": 0.5},
}


class Speaking(TestClient):
    """Speaks for httpx, with a key."""

    def __init__(self, world: World) -> None:
        key = {"Authorization": f"Bearer {world.operator.key}"}
        super().__init__(world.http.app, headers=key)

    def request(self, method: str, url: Any, **more: Any) -> Any:
        more.pop("timeout", None)
        return super().request(method, url, **more)


@pytest.fixture
def api(pair: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiClient]:
    with ApiClient("http://testserver", "none") as made:
        monkeypatch.setattr(made, "_http", Speaking(pair))
        yield made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Artifacts of a store in a file lie where the command runs."""
    monkeypatch.chdir(tmp_path)


def finish(world: World, job: str) -> None:
    """Stage two and the evaluation of both clients."""
    results: dict[str, Json] = {
        "personalize": {"losses": {}, "state_digest": "b" * 64},
        "evaluate": {"scores": {"distilled": {"digits": SCORE}}},
    }
    for kind, result in results.items():
        for caller in world.clients.values():
            claim = caller.claim()
            assert claim is not None
            assert caller.report(claim, "result", kind=kind, **result).is_success
        world.advance(job)


def test_a_fork_s_scores_stand_behind_its_last_round(
    pair: World, api: ApiClient, store: str, two_rounds: str
) -> None:
    wish: Json = {"round": 2, "spec": job_spec(["c1", "c2"], rounds={"count": 3})}
    job = pair.operator.ok("POST", f"/v1/jobs/{two_rounds}/fork", json=wish)["id"]
    pair.advance(job)
    for name in pair.clients:
        pair.train(name, 3.0)
    pair.advance(job)
    finish(pair, job)
    run = mlflow_sink.write(api, job, store, "first")
    found = MlflowClient(tracking_uri=store).get_metric_history(
        run, "score.digits.distilled.skill/c1"
    )
    assert [each.step for each in found] == [3]


def test_a_run_goes_on_with_its_job_and_doubles_nothing(
    pair: World, api: ApiClient, store: str
) -> None:
    job = pair.trained()
    pair.advance(job)
    run = mlflow_sink.write(api, job, store, "first")
    client = MlflowClient(tracking_uri=store)

    def steps(key: str) -> list[tuple[int, float]]:
        return [(m.step, m.value) for m in client.get_metric_history(run, key)]

    loss = "loss.digits.personal/c1"
    assert steps(loss) == [(1, 0.4)]
    assert client.get_run(run).info.status == "RUNNING"
    assert client.get_run(run).data.params["algorithm.name"] == "tap"
    for name in pair.clients:
        pair.train(name, 2.0)
    pair.advance(job)
    finish(pair, job)
    for _ in range(2):
        assert mlflow_sink.write(api, job, store, "first") == run
    assert steps(loss) == [(1, 0.4), (2, 0.4)]
    assert [step for step, _ in steps("bytes_up/c2")] == [1, 2]
    assert steps("bytes_down") == [(each.number, each.bytes_down) for each in api.rounds(job)]
    assert steps("score.digits.distilled.accuracy/c2") == [(2, 0.8)]
    assert steps("score.digits.distilled.skill/c1") == [(2, 0.6)]
    [(step, value)] = steps("score.digits.distilled.accuracy")
    assert step == 2
    assert value == pytest.approx(0.8)
    held = client.get_run(run)
    assert (held.info.status, held.data.tags["tapestry.state"]) == ("FINISHED", "succeeded")
    assert held.data.params["clients"] == "c1, c2"
    kept = client.download_artifacts(run, "report.json", str(Path.cwd()))
    assert ReportView.model_validate_json(Path(kept).read_text()) == api.report(job)
    files = {each.path for each in client.list_artifacts(run)}
    tables = {f"{table}.{kind}" for table in TABLES for kind in ("csv", "json")}
    assert files == {"report.json", "spec.json", *tables}
    losses = Path(client.download_artifacts(run, "losses.json", str(Path.cwd()))).read_text()
    assert list(LossTable.model_validate_json(losses).items) == list(api.losses(job))


def test_jobs_have_runs_of_their_own_and_a_cancelled_one_says_so(
    pair: World, api: ApiClient, store: str
) -> None:
    job, other = pair.launch(), pair.launch(name="other")
    pair.operator.ok("POST", f"/v1/jobs/{job}/cancel")
    pair.advance(job)
    runs = [mlflow_sink.write(api, each, store, "second") for each in (job, other)]
    client = MlflowClient(tracking_uri=store)
    found = [client.get_run(run).info for run in runs]
    assert [(run.status, run.run_name) for run in found] == [
        ("KILLED", "scripted"),
        ("RUNNING", "other"),
    ]


def test_a_store_that_is_none_is_one_sentence(pair: World, api: ApiClient) -> None:
    job = pair.launch()
    with pytest.raises(UsageError, match=r"MLflow at nothing://here refuses \("):
        mlflow_sink.write(api, job, "nothing://here", "third")


def test_a_refusal_in_the_middle_is_no_wrong_option_and_the_next_run_goes_on(
    pair: World, api: ApiClient, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = pair.launch()

    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("the quota is used up")

    with monkeypatch.context() as now:
        now.setattr(MlflowClient, "log_artifacts", refuse)
        with pytest.raises(FailedError, match=r"refuses \(the quota is used up\), and a part may"):
            mlflow_sink.write(api, job, store, "fourth")
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("fourth")
    assert experiment is not None
    [begun] = client.search_runs([experiment.experiment_id])
    assert begun.data.params["algorithm.name"] == "tap"
    assert mlflow_sink.write(api, job, store, "fourth") == begun.info.run_id
