"""A job that asks for several contributors: what too few have trained stays as it was."""

import pytest

from tests.support.scripted import Json, World, component_bytes, sha

pytestmark = pytest.mark.integration


@pytest.fixture
def job(pair: World) -> str:
    """A job whose rounds may close with one of two clients, and average what both have trained."""
    job = pair.launch(
        aggregation={"min_contributors": 2}, rounds={"count": 2, "quorum": 1, "deadline": "PT1M"}
    )
    pair.plan(job)
    return job


def manifest(world: World, job: str, version: int) -> Json:
    found: Json = world.viewer.ok("GET", f"/v1/jobs/{job}/versions/{version}")["manifest"]
    return found


def table(world: World, job: str, name: str) -> list[Json]:
    found: list[Json] = world.viewer.ok("GET", f"/v1/jobs/{job}/{name}")["items"]
    return found


def published(world: World, job: str) -> list[Json]:
    events = world.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]
    return [event["data"] for event in events if event["kind"] == "round.published"][1:]


def test_a_round_of_one_client_changes_nothing_and_the_next_of_both_does(
    pair: World, job: str
) -> None:
    pair.train("c1", 1.0)
    pair.execute("UPDATE rounds SET deadline_at = now() WHERE closed_at IS NULL")
    pair.advance(job)
    pair.advance(job)
    before, after = (manifest(pair, job, number) for number in (0, 1))
    assert after == before
    assert table(pair, job, "contributions") == [], "nothing of it was averaged"
    assert all(row["last_contributors"] == [] for row in table(pair, job, "components"))
    row = pair.viewer.ok("GET", f"/v1/jobs/{job}/rounds/1")
    assert [each["client"] for each in row["assignments"] if each["state"] == "accepted"] == ["c1"]
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    pair.advance(job)
    mean = sha(component_bytes(4.0, 4.0, 4.0))  # (10 * 1 + 30 * 5) / 40
    last = manifest(pair, job, 2)
    assert {entry["sha256"] for entry in last.values()} == {mean}
    assert {each["client"] for each in last["proj"]["contributions"]} == {"c1", "c2"}
    shares = table(pair, job, "contributions")
    assert {(row["version"], row["client"]) for row in shares} == {(2, "c1"), (2, "c2")}
    assert {row["component"] for row in shares} == set(last)
    assert all(row["last_contributors"] == ["c1", "c2"] for row in table(pair, job, "components"))
    first, second = published(pair, job)
    assert (first["changed"], first["held_back"]) == (0, len(last))
    assert second["changed"] == len(last)
    assert "held_back" not in second
