"""The typed HTTP client of the coordinator's API; the command line and the workers use it."""

from collections.abc import Iterator, Sequence
from itertools import islice
from uuid import UUID

import httpx

from shared.attendance import AttendanceList
from shared.dry_run import DryRunView
from shared.events_client import Events
from shared.job_spec import JobSpec
from shared.keys import ClientKeyCreate, KeyCreate, KeyCreated, KeyList, KeyOrder, KeyView
from shared.reports import BenefitsView, ReportView
from shared.shelf_client import Shelf
from shared.states import JobState
from shared.tables_client import JobTables
from shared.takeaway import TakeawayView
from shared.transport import ANSWER_S
from shared.views import (
    ClientCreate,
    ClientCreated,
    ClientList,
    ClientOrder,
    ClientView,
    JobDetail,
    JobFork,
    JobList,
    JobOrder,
    JobView,
    NumberOrder,
    RoundOrder,
    VersionList,
    VersionSummary,
    VersionView,
)
from shared.waiting import WaitingList
from shared.work_client import Work

_LISTED = 200  # in one answer


class ApiClient(Events, JobTables, Shelf, Work):
    """One principal's view of the API. Every method raises ApiError."""

    # operators

    def ready(self) -> bool:
        """Whether the API can serve: it, Postgres and the disk are well."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def submit(self, spec: JobSpec, idempotency_key: str) -> JobDetail:
        """Launch a job; the same key launches it once."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._send(JobDetail, "POST", "/v1/jobs", body=spec, headers=headers)

    def try_out(self, spec: JobSpec, idempotency_key: str, wait_s: float = 0.0) -> DryRunView:
        """What a job would need and cost; waits so long, 60 at most, for a planner's part of it."""
        headers, timeout = {"Idempotency-Key": idempotency_key}, ANSWER_S + wait_s
        return self._send(
            DryRunView,
            "POST",
            "/v1/jobs:dry-run",
            body=spec,
            params={"wait": wait_s},
            headers=headers,
            timeout=timeout,
        )

    def try_out_fork(self, job: UUID | str, fork: JobFork, idempotency_key: str) -> DryRunView:
        """What a fork would need and cost."""
        headers, path = {"Idempotency-Key": idempotency_key}, f"/v1/jobs/{job}/fork:dry-run"
        return self._send(DryRunView, "POST", path, body=fork, headers=headers)

    def dry_run(self, dry_run: UUID, wait_s: float = 0.0) -> DryRunView:
        """The dry run as far as it is known; waits so long, 60 at most, for the rest."""
        path, timeout = f"/v1/dry-runs/{dry_run}", ANSWER_S + wait_s
        return self._send(DryRunView, "GET", path, params={"wait": wait_s}, timeout=timeout)

    def jobs(
        self,
        states: Sequence[JobState] = (),
        name: str | None = None,
        client: str | None = None,
        order: JobOrder = "-created_at",
    ) -> Iterator[JobView]:
        """Jobs in these states, with this in their name and with that client, page by page."""
        asked = {"state": list(states), "name": name, "client": client, "sort": order}
        return self._pages(JobList, "/v1/jobs", asked)

    def cancel(self, job: UUID | str) -> JobView:
        """Cancel a job."""
        return self._send(JobView, "POST", f"/v1/jobs/{job}/cancel")

    def pause(self, job: UUID | str) -> JobView:
        """Have a job begin nothing new."""
        return self._send(JobView, "POST", f"/v1/jobs/{job}/pause")

    def resume(self, job: UUID | str) -> JobView:
        """Have a paused job go on."""
        return self._send(JobView, "POST", f"/v1/jobs/{job}/resume")

    def fork(self, job: UUID | str, fork: JobFork, idempotency_key: str) -> JobDetail:
        """Launch a job that goes on from a version of this one; the same key launches it once."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._send(JobDetail, "POST", f"/v1/jobs/{job}/fork", body=fork, headers=headers)

    def waiting(self, job: UUID | str) -> WaitingList:
        """Why a job, its round and its assignments wait."""
        return self._send(WaitingList, "GET", f"/v1/jobs/{job}/waiting")

    def versions(
        self,
        job: UUID | str,
        after_version: int | None = None,
        order: NumberOrder = "number",
        most: int | None = None,
    ) -> list[VersionSummary]:
        """All versions of a job, or those after one; so many of them at most."""
        asked = {"after_version": after_version, "sort": order}
        path, limit = f"/v1/jobs/{job}/versions", min(most or _LISTED, _LISTED)
        return list(islice(self._pages(VersionList, path, asked, limit), most))

    def version(self, job: UUID | str, number: int) -> VersionView:
        """One version with its manifest."""
        return self._send(VersionView, "GET", f"/v1/jobs/{job}/versions/{number}")

    def report(self, job: UUID | str) -> ReportView:
        """What federation gave; once the job has ended."""
        return self._send(ReportView, "GET", f"/v1/jobs/{job}/report")

    def report_page(
        self, job: UUID | str, alone: UUID | None = None, averaged: UUID | None = None
    ) -> str:
        """The report as one HTML file, beside jobs of each client alone and by FedAvg."""
        params = _beside(alone, averaged)
        return self._request("GET", f"/jobs/{job}/report.html", params=params).text

    def benefits(
        self, job: UUID | str, alone: UUID | None = None, averaged: UUID | None = None
    ) -> BenefitsView:
        """What federation gave each client, beside jobs of each client alone and by FedAvg."""
        params = _beside(alone, averaged)
        return self._send(BenefitsView, "GET", f"/v1/jobs/{job}/benefits", params=params)

    def attendance(
        self,
        job: UUID | str,
        after_round: int | None = None,
        client: str | None = None,
        order: RoundOrder = "round",
    ) -> AttendanceList:
        """Who was missing in each round, so far: after that one, and of those that asked a client.

        All pages as one.
        """
        asked = {"after_round": after_round, "client": client, "sort": order}
        path = f"/v1/jobs/{job}/attendance"
        return AttendanceList(items=tuple(self._pages(AttendanceList, path, asked)))

    def takeaway(self, job: UUID | str) -> TakeawayView:
        """What the calling client needs to take its model of a job away."""
        return self._send(TakeawayView, "GET", f"/v1/jobs/{job}/takeaway")

    def create_client(self, client: ClientCreate, idempotency_key: str) -> ClientCreated:
        """Register a client; its key is in the answer and nowhere else."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._send(ClientCreated, "POST", "/v1/clients", body=client, headers=headers)

    def clients(
        self, task: str | None = None, order: ClientOrder = "id", *, there: bool = False
    ) -> list[ClientView]:
        """All clients, or those that offer a task; `there`: for which a worker speaks now."""
        asked = {"task": task, "sort": order, "there": there}
        return list(self._pages(ClientList, "/v1/clients", asked))

    def client(self, client: str) -> ClientView:
        """One client."""
        return self._send(ClientView, "GET", f"/v1/clients/{client}")

    def keys(
        self, client: str | None = None, order: KeyOrder = "prefix", *, live: bool = False
    ) -> list[KeyView]:
        """All keys, or those of a client; `live`: only those that are valid."""
        asked = {"client": client, "live": live or None, "sort": order}
        return list(self._pages(KeyList, "/v1/keys", asked))

    def create_key(self, wish: KeyCreate, idempotency_key: str) -> KeyCreated:
        """Make a key; it is in the answer and nowhere else."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._send(KeyCreated, "POST", "/v1/keys", body=wish, headers=headers)

    def create_client_key(
        self, client: str, wish: ClientKeyCreate, idempotency_key: str
    ) -> KeyCreated:
        """Make a client's next key; it is in the answer and nowhere else."""
        path, headers = f"/v1/clients/{client}/keys", {"Idempotency-Key": idempotency_key}
        return self._send(KeyCreated, "POST", path, body=wish, headers=headers)

    def revoke_key(self, prefix: str) -> KeyView:
        """Have a key refused from the next request on."""
        return self._send(KeyView, "DELETE", f"/v1/keys/{prefix}")


def _beside(alone: UUID | None, averaged: UUID | None) -> dict[str, str]:
    named = {"alone": alone, "averaged": averaged}
    return {name: str(job) for name, job in named.items() if job is not None}
