"""How long it would take, by what such work took before: pure.

Nothing is guessed: where nobody has done such work there is no number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from server.dry_runs.traffic import asked
from server.rounds.sampling import sample
from shared.dry_run import ClientTime, Span
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind
from shared.results import LONGEST_S, MOST_COUNTED, Pace

_MOST_ROUNDS = 50  # whose clients are looked up, for a mean
_WORDS = {
    AssignmentKind.TRAIN: "training rounds",
    AssignmentKind.PERSONALIZE: "times of stage two",
    AssignmentKind.EVALUATE: "evaluations",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """An accepted assignment of a client in an earlier job with as large a model.

    steps: what that job asked for, of a round or of stage two. pace: absent where its worker did
    not say.
    """

    kind: AssignmentKind
    steps: int
    seconds: float
    pace: Pace | None = None

    @property
    def training_s(self) -> float:
        """Of the seconds, those of optimizer steps; an earlier version took numbers of any size."""
        if self.pace is None:
            return 0.0
        return min(min(self.pace.steps, MOST_COUNTED) * self.pace.step_seconds, LONGEST_S)


def alike(one: JobSpec, other: JobSpec) -> bool:
    """Whether steps of both jobs cost a client the same, given as large a model on the same base.

    The algorithm is among it: it decides what a step does, and how many are made of those asked.
    """
    return _of_a_step(one) == _of_a_step(other)


def _of_a_step(spec: JobSpec) -> tuple[object, ...]:
    training, model = spec.training, spec.model
    return (
        spec.algorithm.name,
        spec.algorithm.times,
        training.batch_size,
        training.accumulation,
        training.precision,
        model.image_size,
        model.max_text_tokens,
    )


def client_time(spec: JobSpec, measured: Iterable[Measured]) -> ClientTime:
    """What the assignments of one client take: medians, scaled by the steps that are asked for."""
    by_kind: dict[AssignmentKind, list[Measured]] = {kind: [] for kind in _WORDS}
    for each in measured:
        if each.pace is not None or each.kind is AssignmentKind.EVALUATE:
            by_kind[each.kind].append(each)
    return ClientTime(
        round_s=_trained(by_kind[AssignmentKind.TRAIN], spec.training.local_steps),
        stage_two_s=_trained(by_kind[AssignmentKind.PERSONALIZE], spec.post.steps)
        if spec.algorithm.personalizes
        else None,
        evaluation_s=_median(each.seconds for each in by_kind[AssignmentKind.EVALUATE]),
        stands_on=_stands_on(by_kind),
    )


def _trained(found: Sequence[Measured], steps: int) -> float | None:
    """The steps as slow as they were for each that was asked for, and the rest as long as it was.

    The rest is pulling, loading, comparing and uploading.
    """
    each = _median(m.training_s / m.steps for m in found)
    rest = _median(max(m.seconds - m.training_s, 0.0) for m in found)
    return None if each is None or rest is None else each * steps + rest


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None


def _stands_on(by_kind: Mapping[AssignmentKind, Sequence[Measured]]) -> str:
    if not by_kind[AssignmentKind.TRAIN]:
        return (
            "unknown: it has trained no model of this size yet, on this base and by this algorithm "
            "in such batches"
        )
    counts = [f"{len(by_kind[kind])} {words}" for kind, words in _WORDS.items() if by_kind[kind]]
    return f"medians of {', '.join(counts)} with a model of this size"


def round_time(spec: JobSpec, times: Mapping[str, ClientTime], numbers: range) -> Span | None:
    """One of these training rounds, a mean over who is asked in the first ones.

    None where a client's time is unknown, or there is no round.
    """
    known = {client: s for client in spec.clients if (s := times[client].round_s) is not None}
    if len(known) < len(spec.clients) or not numbers:
        return None
    n, everyone = asked(spec), asked(spec) == len(spec.clients)
    rounds = [
        [known[client] for client in sample(spec.seed, number, spec.clients, n)]
        for number in numbers[: 1 if everyone else _MOST_ROUNDS]
    ]
    return Span(least_s=fmean(map(max, rounds)), most_s=fmean(map(sum, rounds)))


def job_time(
    spec: JobSpec, a_round: Span | None, times: Mapping[str, ClientTime], count: int
) -> Span | None:
    """So many rounds, stage two and evaluation; None where one of them is unknown."""
    ends = [_phase([times[client].evaluation_s for client in spec.clients])]
    if spec.algorithm.personalizes:
        ends.append(_phase([times[client].stage_two_s for client in spec.clients]))
    known = [end for end in ends if end is not None]
    if count == 0:
        a_round = Span(least_s=0, most_s=0)
    if a_round is None or len(known) < len(ends):
        return None
    return Span(
        least_s=count * a_round.least_s + sum(end.least_s for end in known),
        most_s=count * a_round.most_s + sum(end.most_s for end in known),
    )


def _phase(seconds: Sequence[float | None]) -> Span | None:
    """A phase in which all clients are asked."""
    known = [each for each in seconds if each is not None]
    if len(known) < len(seconds):
        return None
    return Span(least_s=max(known), most_s=sum(known))
