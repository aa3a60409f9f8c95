"""A job's tables: as JSON and CSV, while it runs and afterwards, against what other routes say."""

import csv
import io
from typing import Any

import pytest

from server.job_tables import answers
from shared.job_tables import TABLES
from tests.support.scripted import World, component_bytes, component_spec, held

pytestmark = pytest.mark.integration
Json = dict[str, Any]

SCORE = {
    "metric": "accuracy",
    "value": 0.8,
    "reference": 0.5,
    "skill": 0.6,
    "n": 5,
    "metrics": {"accuracy": 0.8, "loss": 0.5},
    "intervals": {"accuracy": [0.4, 1.0]},
}
OLD_SCORE = {"metric": "=accuracy", "value": 0.1, "reference": 0.5, "skill": -0.8, "n": 5}


def rows(world: World, job: str, table: str, **asked: Any) -> list[Json]:
    found: list[Json] = world.viewer.ok("GET", f"/v1/jobs/{job}/{table}", params=asked)["items"]
    return found


def as_csv(world: World, job: str, table: str, **asked: Any) -> list[dict[str, str]]:
    answer = world.viewer("GET", f"/v1/jobs/{job}/{table}", params={**asked, "format": "csv"})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def evaluate(world: World, client: str, **scores: Json) -> None:
    claim = world.clients[client].claim()
    assert claim is not None
    assert claim["kind"] == "evaluate"
    measured = {variant: {"digits": score} for variant, score in scores.items()}
    assert (
        world.clients[client].report(claim, "result", kind="evaluate", scores=measured).is_success
    )


def personalize(world: World, client: str) -> None:
    claim = world.clients[client].claim()
    assert claim is not None
    traffic = {"bytes_down": 100, "bytes_up": 0, "seconds": 1.0}
    body = {"kind": "personalize", "losses": {}, "state_digest": "b" * 64, "traffic": traffic}
    assert world.clients[client].report(claim, "result", **body).is_success


def measured(pair: World) -> str:
    """A job of two rounds in which c2 has not been evaluated yet."""
    job = pair.trained()
    pair.advance(job)
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    pair.advance(job)
    for client in ("c1", "c2"):
        personalize(pair, client)
    pair.advance(job)
    evaluate(pair, "c1", distilled=SCORE, guarded={**SCORE, "of": "distilled"})
    return job


def test_every_table_is_there_from_the_start(pair: World) -> None:
    job = pair.launch()
    for table in TABLES:
        assert rows(pair, job, table) == [], table
        assert as_csv(pair, job, table) == [], table
        lacking = pair.viewer("GET", f"/v1/jobs/{'0' * 8}-0000-4000-8000-{'0' * 12}/{table}")
        assert lacking.status_code == 404


def test_losses_and_replacements_of_the_round_under_way(pair: World) -> None:
    job = pair.launch()
    plan = pair.plan(job)
    pair.train("c2", 1.0)
    where = {"round": 1, "client": "c2", "task": "digits"}
    assert rows(pair, job, "losses") == [{**where, "engaged": 0.5, "personal": 0.4}]
    decision = {"engaged_loss": 0.5, "personal_loss": None, "margin": 0.0, "replaced": True}
    n = len(plan["components"])
    assert rows(pair, job, "replacements") == [{**where, **decision, "components": n}]
    assert rows(pair, job, "contributions") == [], "nothing is published yet"
    (moved,) = rows(pair, job, "traffic")
    assert (moved["state"], moved["asked"], moved["accepted"]) == ("open", 2, 1)
    assert moved["seconds"] is None


def test_tables_are_chosen_by_client_task_and_round(pair: World) -> None:
    job = measured(pair)
    for table in ("losses", "replacements"):
        found = [(row["round"], row["client"]) for row in rows(pair, job, table)]
        assert found == [(1, "c1"), (1, "c2"), (2, "c1"), (2, "c2")]
        later = rows(pair, job, table, after_round=1, client="c2", task="digits")
        assert [(row["round"], row["client"]) for row in later] == [(2, "c2")]
        assert rows(pair, job, table, task="other") == rows(pair, job, table, client="c9") == []
    assert {row["component"] for row in rows(pair, job, "contributions", component="proj")} == {
        "proj"
    }
    assert {row["version"] for row in rows(pair, job, "contributions", after_version=1)} == {2}
    assert [row["phase"] for row in rows(pair, job, "traffic", after_round=2)] == []
    used = rows(pair, job, "components", client="c1")
    assert used == [row for row in rows(pair, job, "components") if "c1" in row["clients"]] != []
    assert rows(pair, job, "components", client="c9") == []


