"""The model card: numbers and names only, in the hub's form, whatever a job is called."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from huggingface_hub import ModelCard

from shared.job_spec import JobSpec
from shared.states import JobState
from shared.views import ForkOrigin
from tests.support import small
from tests.support.takeaway import JOB, Home, home
from worker.takeaway.card import spec_digest
from worker.takeaway.export import export
from worker.takeaway.form import CARD
from worker.takeaway.tables import plain, table

pytestmark = pytest.mark.unit
ODD = "a|b *bold* <b>c</b> `d` [e](f)\n# g: {h}"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home(tmp_path_factory.mktemp("home"), small.spec(name=ODD, clients=("c01",)))


def card_of(there: Home, out: Path, **changes: object) -> str:
    before = there.api.view
    there.view_again(name=ODD, **changes)
    try:
        export(there.wish(out), there.source)
    finally:
        there.api.view = before
    return (out / CARD).read_text()


def test_it_is_a_card_of_the_hubs(there: Home, tmp_path: Path) -> None:
    found: Any = ModelCard(card_of(there, tmp_path / "model")).data
    assert found.library_name == "tapestry"
    assert found.eval_results is not None
    own = {(r.task_name, r.metric_type, r.metric_value) for r in found.eval_results}
    assert ("vqa", "accuracy", 0.8125) in own
    assert len(own) == 2 * len(there.spec.tasks), "of the exported variant only"


def test_it_tells_readiness_metrics_and_lineage(there: Home, tmp_path: Path) -> None:
    origin = ForkOrigin(job=UUID(int=7), round=3)
    card = card_of(there, tmp_path / "model", forked_from=origin, parent_state_digest="f" * 64)
    view = there.api.view
    assert "| digits | train | 14 | one 5, zero 5, two 4 | general 14 |" in card
    assert "| vqa | distilled (this one) | accuracy | 0.8125 | 0.5000 | 0.6250 | 6 |" in card
    assert "| vqa | personal | accuracy | 0.8125 |" in card
    assert "| 2 | digits | yes | 0.5000 | 0.7500 | 0.01 |" in card
    for said in (str(JOB), f"{UUID(int=7)}, round 3, with personal state {'f' * 64}",
                 view.base_digest, view.state_digest, spec_digest(view.spec),
                 view.manifest["proj"].sha256):  # fmt: skip
        assert said is not None
        assert said in card
    assert "had not ended" not in card


def test_a_job_that_goes_on_is_told_so(there: Home, tmp_path: Path) -> None:
    card = card_of(there, tmp_path / "model", state=JobState.RUNNING, scores=())
    assert "**The job had not ended when this was exported: it was running.**" in card


def test_it_holds_no_sample_and_no_path(there: Home, tmp_path: Path) -> None:
    card = card_of(there, tmp_path / "model")
    for task in there.spec.tasks:
        for rows in there.file.splits(task).values():
            for row in rows:
                assert not row.text or row.text not in card
                assert not row.target or f" {row.target} " not in card
                assert row.image is None or str(row.image.path) not in card
    assert str(tmp_path) not in card
    assert str(there.work_dir) not in card
    assert ".jsonl" not in card


def test_names_are_no_markup(there: Home, tmp_path: Path) -> None:
    card = card_of(there, tmp_path / "model")
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["model-index"][0]["name"].startswith(ODD)
    title = next(line for line in body.splitlines() if line.startswith("# "))
    assert title.startswith(f"# {plain(ODD)}: ")
    rows = [line for line in body.splitlines() if line.startswith("| job |")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 3


def test_a_cell_is_one_line() -> None:
    assert table(("a",), [("b\n|c",)]) == "| a |\n| --- |\n| b \\|c |"


def test_a_specs_digest_is_that_of_its_content() -> None:
    spec = small.spec()
    again = JobSpec.model_validate_json(spec.model_dump_json())
    assert spec_digest(spec) == spec_digest(again)
    assert spec_digest(small.spec(seed=1)) != spec_digest(spec)
