"""What is run: methods, families, seeds, divisions of the data and sweeps, each with its spec."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from division import TASKS, Division, Family

from shared.job_spec import JobSpec

Json = Mapping[str, Any]


def _tap(**options: object) -> Json:
    return {"algorithm": {"name": "tap", **options}}


# The paper's, and what its reviewers asked for, as sections of a job spec. A run gives several rows
# of the table: its models before and after stage two, and TAP's guard.
PAPER: Mapping[str, Json] = {
    "local": {"algorithm": {"name": "local"}},
    "fedavg": {"algorithm": {"name": "fedavg"}},
    "disentafl": {"algorithm": {"name": "disentafl"}},
    "tap": _tap(guard=True),
}
ASKED_FOR: Mapping[str, Json] = {
    "local-equal": {"algorithm": {"name": "local", "equal_compute": True}},
    "fedavg-equal": {"algorithm": {"name": "fedavg", "equal_compute": True}},
    "fedper-head": {"algorithm": {"name": "fedper", "keeps": ("head",)}},  # as published
    # The best of TUNED each.
    "fedper": {"algorithm": {"name": "fedper", "keeps": ("mote", "mome", "head")}},
    "ditto": {"algorithm": {"name": "ditto", "strength": 1.0}},
    "pfedme": {"algorithm": {"name": "pfedme", "strength": 0.01, "rate": 100.0, "inner_steps": 5}},
    "perfedavg": {"algorithm": {"name": "perfedavg", "rate": 0.01}},
}
PLAIN, AUTO, RANDOM = "tap-plain", "tap-auto", "tap-random"
CONTROLS: Mapping[str, Json] = {
    PLAIN: _tap(distillation=False),
    "tap-always": _tap(replacement="always"),
    "tap-never": _tap(replacement="never"),
    RANDOM: _tap(replacement="random"),  # at the rate of the same seed's TAP
}
OPTIONS: Mapping[str, Json] = {
    AUTO: _tap(signal="validation", margin="auto"),
    "tap-validation": _tap(signal="validation"),
    "tap-relative": _tap(margin="relative"),
    "tap-all": _tap(shared_components="all"),
    "tap-unshared": _tap(shared_components="never"),
    **{
        f"tap-{low_rank.replace('_', '-')}": {
            **_tap(),
            "aggregation": {"low_rank": low_rank},
        }
        for low_rank in ("svd", "flora_na", "ffa", "fedsa")
    },
    "tap-teacher": _tap(teacher="better", guard=True),
    "tap-literal": _tap(),
}
# The published code's weights of distillation. Its losses are sums over tokens and pixels, ours are
# means, so that 1, our default, is nearer to what it does; `tap-literal` takes the number as it is.
_LITERAL = {"tap-literal": 2e-3}
METHODS: Mapping[str, Json] = {**PAPER, **ASKED_FOR, **CONTROLS, **OPTIONS}
_DITTO = (0.1, 1.0, 10.0)
# What the baselines' own parameters are chosen among, on a seed that is in no table.
TUNED: Mapping[str, Json] = {
    **{f"ditto-{x}": {"algorithm": {"name": "ditto", "strength": x}} for x in _DITTO},
    **{
        f"perfedavg-{x}": {"algorithm": {"name": "perfedavg", "rate": x}} for x in (1e-3, 1e-2, 0.1)
    },
    **{
        f"pfedme-{x}-{share}": {
            "algorithm": {"name": "pfedme", "strength": x, "rate": share / x, "inner_steps": 5}
        }
        # AdamW's steps make little of a loss's scale: the paper's 15 holds all back, and 1 much.
        for x, shares in ((15.0, (0.5, 1.0)), (1.0, (0.5, 1.0)), (0.1, (0.5, 1.0)), (0.01, (1.0,)))
        for share in shares  # of the way that the engaged model moves to the personal
    },
    **{
        f"fedper-{'-'.join(keeps)}": {"algorithm": {"name": "fedper", "keeps": keeps}}
        for keeps in (("head",), ("mome", "head"), ("mote", "mome", "head"))
    },
}
_TUNING_SEED = 40
# ALGORITHM 4: of image classification and text generation; of text classification and images.
_MARGINS: Mapping[Family, tuple[float, float]] = {"flava": (0.01, 0.005), "vilt": (0.02, 0.01)}


@dataclass(frozen=True)
class Run:
    """One job on one division of the data."""

    method: str
    family: Family
    seed: int
    alpha: float | None = None  # of the division; None: alike within a pattern
    margin: float | None = None  # instead of the paper's, for all tasks
    k: int | None = None  # tasks that share the data, in place of the ten patterns
    alone: int | None = None  # the first of those tasks with its k-th part of the data, by itself

    @property
    def name(self) -> str:
        """Names its result, too."""
        skew = "iid" if self.alpha is None else f"dirichlet-{self.alpha}"
        of = {"margin": self.margin, "k": self.k, "alone": self.alone}
        parts = [f"-{name}-{value}" for name, value in of.items() if value is not None]
        return f"{self.family}-{skew}-{self.method}{''.join(parts)}-{self.seed}"

    @property
    def needs(self) -> "Run | None":
        """Whose result decides about this one's spec."""
        return replace(self, method="tap") if self.method == RANDOM else None

    @property
    def division(self) -> Division:
        """Who has what of the data."""
        return Division(self.family, self.seed, self.alpha, self.k, self.alone)

    def spec(self, scale: "Scale", replacement_rate: float | None = None) -> JobSpec:
        """The job; `replacement_rate` is for random replacement."""
        clients = [name for name in self.division.clients if name.startswith("c")]
        chosen = {**METHODS, **TUNED}[self.method]
        algorithm = dict(chosen["algorithm"])
        if self.method == RANDOM:
            algorithm["replacement_rate"] = replacement_rate
        # A part of the clients trains as often as they do among all: where that is less than one
        # a round, in fewer rounds.
        each = scale.clients_per_round * len(clients) / len(Division(self.family, 0).participants)
        rounds = round(scale.rounds * min(each, 1))
        return JobSpec.model_validate(
            {
                "name": self.name,
                "seed": self.seed,
                **chosen,
                "algorithm": algorithm,
                "model": {"preset": f"{self.family}-{scale.model}"},
                "training": scale.training[self.family],
                "rounds": {"count": rounds, "clients_per_round": max(round(each), 1)},
                "post": scale.post,
                "evaluation": {"intervals": {"resamples": 0}},
                "tasks": {task: self._task(task) for task in self.division.tasks},
                "clients": clients,
            }
        )

    def _task(self, name: str) -> Json:
        task, (first, second) = TASKS[name], _MARGINS[self.family]
        paper = first if task.kind in {"image_classification", "text_generation"} else second
        described: dict[str, Any] = {
            "kind": task.kind,
            "modalities": list(task.modalities),
            "domains": list(task.domains),
            "margin": paper if self.margin is None else self.margin,
        }
        if task.kind != "text_classification" and self.method in _LITERAL:
            described["distillation_weight"] = _LITERAL[self.method]
        if task.classes:
            described["classes"] = list(task.classes)
        if task.kind == "text_generation":
            described["max_target_tokens"] = 8
        return described


