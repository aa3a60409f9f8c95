"""The demonstration's comparison: the right model in the right column, honest averages."""

import io
import uuid

import pytest
from rich.console import Console

from cli import comparison
from cli.demo.columns import COLUMNS, traffic_table
from shared.reports import ReportRow, ReportView
from shared.results import TaskScore, Variant
from shared.states import JobState

pytestmark = pytest.mark.unit


def score(skill: float) -> TaskScore:
    return TaskScore(metric="accuracy", value=skill / 2, reference=0.0, skill=skill, n=10)


def report(algorithm: str, skills: dict[tuple[str, Variant], float]) -> ReportView:
    return ReportView(
        job_id=uuid.uuid4(),
        name=f"demo {algorithm}",
        algorithm=algorithm,
        state=JobState.SUCCEEDED,
        rounds=4,
        seconds=1.5,
        bytes_down=3000,
        bytes_up=1000,
        bytes_full_exchange=16000,
        final_version=4,
        final_manifest={},
        scores=tuple(
            ReportRow(client=client, task="topics", variant=variant, score=score(skill))
            for (client, variant), skill in skills.items()
        ),
        replacements=(),
        optimizer_steps={},
    )


@pytest.fixture
def reports() -> dict[str, ReportView]:
    v = Variant
    return {
        "tap": report(
            "tap",
            {
                ("a", v.PERSONAL): 0.6,
                ("a", v.DISTILLED): 0.7,
                ("a", v.ENGAGED): 0.1,
                ("b", v.PERSONAL): 0.2,
                ("b", v.DISTILLED): 0.3,
            },
        ),
        "fedavg": report(
            "fedavg",
            {("a", v.ENGAGED): 0.4, ("a", v.POST_TRAINED): 0.5, ("b", v.POST_TRAINED): 0.1},
        ),
        "local": report("local", {("a", v.POST_TRAINED): 0.2, ("b", v.POST_TRAINED): -0.2}),
    }


def test_each_column_takes_its_job_and_model(reports: dict[str, ReportView]) -> None:
    rows = comparison.rows(reports, COLUMNS)
    assert [(row.client, row.task, row.metric) for row in rows] == [
        ("a", "topics", "accuracy"),
        ("b", "topics", "accuracy"),
    ]
    skills = [[each.skill if each else None for each in row.scores] for row in rows]
    assert skills == [[0.2, 0.4, 0.5, 0.6, 0.7], [-0.2, None, 0.1, 0.2, 0.3]]


def test_a_column_with_a_gap_has_no_average(reports: dict[str, ReportView]) -> None:
    means = comparison.averages(comparison.rows(reports, COLUMNS))
    assert means == pytest.approx([0.0, None, 0.3, 0.4, 0.5])


def test_no_scores_give_an_empty_comparison() -> None:
    assert comparison.rows({}, COLUMNS) == []
    assert comparison.as_json([], COLUMNS)["average_skill"] == {}


def test_traffic_is_per_round_and_against_full_state_dicts(reports: dict[str, ReportView]) -> None:
    console = Console(width=140, file=io.StringIO(), record=True)
    console.print(traffic_table({"tap": reports["tap"]}))
    text = " ".join(console.export_text().split())
    assert "demo tap │ 4 │ 750 B │ 250 B │ 4.0 kB │ 75.0%" in text


def test_the_table_says_skill_and_metric(reports: dict[str, ReportView]) -> None:
    console = Console(width=140, file=io.StringIO(), record=True)
    console.print(comparison.skill_table(comparison.rows(reports, COLUMNS), COLUMNS))
    text = console.export_text()
    assert "0.700 (0.350)" in text
    assert "best constant answer" in text.replace("\n", " ")
