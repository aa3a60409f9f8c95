"""Which components are averaged where a job asks for several contributors."""

import pytest
from pydantic import ValidationError

from server.aggregation import Contribution, disclosed, users
from shared.job_spec import JobSpec
from shared.messages import ClientOffer
from tests.support.scripted import job_spec, offer

pytestmark = pytest.mark.unit

CLIENTS = {
    "c1": offer(train={"general": 10}),
    "c2": offer(train={"general": 10}),
    "c3": offer(train={"general": 10, "rare": 5}),
}
OFFERS = [ClientOffer.model_validate(each) for each in CLIENTS.values()]


def spec(least: int) -> JobSpec:
    job = job_spec(list(CLIENTS), aggregation={"min_contributors": least})
    job["tasks"]["digits"]["domains"] = ["general", "rare"]
    return JobSpec.model_validate(job)


def sent(*clients: str) -> list[Contribution]:
    return [Contribution(client, "a" * 64, 1.0) for client in clients]


def test_users_are_those_whose_tasks_and_domains_need_a_component() -> None:
    found = users(spec(1), OFFERS)
    assert found["head.digits"] == 3
    assert [count for name, count in found.items() if name.endswith(".rare")] == [1, 1]


@pytest.mark.parametrize(
    ("least", "kept"),
    [(1, {"one", "two", "three"}), (2, {"two", "three"}), (3, {"three"})],
)
def test_what_too_few_have_trained_is_held_back(least: int, kept: set[str]) -> None:
    given = {"one": sent("c1"), "two": sent("c1", "c2"), "three": sent("c1", "c2", "c3")}
    found = disclosed(given, spec(least), OFFERS)
    assert set(found) == kept
    assert all(found[name] == given[name] for name in kept)


def test_what_one_client_alone_uses_goes_back_to_it() -> None:
    rare = "domain.mote.image.0.rare"
    given = {rare: sent("c3"), "head.digits": sent("c3")}
    assert set(disclosed(given, spec(2), OFFERS)) == {rare}


def test_more_than_a_round_has_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"min_contributors is 4 but a round has 3 clients"):
        spec(4)