@dataclass(frozen=True)
class Wave:
    """Runs of some methods with some seeds, and sweeps beside them."""

    methods: Sequence[str]
    seeds: Sequence[int]
    families: Sequence[Family] = ("vilt",)
    alphas: Sequence[float | None] = (None,)
    margins: Sequence[float | None] = (None,)
    ks: Sequence[int] = ()

    def runs(self) -> Iterator[Run]:
        """A whole seed after the other."""
        for seed in self.seeds:
            for family in self.families:
                for k in self.ks:
                    yield from (Run(m, family, seed, k=k) for m in self.methods)
                    if k > 1:
                        yield from (Run(m, family, seed, alone=k) for m in self.methods)
                for alpha in () if self.ks else self.alphas:
                    for margin in self.margins:
                        yield from (Run(m, family, seed, alpha, margin) for m in self.methods)


@dataclass(frozen=True)
class Scale:
    """How large everything is, and what is run, in its order."""

    model: str  # of the presets
    training: Mapping[Family, Json]
    rounds: int
    clients_per_round: int  # of thirty
    post: Json
    waves: Sequence[Wave]

    def runs(self) -> list[Run]:
        """Each run once, where it comes first or is needed first."""
        wanted = [run for wave in self.waves for run in wave.runs()]
        return list(dict.fromkeys(each for run in wanted for each in (run.needs, run) if each))

    def of(self, family: Family) -> "Scale":
        """The part of one family."""
        waves = [
            replace(wave, families=(family,)) for wave in self.waves if family in wave.families
        ]
        return replace(self, waves=waves)


