"""The short form of `make chaos`: every kind of fault at least once, and the same outcome."""

from itertools import islice
from pathlib import Path

import pytest

from tests.chaos.faults import table
from tests.chaos.nemesis import schedule
from tests.chaos.report import left_out, rows
from tests.chaos.run import Plan, Result, kept_on_error, run
from tests.support.figures import show

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The faults of all kinds, one after the other, on a whole stack."""
    kept = tmp_path_factory.mktemp("chaos")
    return run(Plan(seed=3, seconds=240, most_faults=500, gap_s=1.0, kept=kept, each_once=True))


@pytest.mark.long
def test_every_kind_of_fault_has_hit(result: Result) -> None:
    show("chaos", "pytest tests/chaos/test_chaos.py", rows(result), record=False)
    possible = {fault.kind for fault in table() if not fault.impossible}
    assert possible == set(result.tally.hits)


def test_no_kind_of_fault_is_left_out() -> None:
    # .ci/run installs strace and a C compiler; who runs the tests elsewhere need not have them.
    if missing := left_out(table()):
        pytest.skip(f"not tested are {missing}")


def test_without_a_compiler_the_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    table()  # what strace may do here is asked once, and kept
    monkeypatch.setattr("tests.chaos.faults.shutil.which", lambda _: None)
    expected = "disk full (ENOSPC), clock jumps ahead, clock jumps back: no C compiler (cc) here"
    assert expected in left_out(table())


@pytest.mark.long
def test_a_disturbed_job_ends_with_the_bits_of_the_undisturbed_one(result: Result) -> None:
    assert result.comparable
    assert {job.outcome for job in result.comparable} == {result.undisturbed}


@pytest.mark.long
def test_nothing_is_lost_or_counted_twice_or_stuck(result: Result) -> None:
    assert result.checked.wrong == []
    assert result.checked.counts["contributions"] > 0


@pytest.mark.long
def test_no_process_gives_up_but_for_want_of_postgres(result: Result) -> None:
    assert [said for said in result.tally.ended if "Postgres at" not in said] == []


def test_the_schedule_is_a_function_of_the_seed() -> None:
    def said(seed: int) -> list[tuple[str, float, float, int]]:
        plan = islice(schedule(seed, table(), 1.0), 100)
        return [(p.fault.kind, p.after_s, p.seconds, p.draw.getrandbits(32)) for p in plan]

    assert said(1) == said(1)
    assert said(1) != said(2)


def test_a_failed_run_keeps_its_logs_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "diary.jsonl").write_text("{}")
    plan = Plan(seed=9, seconds=1, most_faults=1, gap_s=1, kept=tmp_path / "kept")
    with (
        pytest.raises(AssertionError, match="broken") as caught,
        kept_on_error(plan, tmp_path / "logs"),
    ):
        raise AssertionError("broken")
    (kept,) = (tmp_path / "kept").iterdir()
    assert (kept / "diary.jsonl").exists()
    assert "seed 9" in caught.value.__notes__[0]
    assert str(kept) in caught.value.__notes__[0]
