"""Rules of operators, and of clients that change what they offer."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from server.jobs.admission import Reason, refusals
from server.jobs.fork_admission import Origin, fork_refusals
from shared.job_spec import JobSpec
from shared.messages import Catalogue, ClientOffer
from shared.states import JOB_TERMINAL, JobState
from tests.support.machine.arena import CLIENTS
from tests.support.machine.base import FAULTS, PICK, Expectation, Faults, chosen
from tests.support.machine.calls import Answer
from tests.support.machine.observing import Observing
from tests.support.machine.reference import need
from tests.support.machine.rows import Job
from tests.support.scripted import SHA, job_spec, offer

MOST_JOBS = 6
Json = dict[str, Any]

_TEXT = {
    "kind": "text_classification",
    "modalities": ["text"],
    "n_classes": 2,
    "train": {"general": 20},
    "validation": 5,
    "test": 5,
}
_VQA = {
    **_TEXT,
    "kind": "text_generation",
    "modalities": ["image", "text"],
    "n_classes": 0,
}
OFFERS: dict[str, Json] = {
    "few": offer(),
    "many": offer(train={"general": 30}),
    "text": {"tasks": {"reviews": _TEXT}},
    "both": {"tasks": {**offer(train={"general": 7})["tasks"], "reviews": _TEXT, "vqa": _VQA}},
    "images lost": {"tasks": {"reviews": _TEXT, "vqa": {**_VQA, "modalities": ["text"]}}},
    "other classes": offer(classes=3),
}
_REVIEWS = {"kind": "text_classification", "modalities": ["text"], "classes": ["a", "b"]}


@st.composite
def specs(draw: st.DrawFn) -> Json:
    """A job spec over some of the clients; now and then one that must be refused."""
    names = draw(st.lists(st.sampled_from(CLIENTS), min_size=1, max_size=4, unique=True))
    n = draw(st.integers(1, len(names)))
    rounds: Json = {
        "count": draw(st.integers(1, 3)),
        "clients_per_round": n,
        "over_selection": draw(st.sampled_from([1.0, 1.5, 2.0])),
        "quorum": draw(st.integers(1, n)),
        "deadline": draw(st.sampled_from([50.0, 600.0, 3600.0])),
        "grace": draw(st.sampled_from([None, 0.0, 30.0])),
        "extensions": draw(st.integers(0, 2)),
        "max_attempts": draw(st.integers(1, 3)),
        "failure_budget": draw(st.sampled_from([None, None, 0, 1])),
    }
    algorithm = draw(st.sampled_from(["tap", "tap", "fedavg", "plain", "local"]))
    made = {"name": algorithm} if algorithm != "plain" else {"name": "fedavg"}
    if algorithm == "plain":
        made["post_training"] = False  # type: ignore[assignment]  # JSON
    spec = job_spec(sorted(names), rounds=rounds, algorithm=made)
    spec["priority"] = draw(st.integers(-1, 1))
    if draw(st.booleans()):
        spec["tasks"]["reviews"] = _REVIEWS
    if draw(st.booleans()):
        spec["tasks"]["vqa"] = {"kind": "text_generation", "modalities": ["image", "text"]}
    return spec


class Operators(Observing):
    """Who launches, stops and forks."""

    def __init__(self) -> None:
        super().__init__()
        self.n_submitted = 0
        for client, name in zip(CLIENTS, ("few", "many", "both", "both"), strict=True):
            self.offers(client, name)

    def offers(self, client: str, name: str, fault: Faults = None) -> None:
        """A client says what it has."""
        wanted = ClientOffer.model_validate(OFFERS[name])

        def keep(_: Answer) -> None:
            self.reference.offers[client] = wanted

        path = f"/v1/clients/{client}/offer"
        self.ask(fault, lambda: Expectation(200, then=keep), client, f"PUT {path}", OFFERS[name])
        if self.faulted:
            [[row]] = self.arena.query(("SELECT offer FROM clients WHERE id = %s", [client]))
            if row["offer"]:
                self.reference.offers[client] = ClientOffer.model_validate(row["offer"])

    @rule(client=st.sampled_from(CLIENTS), name=st.sampled_from(sorted(OFFERS)))
    def offer(self, client: str, name: str) -> None:
        self.step("offer")
        self.offers(client, name)
        self.observe()
        self.reference.check_offers(client)

    # launching

    @precondition(lambda self: len(self.reference.jobs) < MOST_JOBS)
    @rule(spec=specs(), fault=FAULTS)
    def submit(self, spec: Json, fault: Faults) -> None:
        self.step("submit")
        self.n_submitted += 1
        key = f"submit-{self.n_submitted}"
        self._once("/v1/jobs", spec, key, fault, lambda: self._submitted(spec))

    def _once(self, path: str, body: Json, key: str, fault: Faults, expected: Any) -> None:
        """Launch, and again where the answer was lost: it must be launched once."""
        if fault and fault[0] == "freeze":
            fault = None  # what freezes is done by nobody else: there is nothing to see
        answer = self.ask(fault, expected, "operator", f"POST {path}", body, idempotency_key=key)
        self.observe()
        if answer is None or answer.status == 201:
            self.faulted = False
            wanted = expected() if answer is None else Expectation(201)
            again = self.ask(
                None, lambda: wanted, "operator", f"POST {path}", body, idempotency_key=key
            )
            same = answer is None or answer.body["id"] == (again and again.body["id"])
            need(same, f"{path}: launched twice")

    def _submitted(self, spec: Json) -> Expectation:
        parsed = JobSpec.model_validate(spec)
        return _launched(refusals(parsed, self._offers(parsed)))

    def _offers(self, spec: JobSpec) -> dict[str, ClientOffer | None]:
        return {client: self.reference.offers.get(client) for client in spec.clients}

    @precondition(lambda self: 0 < len(self.reference.jobs) < MOST_JOBS)
    @rule(pick=PICK, number=st.integers(0, 3), more=st.integers(0, 2),
          personal=st.none() | st.integers(0, 3), spec=specs(), fault=FAULTS)  # fmt: skip
    def fork(
        self, pick: int, number: int, more: int, personal: int | None, spec: Json, fault: Faults
    ) -> None:
        """Half of the forks take the parent's spec with other rounds, half any spec."""
        self.step("fork")
        parent = chosen(pick, list(self.reference.jobs.values()))
        assert parent is not None
        if more:
            spec = {**parent.spec.model_dump(mode="json"), "rounds": spec["rounds"]}
            spec["rounds"] = {**spec["rounds"], "clients_per_round": None, "quorum": 1}
        spec["rounds"]["count"] = max(spec["rounds"]["count"], number + more - 1)
        self.n_submitted += 1
        path, key = f"/v1/jobs/{parent.id}/fork", f"fork-{self.n_submitted}"
        wish = {"round": number, "spec": spec, "personal_round": personal}
        self._once(path, wish, key, fault, lambda: self._forked(parent, wish))

    def _forked(self, parent: Job, wish: Json) -> Expectation:
        number, personal = wish["round"], wish["personal_round"]
        if number not in parent.versions:
            return Expectation(409, "no_version")
        parsed = JobSpec.model_validate(wish["spec"])
        if personal is not None:
            known = self.reference.states_at(parent, personal)
            if personal not in parent.versions or not known.keys() & parsed.clients:
                return Expectation(409, "no_personal_states")
        components = Catalogue.model_validate(parent.catalogue).components
        origin = Origin(number, parent.spec, SHA, components, parent.offers)
        offers = self._offers(parsed)
        against = (*refusals(parsed, offers, parent.spec.tasks),
                   *fork_refusals(parsed, offers, origin))  # fmt: skip
        return _launched(against)

    # stopping

    @rule(pick=PICK, what=st.sampled_from(["pause", "pause", "resume", "resume", "cancel"]),
          fault=FAULTS)  # fmt: skip
    def stop(self, pick: int, what: str, fault: Faults) -> None:
        self.step(what)
        job = chosen(pick, list(self.reference.jobs.values()))
        if job is not None and (what != "cancel" or pick < 2):
            self.asks(job, what, fault)

    def asks(self, job: Job, what: str, fault: Faults = None) -> None:
        """Pause, resume or cancel."""
        path = f"/v1/jobs/{job.id}/{what}"
        self.ask(fault, lambda: self._stopped(job, what), "operator", f"POST {path}")

    def _stopped(self, job: Job, what: str) -> Expectation:
        ended = JOB_TERMINAL - {JobState.CANCELLED} if what == "cancel" else JOB_TERMINAL
        if job.state in ended or (what != "cancel" and job.state is JobState.CANCELLING):
            return Expectation(409, "job_ended")
        state = {
            "pause": JobState.PAUSED,
            "resume": job.paused_from if job.state is JobState.PAUSED else job.state,
            "cancel": JobState.CANCELLED
            if job.state is JobState.CANCELLED
            else JobState.CANCELLING,
        }[what]

        def same(answer: Answer) -> None:
            need(answer.body["state"] == state, f"{what} {job.id}: {answer.body}, not {state}")

        return Expectation(200, then=same)

    # looking

    @rule(pick=PICK, what=st.sampled_from(
        ["", "/waiting", "/rounds", "/versions", "/events", "/report", "/attendance"]))  # fmt: skip
    def look(self, pick: int, what: str) -> None:
        """What cannot be shown says why; what has not ended says why it waits."""
        self.step("look")
        job = chosen(pick, list(self.reference.jobs.values()))
        if job is None:
            return
        answer = self.request("viewer", f"GET /v1/jobs/{job.id}{what}")
        early = what == "/report" and job.state not in JOB_TERMINAL
        need(answer.status == (409 if early else 200), f"{what} of {job.id}: {answer}")
        if not what and job.state not in JOB_TERMINAL:
            waiting = answer.body["waiting"]
            need(waiting and waiting["cause"] != "stuck", f"I7 {job.id} waits for {waiting}")
            due = waiting["owner"] and (waiting["sentence"] and waiting["then"])
            need(due, f"I7 {job.id} does not say what happens then: {waiting}")


def _launched(reasons: tuple[Reason, ...]) -> Expectation:
    return Expectation(422, reasons[0].code) if reasons else Expectation(201)
