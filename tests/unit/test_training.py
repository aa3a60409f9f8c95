"""Batches, the loop, scores, and what stays on a client's disk."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.metrics import skill
from shared.results import Variant
from tests.support import small
from worker.algorithm.method import NOBODY, Personal
from worker.artifacts import network_specs
from worker.metrics.references import unigram_nll
from worker.models.network import Network
from worker.personal_files import StateError
from worker.state import PersonalStore
from worker.training import seeds
from worker.training.batches import batches, in_order, shares
from worker.training.checkpoints import FileCheckpoints
from worker.training.evaluation import evaluate
from worker.training.loop import DivergedError, Rule
from worker.training.trainer import Trained, Trainer

pytestmark = pytest.mark.unit

JOB = small.spec()


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=8), st.integers(1, 64))
def test_shares_fill_the_batch_and_forget_no_task(sizes: list[int], batch_size: int) -> None:
    counts = shares(sizes, batch_size)
    assert sum(counts) == max(batch_size, len(sizes))
    assert min(counts) >= 1


def test_shares_follow_the_sizes() -> None:
    assert shares([300, 100], 34) == [25, 9]


def test_a_task_sees_all_its_samples_before_one_again() -> None:
    splits = {"digits": small.split(JOB, "digits", 10)}
    stream = batches(splits, 5, seeds.generator("test"))
    labels = torch.cat([micro["digits"].images.sum((1, 2, 3)) for micro in islice(stream, 4)])  # type: ignore[union-attr]
    assert set(Counter(labels.tolist()).values()) == {2}


def test_the_same_seed_gives_the_same_batches_and_another_others() -> None:
    splits = {"digits": small.split(JOB, "digits", 40)}
    rows = [
        next(batches(splits, 8, seeds.generator("s", n)))["digits"].labels.tolist()  # type: ignore[union-attr]
        for n in (1, 1, 2)
    ]
    assert rows[0] == rows[1] != rows[2]


def test_a_seed_scope_leaves_the_outside_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with seeds.scope("inside"):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    with seeds.scope("inside"):
        assert torch.equal(torch.rand(2), inside)


def test_seeds_differ_by_every_part() -> None:
    named = [("a", 1, "b"), ("a", 1, "c"), ("a", 2, "b"), ("a", 12, "b"), ("a1", 2, "b")]
    assert len({seeds.derive(*parts) for parts in named}) == len(named)


def trainer(**changes: object) -> Trainer:
    job = small.spec(**changes)
    tasks = ("digits", "vqa")
    return Trainer("c01", job, small.network(job, tasks), small.data(job, tasks, 12))


def test_training_learns_its_samples() -> None:
    training = {**small.SPEC["training"], "local_steps": 80}
    at = trainer(training=training)
    start = at.network.state()
    state, first = at.local_steps(start, 1, "engaged")
    _, second = at.local_steps(state, 2, "engaged")
    assert second["digits"] < 0.7 * first["digits"]
    assert second["vqa"] < 0.7 * first["vqa"]


def test_accumulation_is_a_larger_batch() -> None:
    whole = trainer(training={**small.SPEC["training"], "local_steps": 1, "batch_size": 24})
    parts = trainer(
        training={**small.SPEC["training"], "local_steps": 1, "batch_size": 6, "accumulation": 4}
    )
    start = whole.network.state()
    (a, h_a), (b, h_b) = (at.local_steps(start, 1, "engaged") for at in (whole, parts))
    assert h_a == pytest.approx(h_b, abs=1e-5)
    assert any(not torch.equal(a[n][t], start[n][t]) for n in a for t in a[n])
    moved = 1e-2  # AdamW's first step is the rate, where the sign of a gradient is sure
    differ = [float((a[n][t] - b[n][t]).abs().mean()) for n in a for t in a[n]]
    assert max(differ) < 0.02 * moved


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    at = trainer()
    broken = {
        n: {t: v * float("nan") for t, v in ts.items()} for n, ts in at.network.state().items()
    }
    with pytest.raises(DivergedError, match="lower the learning rate"):
        at.local_steps(broken, 1, "engaged")


def test_the_work_can_be_stopped_at_a_step() -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt(done)

    job = small.spec()
    at = Trainer("c01", job, small.network(job, ["digits"]), small.data(job, ["digits"]), stop)
    with pytest.raises(KeyboardInterrupt):
        at.local_steps(at.network.state(), 1, "engaged")


class Killed(BaseException):
    """Stands for a kill within a step."""


STEPS = {**small.SPEC["training"], "local_steps": 6, "accumulation": 2}


@pytest.mark.parametrize("at_step", [1, 4, 6])
def test_a_killed_training_ends_with_the_same_bits(at_step: int, tmp_path: Path) -> None:
    """With dropout, clipping, accumulation and two tasks, from the last of several snapshots."""
    whole = trainer(training=STEPS)
    start = whole.network.state()
    expected = whole.local_steps(start, 1, "engaged")

    def kill(done: int) -> None:
        if done == at_step:
            raise Killed

    def again(on_step: Callable[[int], None]) -> Trainer:
        checkpoints = FileCheckpoints(tmp_path / "assignment", every_s=0)
        return replace(trainer(training=STEPS), on_step=on_step, checkpoints=checkpoints)

    with pytest.raises(Killed):
        again(kill).local_steps(start, 1, "engaged")
    steps: list[int] = []
    found = again(steps.append).local_steps(start, 1, "engaged")
    assert steps == list(range(at_step, STEPS["local_steps"] + 1))
    assert_equal(found, expected)
    never: list[int] = []
    assert_equal(again(never.append).local_steps(start, 1, "engaged"), expected)
    assert never == [], "what is finished is not done again"


def assert_equal(found: Trained, expected: Trained) -> None:
    (state, losses), (wanted, wanted_losses) = found, expected
    assert losses == wanted_losses
    assert all(torch.equal(state[n][t], wanted[n][t]) for n in wanted for t in wanted[n])


def test_a_damaged_checkpoint_is_as_good_as_none(tmp_path: Path) -> None:
    expected = trainer().local_steps(trainer().network.state(), 1, "engaged")
    checkpoints = FileCheckpoints(tmp_path, every_s=0)
    for name in ("engaged.part", "engaged.done"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 half a file")
    at = replace(trainer(), checkpoints=checkpoints)
    assert_equal(at.local_steps(at.network.state(), 1, "engaged"), expected)


def test_snapshots_come_at_intervals(tmp_path: Path) -> None:
    at = replace(trainer(), checkpoints=FileCheckpoints(tmp_path / "a", every_s=3600))
    at._steps(at.network.state(), (1, "engaged"), 2, 1e-3, Rule(at.plain))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("task", sorted(JOB.tasks))
def test_every_kind_of_task_has_a_score_against_a_constant_answer(task: str) -> None:
    network = small.network(JOB, [task])
    sets = small.data(JOB, [task])
    score = evaluate(Trainer("c01", JOB, network, sets), network.state(), "test")[task]
    best = 0.0 if score.metric in {"mse", "nll"} else 1.0
    assert score.n == 6
    assert score.skill == pytest.approx(skill(score.value, score.reference, best))


def test_every_right_answer_counts_but_the_exact_match_is_with_the_target() -> None:
    at = trainer()
    test = at.data["vqa"].test
    (batch,) = in_order(test, len(test))
    at.network.eval()
    with torch.no_grad():
        said = [at.network.base.tokenizer.decode(i[1:]) for i in at.network.generate("vqa", batch)]
    answers = tuple((text, "another", text) for text in said)
    data = {"vqa": replace(at.data["vqa"], test=replace(test, other_texts=answers))}
    score = evaluate(replace(at, data=data), at.network.state(), "test")["vqa"]
    assert score.metrics["exact_match"] == 0.0
    assert (score.metrics["token_f1"], score.intervals["token_f1"]) == (1.0, (1.0, 1.0))
    # two of four: one of the two left out leaves 1 of 3, another leaves 2 of 3
    assert score.metrics["vqa_accuracy"] == pytest.approx((2 * 1 / 3 + 2 * 2 / 3) / 4)


def test_skill_by_hand() -> None:
    assert skill(0.8, 0.6, 1.0) == pytest.approx(0.5)
    assert skill(0.02, 0.04, 0.0) == pytest.approx(0.5)
    assert skill(0.1, 0.4, 1.0) == pytest.approx(-0.5)
    assert (skill(1.0, 1.0, 1.0), skill(0.9, 1.0, 1.0)) == (1.0, 0.0)


def test_the_unigram_reference_by_hand() -> None:
    split = small.split(JOB, "titles", 2)
    for field in ("targets",):
        object.__setattr__(split, field, torch.tensor([[2, 7, 7, 3]]))
    # counts + 1 over 8 words: word 7 has 3 of 11, the end (3) has 2 of 11
    by_hand = -(2 * torch.tensor(3 / 11).log() + torch.tensor(2 / 11).log()) / 3
    assert unigram_nll(split, split, 8, 0) == pytest.approx(float(by_hand), abs=1e-6)


def test_a_personal_state_survives_and_the_old_one_goes_after_the_acknowledgement(
    tmp_path: Path,
) -> None:
    network = small.network(JOB, ["digits"])
    specs = network_specs(network, network.components)
    store = PersonalStore(tmp_path, kept_bytes=0)
    assert store.load(None, specs) == NOBODY
    first = store.save(Personal({Variant.PERSONAL: network.state()}, {"digits": 1.5}))
    store.promote(first)
    with torch.no_grad():
        network.tensors("proj")["bias"].add_(1)
    second = store.save(Personal({Variant.PERSONAL: network.state()}, {"digits": 1.0}))
    assert store.load(first, specs).losses == {"digits": 1.5}, "not acknowledged: the old one"
    files = set(tmp_path.rglob("*"))
    found = PersonalStore(tmp_path, kept_bytes=0).load(second, specs)
    assert found.losses == {"digits": 1.0}
    assert found.model is not None
    assert torch.equal(found.model["proj"]["bias"], network.state()["proj"]["bias"])
    assert len(files - set(tmp_path.rglob("*"))) == 2, "the old manifest and the old projection"
    with pytest.raises(StateError, match="is missing: restore it"):
        store.load(first, specs)


def keep_states(store: PersonalStore, network: Network, n: int) -> list[str]:
    """`n` accepted states, each with a projection of its own."""
    states = []
    for number in range(n):
        with torch.no_grad():
            network.tensors("proj")["bias"].fill_(number)
        personal = Personal({Variant.PERSONAL: network.state()}, {"digits": 1.0})
        states.append(store.save(personal))
        store.promote(states[-1])
    return states


def test_older_personal_states_are_kept_for_forks_within_the_budget(tmp_path: Path) -> None:
    network = small.network(JOB, ["digits"])
    everything = PersonalStore(tmp_path / "all")
    states = keep_states(everything, network, 4)
    assert [everything.holds(state) for state in states] == [True] * 4
    files = everything.files(states[0], {"proj"}).values()
    budget = 2 * sum(path.stat().st_size for path in files)
    two = PersonalStore(tmp_path / "two", kept_bytes=budget)
    assert [two.holds(state) for state in keep_states(two, network, 4)] == [False, True, True, True]
    two.promote(states[1])  # the server went back to it
    assert [two.holds(state) for state in states] == [False, True, True, True]


def test_a_fork_takes_what_its_network_has_from_the_parents_state(tmp_path: Path) -> None:
    wide, narrow = small.network(JOB, ["digits", "reviews"]), small.network(JOB, ["digits"])
    parent, fork = PersonalStore(tmp_path / "parent"), PersonalStore(tmp_path / "fork")
    (state,) = keep_states(parent, wide, 1)
    specs = network_specs(narrow, narrow.components)
    fork.adopt(parent.files(state, specs))
    found = fork.load(state, specs)
    assert found.model is not None
    assert set(found.model) == set(narrow.components)
    assert fork.holds(state, specs)
    assert not fork.holds(state)
    server = wide.state()
    completed = found.completed(server)
    assert completed.model is not None
    assert set(completed.model) == set(wide.components)
    assert completed.model["proj"] is found.model["proj"]
    assert completed.model["head.reviews"] is server["head.reviews"]
    damaged = parent.files(state, specs)[state]
    damaged.write_bytes(b"{}")
    with pytest.raises(StateError, match="is damaged"):
        PersonalStore(tmp_path / "other").adopt({state: damaged})
