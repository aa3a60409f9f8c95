"""Scripted jobs that have ended, with what each client's models scored."""

from collections.abc import Mapping

from tests.support.scripted import Json, World, train_result

Scores = Mapping[str, Mapping[str, float]]  # client -> variant -> accuracy


def score(accuracy: float) -> Json:
    """Of fifty samples; the best constant answer is right for half of them."""
    return {
        "metric": "accuracy",
        "value": accuracy,
        "reference": 0.5,
        "skill": 2 * accuracy - 1,
        "n": 50,
        "metrics": {"accuracy": accuracy},
        "intervals": {"accuracy": [accuracy - 0.1, min(accuracy + 0.1, 1.0)]},
    }


def finished(world: World, name: str, algorithm: str, scores: Scores) -> str:
    """The id of a job of one round that has succeeded."""
    job = world.launch(name=name, algorithm={"name": algorithm}, rounds={"count": 1})
    world.plan(job)
    for number, client in enumerate(sorted(world.clients)):
        if algorithm == "local":
            _alone(world, client)
        else:
            world.train(client, 1.0 + number)
    world.advance(job)
    for kind in ("personalize", "evaluate"):
        for client in sorted(world.clients):
            claim = world.clients[client].claim()
            assert claim is not None
            assert claim["kind"] == kind
            measured = {v: {"digits": score(value)} for v, value in scores[client].items()}
            results: Json = {
                "personalize": {"losses": {}, "state_digest": "b" * 64},
                "evaluate": {"scores": measured},
            }
            done = world.clients[client].report(claim, "result", kind=kind, **results[kind])
            assert done.is_success, done.text
        world.advance(job)
    assert world.job(job)["state"] == "succeeded"
    return job


def _alone(world: World, client: str) -> None:
    """A round's work of which nothing is uploaded."""
    claim = world.clients[client].claim()
    assert claim is not None
    done = world.clients[client].report(claim, "result", **{**train_result({}), "decisions": []})
    assert done.is_success, done.text


def federated_and_alone(world: World) -> tuple[str, str]:
    """A job of tap and one of each client alone: c1 gains, c2 would have done better alone."""
    alone = finished(
        world, "each alone", "local", {"c1": {"post_trained": 0.6}, "c2": {"post_trained": 0.9}}
    )
    models = {"engaged": 0.7, "post_trained": 0.72, "personal": 0.74}
    scores = {"c1": {**models, "distilled": 0.88}, "c2": {**models, "distilled": 0.7}}
    return finished(world, "together", "tap", scores), alone
