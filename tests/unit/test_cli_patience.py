"""An API that is away is said once, asked again, and said once when it is back."""

import io
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from rich.console import Console

import cli.patience
import cli.progress
from cli.patience import Patience
from cli.progress import follow
from shared.problem_codes import Code
from shared.states import JobState
from shared.transport import ApiError, no_answer
from tests.unit.test_cli_progress import ScriptedApi

pytestmark = pytest.mark.unit
AWAY = ApiError(no_answer(0, "it cannot be reached"))
PROXY = ApiError(no_answer(502, "a proxy says so"))
BUSY = ApiError(
    no_answer(503, "its Postgres is away").model_copy(update={"code": Code.UNAVAILABLE})
)
NOT_YOU = ApiError(no_answer(401, "another key").model_copy(update={"code": Code.UNAUTHORIZED}))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.patience, "_PAUSE_S", 0)
    monkeypatch.setattr(cli.progress, "_PACE_S", 0)


def scripted(*answers: str | ApiError) -> Callable[[], str]:
    steps: Iterator[str | ApiError] = iter(answers)

    def ask() -> str:
        answer = next(steps)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    return ask


def test_a_break_is_said_once_and_so_is_its_end() -> None:
    said: list[str] = []
    patience = Patience("http://there", said.append, None)
    ask = scripted("one", AWAY, PROXY, BUSY, "two", "three", AWAY, "four")
    assert [patience.ask(ask) for _ in range(4)] == ["one", "two", "three", "four"]
    away, back, away_again, back_again = said
    assert "it cannot be reached" in away
    assert away.startswith("away since ")
    assert back == "http://there is back after 0 s"
    assert away_again.startswith("away since ")
    assert back_again == back


def test_what_never_answered_is_not_waited_for() -> None:
    said: list[str] = []
    with pytest.raises(ApiError, match="cannot be reached"):
        Patience("http://there", said.append, None).ask(scripted(AWAY, "late"))
    assert said == []


def test_a_key_that_is_no_longer_valid_ends_it() -> None:
    patience = Patience("http://there", lambda _: None, None)
    ask = scripted("one", AWAY, NOT_YOU, "two")
    patience.ask(ask)
    with pytest.raises(ApiError, match="another key"):
        patience.ask(ask)


def test_it_gives_up_when_told() -> None:
    patience = Patience("http://there", lambda _: None, timedelta(0))
    ask = scripted("one", AWAY, "two")
    patience.ask(ask)
    with pytest.raises(ApiError, match="cannot be reached"):
        patience.ask(ask)


def test_whoever_checks_meanwhile_may_end_it() -> None:
    def check() -> None:
        raise RuntimeError("the stack has ended")

    patience = Patience("http://there", lambda _: None, None, check)
    ask = scripted("one", AWAY, "two")
    patience.ask(ask)
    with pytest.raises(RuntimeError, match="the stack has ended"):
        patience.ask(ask)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_break_repeats_no_line_and_loses_none(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    console = Console(width=200, file=out, force_terminal=terminal)
    with ScriptedApi() as api:
        before = api.job("7")
        later = before.model_copy(update={"round": 3})
        end = later.model_copy(update={"state": JobState.SUCCEEDED})
        steps = iter([before, AWAY, AWAY, before, later, AWAY, end])

        def job(*_: object) -> object:
            step = next(steps)
            if isinstance(step, ApiError):
                raise step
            return step

        monkeypatch.setattr(api, "job", job)
        follow(api, ["7"], console, lambda: None, None)
    said = out.getvalue()
    assert said.count("away since") == 2
    assert said.count("is back after") == 2
    if not terminal:
        told = [line.split("s  ", 1)[1] for line in said.splitlines() if "demo tap" in line]
        assert [line.split(",")[:2] for line in told] == [
            ["demo tap: running", " round 2 of 5"],
            ["demo tap: running", " round 3 of 5"],
            ["demo tap: succeeded", " round 3 of 5"],
        ]
