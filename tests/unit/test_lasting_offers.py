"""What a client still has of its frozen offer: by every way from one offer to another."""

from itertools import product

import pytest

from server.aggregation import client_components, component_weight, offered_tasks
from server.clients.lasting import differences, lasting, noted
from shared.attendance import OfferChange
from shared.components import Encoder, Head, Modality, Projection
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, ClientOffer, TaskOffer
from tests.support import small

pytestmark = pytest.mark.unit

IMAGE, TEXT = Modality.IMAGE, Modality.TEXT
SPEC = small.spec(clients=["c01"])
VQA: list[tuple[Modality, ...] | None] = [None, (TEXT,), (IMAGE,), (IMAGE, TEXT)]
DIGITS: list[tuple[Modality, ...] | None] = [None, (IMAGE,)]


def offer(
    vqa: tuple[Modality, ...] | None = (IMAGE, TEXT), digits: tuple[Modality, ...] | None = (IMAGE,)
) -> ClientOffer:
    counts = {"validation": 3, "test": 3}
    tasks = {}
    if vqa is not None:
        tasks["vqa"] = TaskOffer(
            kind="text_generation", modalities=vqa, train={"general": 8}, **counts
        )
    if digits is not None:
        tasks["digits"] = TaskOffer(
            kind="image_classification",
            modalities=digits,
            n_classes=3,
            train={"general": 5},
            **counts,
        )
    return ClientOffer.model_construct(tasks=tasks)


def follow(spec: JobSpec, frozen: ClientOffer, *offers: ClientOffer) -> list[OfferChange]:
    """The changes that these offers make, one after the other."""
    changes: list[OfferChange] = []
    for number, now in enumerate(offers, 1):
        had = lasting(frozen, changes)
        before = {name: had.tasks[name].modalities for name in offered_tasks(spec, had)}
        found = differences(spec, frozen, before, now)
        changes += noted(found, number, AssignmentKind.TRAIN)
    return changes


WAYS = list(product(product(VQA, DIGITS), repeat=3))


def test_after_every_way_the_client_has_what_both_offers_have() -> None:
    for first, second, third in WAYS:
        frozen, between, now = offer(*first), offer(*second), offer(*third)
        had = lasting(frozen, follow(SPEC, frozen, between, now))
        wanted = {
            name: tuple(m for m in task.modalities if m in now.tasks[name].modalities)
            for name, task in frozen.tasks.items()
            if name in now.tasks
        }
        wanted = {name: kept for name, kept in wanted.items() if kept}
        assert {name: had.tasks[name].modalities for name in offered_tasks(SPEC, had)} == wanted
        assert follow(SPEC, frozen, between, now, now) == follow(SPEC, frozen, between, now)
        assert all(task.train == frozen.tasks[name].train for name, task in had.tasks.items())


def test_each_change_is_told_once() -> None:
    frozen = offer()
    changes = follow(SPEC, frozen, offer((TEXT,)), offer((TEXT,), None), offer(), offer())
    assert [(c.task, c.modality, c.lost, c.round) for c in changes] == [
        ("vqa", IMAGE, True, 1),
        ("digits", None, True, 2),
        ("digits", None, False, 3),
        ("vqa", IMAGE, False, 3),
    ]


def test_what_was_not_offered_at_first_cannot_be_gained() -> None:
    frozen = offer((TEXT,))
    assert follow(SPEC, frozen, offer()) == []
    names = {str(c) for c in client_components(SPEC, offer((TEXT,), None))}
    assert "encoder.image" not in names
    assert {"encoder.text", "proj", "head.vqa", "block.mote.text"} <= names
    assert not any(".image" in name for name in names)


def test_a_lost_modality_weighs_nothing_in_its_components() -> None:
    whole, narrow = offer(), offer((TEXT,))
    assert component_weight(Encoder("image"), SPEC, whole) == 13
    assert component_weight(Encoder("image"), SPEC, narrow) == 5, "digits still has images"
    assert component_weight(Encoder("image"), SPEC, offer((TEXT,), None)) == 0
    assert component_weight(Encoder("text"), SPEC, narrow) == 8
    assert component_weight(Projection(), SPEC, narrow) == 13
    assert component_weight(Head("vqa"), SPEC, narrow) == 8


def test_a_task_without_what_its_kind_needs_is_none() -> None:
    empty = offer(None, ())
    assert offered_tasks(SPEC, empty) == ()
    assert client_components(SPEC, empty) == frozenset()
    changes = follow(SPEC, offer(None), empty)
    assert [(c.task, c.modality, c.lost) for c in changes] == [("digits", None, True)]
