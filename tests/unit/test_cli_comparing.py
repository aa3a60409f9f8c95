"""`tapestry compare`: the right model of each job, honest averages, and what it cost."""

import json
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from server import examples
from server.errors import ProblemError
from shared.problem_codes import Code
from tests.support.answering import answering

pytestmark = pytest.mark.unit
FIRST, SECOND, OPEN, BARE = (UUID(int=n) for n in (1, 2, 3, 4))
_SCORE = examples.REPORT["scores"][0]["score"]


def row(client: str, variant: str, skill: float) -> dict[str, Any]:
    score = {**_SCORE, "skill": skill, "value": skill / 2}
    return {**examples.REPORT["scores"][0], "client": client, "variant": variant, "score": score}


def report(job: UUID, name: str, *rows: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {**examples.REPORT, "job_id": str(job), "name": name, "scores": list(rows)}


NOT_YET = ProblemError(409, Code.JOB_NOT_ENDED, "The job is running.").problem.model_dump()
ANSWERS: dict[str, tuple[int, Any]] = {
    f"/v1/jobs/{FIRST}/report": report(
        FIRST, "one",
        row("a", "engaged", 0.1), row("a", "personal", 0.2), row("a", "distilled", 0.4),
        row("b", "distilled", 0.6), row("c", "distilled", 0.9),
    ),
    f"/v1/jobs/{SECOND}/report": report(
        SECOND, "two",
        row("a", "guarded", 0.3), row("a", "distilled", 0.0), row("b", "guarded", 0.5),
    ),
    f"/v1/jobs/{OPEN}/report": (409, NOT_YET),
    f"/v1/jobs/{BARE}/report": report(BARE, "[b]one[/b]"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, ANSWERS)
    monkeypatch.setenv("COLUMNS", "160")


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_each_job_shows_the_model_that_would_be_taken_away() -> None:
    found = json.loads(run(FIRST, SECOND, "--json").stdout)
    assert [each["title"] for each in found["columns"]] == ["one: distilled", "two: guarded"]
    assert found["average_skill"] == pytest.approx({"one: distilled": 0.5, "two: guarded": 0.4})
    assert found["n_averaged"] == 2
    assert [(each["client"], each["task"]) for each in found["rows"]] == [
        (client, "digits") for client in "abc"
    ]
    assert found["rows"][2]["scores"]["two: guarded"] is None
    [first, _] = found["columns"]
    for field in ("seconds", "bytes_down", "bytes_up", "optimizer_steps"):
        assert first[field] == examples.REPORT[field]


def test_people_see_only_what_all_models_were_measured_on() -> None:
    said = run(FIRST, SECOND).stdout
    assert "0.400 (0.200)" in said
    assert "0.900" not in said
    assert "left out: 1 of 3 tasks of clients" in " ".join(said.split())
    average = next(line for line in said.splitlines() if "average" in line)
    assert "0.500" in average
    assert "0.400" in average
    one = next(line for line in said.splitlines() if line.startswith("│ one"))
    assert one.replace("│", "").split() == [
        "one", "tap", "succeeded", "4", "393.2", "kB", "196.6", "kB", "83", "93",
    ]  # fmt: skip


def test_several_models_of_one_job_stand_side_by_side() -> None:
    found = json.loads(run(FIRST, f"{FIRST}:engaged", f"{FIRST}:personal", "--json").stdout)
    assert found["average_skill"] == {
        "one: distilled": 0.4,
        "one: engaged": 0.1,
        "one: personal": 0.2,
    }


def test_jobs_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    other = report(SECOND, "one", row("a", "guarded", 0.3))
    monkeypatch.setitem(ANSWERS, f"/v1/jobs/{SECOND}/report", other)
    found = json.loads(run(FIRST, SECOND, "--json").stdout)
    assert found["columns"][1]["title"] == "one (00000000): guarded"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([FIRST], 2, "name another"),
        ([FIRST, "x"], 2, "'x' is not JOB or JOB:VARIANT"),
        ([FIRST, f"{SECOND}:best"], 2, "VARIANT from engaged"),
        ([FIRST, FIRST], 2, "named twice"),
        ([FIRST, f"{FIRST}:distilled"], 2, "named twice"),
        ([FIRST, OPEN], 1, f"follow it by `tapestry watch {OPEN}`"),
        ([FIRST, UUID(int=9)], 1, "there is no job"),
        ([FIRST, f"{SECOND}:engaged"], 1, "has no engaged model: choose one of guarded, distilled"),
        ([FIRST, BARE], 1, "([b]one[/b], succeeded) has no scores"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: list[object], code: int, says: str) -> None:
    said = run(*arguments, code=code).stderr
    assert says in said
    assert said.count("\n") == 1