@pytest.mark.parametrize("table", TABLES)
def test_pages_are_the_whole_and_csv_is_the_same(
    pair: World, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = measured(pair)
    whole, paged, cursor = rows(pair, job, table), [], None
    while True:
        asked = {"limit": 1} if cursor is None else {"limit": 1, "cursor": cursor}
        page = pair.viewer.ok("GET", f"/v1/jobs/{job}/{table}", params=asked)
        paged += page["items"]
        cursor = page.get("next")
        if cursor is None:
            break
    assert paged == whole
    assert len(whole) > 1
    once = as_csv(pair, job, table)
    monkeypatch.setattr(answers, "_AT_ONCE", 2)
    assert as_csv(pair, job, table) == once
    for found, row in zip(once, whole, strict=True):
        assert {name: said(value) for name, value in row.items()} == found


@pytest.mark.parametrize(
    ("table", "sort"),
    [
        ("losses", "round"),
        ("replacements", "round"),
        ("contributions", "version"),
        ("components", "component"),
        ("traffic", "phase"),
        ("scores", "client"),
    ],
)
def test_tables_go_from_either_end_on(
    pair: World, table: str, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = measured(pair)
    path, whole = f"/v1/jobs/{job}/{table}", rows(pair, job, table)
    assert rows(pair, job, table, sort=sort) == whole
    falling = as_csv(pair, job, table, sort=f"-{sort}")
    assert falling == as_csv(pair, job, table)[::-1]
    monkeypatch.setattr(answers, "_AT_ONCE", 2)
    assert as_csv(pair, job, table, sort=f"-{sort}") == falling
    paged: list[Json] = []
    asked: Json = {"sort": f"-{sort}", "limit": 1}
    while True:
        page = pair.viewer.ok("GET", path, params=asked)
        paged += page["items"]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
    assert paged == whole[::-1]
    first = pair.viewer.ok("GET", path, params={"limit": 1})["next"]
    other = pair.viewer("GET", path, params={"sort": f"-{sort}", "cursor": first})
    assert other.status_code == 422


def said(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def test_scores_come_as_soon_as_evaluations_are_accepted(pair: World) -> None:
    job = measured(pair)
    assert pair.job(job)["state"] == "evaluating"
    row = {"client": "c1", "task": "digits", "kind": "image_classification", "n": 5}
    accuracy = {"metric": "accuracy", "value": 0.8, "lower": 0.4, "upper": 1.0, "skill": 0.6}
    loss = {"metric": "loss", "value": 0.5, "lower": None, "upper": None, "skill": None}
    assert rows(pair, job, "scores") == [
        {**row, **each, "variant": variant, "of": of}
        for variant, of in (("distilled", None), ("guarded", "distilled"))
        for each in (accuracy, loss)
    ]
    evaluate(pair, "c2", personal=OLD_SCORE)
    (old,) = rows(pair, job, "scores", client="c2", task="digits")
    assert (old["metric"], old["value"], old["skill"]) == ("=accuracy", 0.1, -0.8)
    (said_safely,) = as_csv(pair, job, "scores", client="c2")
    assert said_safely["metric"] == "'=accuracy"
    assert said_safely["skill"] == "-0.8"


def test_full_exchanges_are_of_the_catalogue_that_was_kept(pair: World) -> None:
    """The first attempt of the planner described another base, and was read meanwhile."""
    job = pair.launch()
    claim = pair.planner.claim()
    assert claim is not None
    large = component_spec().model_copy(update={"frozen_bytes": 10**9}).model_dump()
    components = dict.fromkeys(claim["components"], large)
    address = f"/v1/assignments/{claim['assignment_id']}"
    catalogue = {"base_digest": "b" * 64, "components": components}
    pair.planner.ok("PUT", f"{address}/catalogue", params=held(claim), json=catalogue)
    pair.viewer.ok("GET", f"/v1/jobs/{job}/rounds", params={"phase": "plan"})
    pair.planner.report(claim, "release")
    pair.plan(job)
    pair.train("c1", 1.0)
    (moved,) = rows(pair, job, "traffic")
    full = pair.viewer.ok("GET", f"/v1/jobs/{job}/rounds/1")["bytes_full_exchange"]
    n_components = 2 * len(components)  # of both clients
    assert moved["bytes_full_exchange"] == full == n_components * 2 * (3 * 4 + 100)


def test_traffic_sums_to_the_report(pair: World) -> None:
    job = measured(pair)
    evaluate(pair, "c2", distilled=SCORE)
    pair.advance(job)
    report = pair.viewer.ok("GET", f"/v1/jobs/{job}/report")
    moved = rows(pair, job, "traffic")
    assert [(row["phase"], row["round"]) for row in moved] == [
        ("train", 1), ("train", 2), ("personalize", 2), ("evaluate", 2),
    ]  # fmt: skip
    for total in ("bytes_down", "bytes_up", "bytes_full_exchange"):
        assert sum(row[total] for row in moved) == report[total] > 0
    listed = [
        each
        for phase in ("train", "personalize", "evaluate")
        for each in pair.viewer.ok("GET", f"/v1/jobs/{job}/rounds", params={"phase": phase})[
            "items"
        ]
    ]
    for row, of in zip(moved, listed, strict=True):
        assert {n: row[n] for n in ("bytes_down", "bytes_up", "bytes_full_exchange")} == {
            n: of[n] for n in ("bytes_down", "bytes_up", "bytes_full_exchange")
        }
    assert all(row["seconds"] > 0 for row in moved)


@pytest.mark.parametrize(("sort", "last"), [("phase", "evaluate"), ("-phase", "train")])
def test_a_page_of_traffic_sums_no_other_rounds(
    unchecked_pair: World, sort: str, last: str
) -> None:
    """What cannot be summed is in rounds at the other end."""
    job = measured(unchecked_pair)
    unchecked_pair.execute(
        """UPDATE assignments SET result = '{"traffic": {"bytes_down": "none"}}'
        WHERE round_id = (SELECT id FROM rounds WHERE phase = :last ORDER BY number LIMIT 1)""",
        last=last,
    )
    (found,) = rows(unchecked_pair, job, "traffic", limit=1, sort=sort)
    assert found["phase"] != last


def test_components_say_who_made_them_and_what_was_carried_over(pair: World) -> None:
    job = pair.trained()
    pair.advance(job)
    n_bytes = len(component_bytes(0, 0, 0))
    (proj,) = (row for row in rows(pair, job, "components") if row["component"] == "proj")
    made = {"component": "proj", "n_bytes": n_bytes, "n_changes": 1, "last_changed": 1}
    both = {"last_contributors": ["c1", "c2"], "clients": ["c1", "c2"]}
    assert proj == {**made, **both}
    shares = [row for row in rows(pair, job, "contributions") if row["component"] == "proj"]
    assert [(row["version"], row["client"], row["weight"]) for row in shares] == [
        (1, "c1", 10.0),
        (1, "c2", 30.0),
    ]
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    pair.advance(job)
    assert proj in rows(pair, job, "components"), "the same average again changes nothing"


@pytest.mark.parametrize("norm", ["Infinity", "NaN"])
def test_a_norm_that_is_no_number_is_absent(pair: World, norm: str) -> None:
    job = pair.trained()
    pair.advance(job)
    assert all(row["norm"] > 0 for row in rows(pair, job, "contributions", component="proj"))
    pair.execute("UPDATE contributions SET norm = CAST(:norm AS float8)", norm=norm)
    assert {row["norm"] for row in rows(pair, job, "contributions")} == {None}
    assert {row["norm"] for row in as_csv(pair, job, "contributions")} == {""}


def test_a_fork_counts_its_own_rounds_and_names_its_parent_s_contributors(pair: World) -> None:
    parent = pair.trained()
    pair.advance(parent)
    spec = pair.job(parent)["spec"]
    body = {"round": 1, "spec": {**spec, "name": "fork"}}
    fork = pair.operator.ok("POST", f"/v1/jobs/{parent}/fork", json=body)["id"]
    pair.advance(fork)
    assert rows(pair, fork, "losses") == rows(pair, fork, "contributions") == []
    found = rows(pair, fork, "components")
    assert found
    for row in found:
        assert (row["n_changes"], row["last_changed"]) == (0, 1)
        assert row["last_contributors"] == ["c1", "c2"]


def test_json_pages_are_not_sent_again_while_they_hold(pair: World) -> None:
    job = pair.trained()
    for table in TABLES:
        path = f"/v1/jobs/{job}/{table}"
        tag = pair.viewer("GET", path).headers["etag"]
        assert pair.viewer("GET", path, headers={"If-None-Match": tag}).status_code == 304


def test_csv_is_asked_for_by_format_or_accept_and_has_a_name(pair: World) -> None:
    job = pair.launch()
    path = f"/v1/jobs/{job}/losses"
    for asked in ({"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv, */*;q=0.1"}}):
        answer = pair.viewer("GET", path, **asked)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == f'attachment; filename="losses-{job}.csv"'
        assert answer.text == "round,client,task,engaged,personal\r\n"
    json_first = {"params": {"format": "json"}, "headers": {"Accept": "text/csv"}}
    assert pair.viewer("GET", path, **json_first).json()["items"] == []
    assert pair.viewer("GET", path, params={"format": "xml"}).status_code == 422
    assert pair.viewer("GET", path, params={"limit": 5001}).status_code == 422


@pytest.mark.parametrize("table", TABLES)
def test_a_cursor_of_another_table_is_refused(pair: World, table: str) -> None:
    job = measured(pair)
    other = "traffic" if table == "losses" else "losses"
    cursor = pair.viewer.ok("GET", f"/v1/jobs/{job}/{other}", params={"limit": 1})["next"]
    for form in ("json", "csv"):
        asked = {"cursor": cursor, "format": form}
        answer = pair.viewer("GET", f"/v1/jobs/{job}/{table}", params=asked)
        assert answer.status_code == 422, table