def _papers(local_steps: int, peak: float) -> Json:
    """ALGORITHM 4."""
    return {
        "local_steps": local_steps,
        "batch_size": 32,
        "accumulation": 4,
        "learning_rate": {"peak": peak, "warmup_from": 1e-4, "warmup_rounds": 20},
    }


_MARGINS_SWEPT = (0.0, 0.001, 0.005, 0.02, 0.1, 0.5)
_SWEEPS = (
    Wave([PLAIN], (41, 42)),
    Wave(["fedavg"], (41,), ks=(1, 2, 6)),
    Wave(["tap"], (41,), margins=(0.0, 0.1)),
    Wave([AUTO], (41,)),
)
_TWO_CORES: Json = {
    "local_steps": 10,
    "batch_size": 8,
    "learning_rate": {"peak": 3e-3, "warmup_from": 1e-3, "warmup_rounds": 2},
}
_SMALL = Scale(
    model="small",
    training={"flava": _TWO_CORES, "vilt": _TWO_CORES},
    rounds=30,
    clients_per_round=6,
    post={"steps": 13, "learning_rate": 1e-3},
    waves=(Wave(list(PAPER), (41, 42)), *_SWEEPS),
)


def _whole(family: Family) -> Iterator[Wave]:
    """Every question of one family: the paper's methods first, whose trainings others share."""
    yield Wave(list(PAPER), (41, 42, 43, 44), families=(family,))
    yield Wave(list(ASKED_FOR), (41, 42), families=(family,))
    yield Wave(list(METHODS), (41, 42), families=(family,))
    yield Wave([*PAPER, PLAIN, *ASKED_FOR], (41, 42), families=(family,), alphas=(0.1,))
    yield Wave(list(PAPER), (41, 42), families=(family,), alphas=(0.5,))
    yield Wave(["tap"], (41, 42), families=(family,), margins=_MARGINS_SWEPT)
    yield Wave(["fedavg"], (41, 42), families=(family,), ks=(1, 2, 3, 6))


_GRID = (  # the cheaper family first
    *_whole("flava"),
    *_whole("vilt"),
    Wave(list(METHODS), (43, 44), families=("vilt", "flava")),
)
SCALES: Mapping[str, Scale] = {
    "small": _SMALL,
    "grid": replace(_SMALL, waves=_GRID),
    "full": Scale(
        model="paper",
        training={"flava": _papers(20, 3e-4), "vilt": _papers(30, 4e-4)},
        rounds=200,
        clients_per_round=2,
        post={"steps": 13, "learning_rate": 1e-4},
        waves=_GRID,
    ),
    "tune": replace(_SMALL, waves=(Wave(list(TUNED), (_TUNING_SEED,), families=("flava",)),)),
    # What was added behind the grid's commit, on the same divisions of the data.
    "teacher": replace(
        _SMALL,
        waves=(Wave(["tap-teacher"], (41, 42), families=("flava",), alphas=(0.1, None)),),
    ),
    "alone": replace(
        _SMALL,
        waves=(Wave(["local-equal"], (41, 42), families=("flava",), alphas=(0.1, None)),),
    ),
    "trial": replace(  # whether all of it works: minutes, and scores that mean nothing
        _SMALL,
        training={"vilt": {**_TWO_CORES, "local_steps": 1}},
        rounds=2,
        post={"steps": 1},
        waves=(
            Wave(["local", "fedavg", "tap", RANDOM], (41,)),
            Wave(["fedavg"], (41,), ks=(3,)),
            Wave(["tap"], (41,), margins=(0.5,)),
        ),
    ),
}
