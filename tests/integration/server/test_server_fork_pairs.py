"""Forks that pair a version with the personal states of another round, and forks for newcomers."""

from typing import Any

import pytest

from tests.support.scripted import Json, World, job_spec, offer

pytestmark = pytest.mark.integration

FIRST, SECOND, THIRD = ("1" * 64, "2" * 64, "3" * 64)


@pytest.fixture
def parent(pair: World) -> str:
    """A job of three rounds; c2 keeps a personal state after the second only."""
    job = pair.launch(rounds={"count": 3})
    pair.plan(job)
    for one, other in ((FIRST, None), (SECOND, SECOND), (THIRD, None)):
        pair.train("c1", 1.0, one)
        pair.train("c2", 2.0, other)
        pair.advance(job)
    pair.operator.ok("POST", f"/v1/jobs/{job}/cancel")
    pair.advance(job)
    return job


def wish(number: int, personal: int | None, *clients: str, **changes: Any) -> Json:
    spec = job_spec(list(clients or ("c1", "c2")), rounds={"count": number}, **changes)
    return {"round": number, "personal_round": personal, "spec": spec}


def fork(world: World, parent: str, asked: Json) -> Json:
    made = world.operator.ok("POST", f"/v1/jobs/{parent}/fork", json=asked)
    world.advance(made["id"])
    return world.job(made["id"])


def refusal(world: World, parent: str, asked: Json) -> tuple[str, str]:
    problem = world.operator("POST", f"/v1/jobs/{parent}/fork", json=asked).json()
    return problem["code"], problem["detail"]


@pytest.mark.parametrize(
    ("number", "personal", "states"),
    [
        (3, None, {"c1": THIRD, "c2": SECOND}),
        (3, 1, {"c1": FIRST}),
        (3, 2, {"c1": SECOND, "c2": SECOND}),
        (1, 3, {"c1": THIRD, "c2": SECOND}),
    ],
)
def test_a_version_goes_with_the_personal_states_of_any_round(
    pair: World, parent: str, number: int, personal: int | None, states: Json
) -> None:
    made = fork(pair, parent, wish(number, personal))
    assert made["state"] == "personalizing"
    assert made["forked_from"] == {
        "job": parent,
        "round": number,
        "personal_round": personal,
        "personal_states": states,
    }
    claim = pair.clients["c1"].claim()
    assert claim is not None
    assert (claim["version"], claim["state_digest"]) == (number, states["c1"])
    [listed, _] = pair.viewer.ok("GET", "/v1/jobs")["items"]
    assert listed["forked_from"]["personal_round"] == personal


def test_the_round_of_the_version_itself_is_no_other_round(pair: World, parent: str) -> None:
    origin = fork(pair, parent, wish(2, 2))["forked_from"]
    assert (origin["round"], origin["personal_round"]) == (2, None)


def test_a_fork_of_such_a_fork_goes_on_with_what_its_clients_had(pair: World, parent: str) -> None:
    first = fork(pair, parent, wish(3, 1))["id"]
    again = fork(pair, first, wish(3, None))
    assert again["forked_from"]["personal_states"] == {"c1": FIRST}
    asked = "The clients have no personal states of round 1: choose one of 3 to 3."
    assert refusal(pair, first, wish(3, 1)) == ("no_personal_states", asked)


def test_states_that_are_not_there_are_refused_with_those_that_are(
    pair: World, parent: str
) -> None:
    code, said = refusal(pair, parent, wish(3, 4))
    assert code == "no_personal_states"
    assert said == "The clients have no personal states of round 4: choose one of 1 to 3."
    assert refusal(pair, parent, wish(3, 0))[1].endswith("choose one of 1 to 3.")
    assert refusal(pair, parent, wish(3, 1, "c2"))[1].endswith("choose one of 2 to 3.")
    assert refusal(pair, parent, wish(4, 1))[0] == "no_version"


def test_clients_without_any_state_are_told_to_leave_the_round_out(pair: World) -> None:
    job = pair.launch(rounds={"count": 1})
    pair.plan(job)
    for client in ("c1", "c2"):
        pair.train(client, 1.0, None)
    pair.advance(job)
    said = "they have none of any round, so leave personal_round out."
    assert refusal(pair, job, wish(1, 1))[1].endswith(said)


def test_beginning_afresh_names_no_round(pair: World, parent: str) -> None:
    code, said = refusal(pair, parent, {**wish(3, 1), "personal_states": "fresh"})
    assert code == "invalid"
    assert "leave one of both out" in said


def test_a_newcomer_begins_at_the_last_version_and_is_asked_alone(pair: World, parent: str) -> None:
    pair.add_client("c3", offer(train={"general": 7}))
    made = fork(pair, parent, wish(3, None, "c3"))
    assert (made["state"], made["clients"]) == ("personalizing", ["c3"])
    claim = pair.clients["c3"].claim()
    assert claim is not None
    assert (claim["kind"], claim["version"], claim["state_digest"]) == ("personalize", 3, None)


def test_a_newcomer_may_lack_a_modality_that_the_parent_had(world: World) -> None:
    def reads(*modalities: str) -> Json:
        given = {"kind": "text_generation", "modalities": modalities, "train": {"general": 9}}
        return {"tasks": {"digits": {**given, "validation": 5, "test": 5}}}

    world.add_client("c1", reads("image", "text"))
    tasks = {"digits": {"kind": "text_generation", "modalities": ["image", "text"]}}
    job = world.launch(tasks=tasks, rounds={"count": 1})
    world.plan(job)
    world.train("c1", 1.0)
    world.advance(job)
    world.add_client("c2", reads("image"))
    fork(world, job, wish(1, None, "c2", tasks=tasks))
    claim = world.clients["c2"].claim()
    assert claim is not None
    assert claim["tasks"] == {"digits": ["image"]}
    assert not [name for name in claim["components"] if "encoder.text" in name]
    alone = job_spec(["c2"], tasks=tasks)
    answer = world.operator("POST", "/v1/jobs", json=alone)
    assert answer.json()["code"] == "modality_without_client"
