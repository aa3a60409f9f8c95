"""The demonstration from data to table: prepare, start the stack, launch, show, compare, stop."""

import json
import shlex
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from rich.console import Console

from cli import comparison
from cli.demo.columns import COLUMNS, traffic_table
from cli.demo.preparing import EXAMPLE, prepare
from cli.progress import Progress, follow
from cli.signals import Stopped
from cli.stack import private
from cli.stack.errors import StackError
from cli.stack.keeper import Keeper
from cli.stack.processes import Processes
from cli.stack.settings import StackSettings, client_files
from cli.stack.stack import Stack
from shared import spec_files
from shared.job_spec import JobSpec
from shared.reports import ReportView
from shared.states import JobState
from shared.views import JobView

ALGORITHMS = ("tap", "fedavg", "local")
_PATIENCE_S = 60.0  # for an API that is started again
_GIVE_UP = timedelta(0)  # behind that: its process is here, and would have come back


def run(console: Console, state: Path) -> Path:
    """Run the demonstration; what remains of it lies beside its report, which is returned.

    Raises StackError, ApiError, SpecError or Stopped; nothing keeps running in any case.
    """
    began = time.monotonic()
    specs = {name: spec_files.load(JobSpec, EXAMPLE / f"{name}.yaml") for name in ALGORITHMS}
    output = _new_output(state)
    try:
        with Processes() as processes:
            private_state = Path(tempfile.mkdtemp(prefix="tapestry-demo-"))
            processes.own_directory(private_state)
            console.print("preparing the clients' data", highlight=False)
            log = output / "logs" / "prepare.log"
            clients = prepare(processes, private_state / "clients", state / "cache", log)
            settings = StackSettings(
                private_state / "stack", output / "logs", client_files(clients), durable=False
            )
            say = partial(console.print, highlight=False, markup=False)
            with Stack(processes, settings, say) as stack:
                stack.wait_for_offers()
                with Keeper(processes, say) as keeper:
                    reports = _jobs(stack, specs, console, keeper)
    except Stopped:
        shutil.rmtree(output, ignore_errors=True)
        raise
    return _conclude(reports, output, time.monotonic() - began, console)


def _new_output(state: Path) -> Path:
    """A directory of this run alone, also when two begin in the same second."""
    stamp = datetime.now(tz=UTC).strftime("%Y%m%d-%H%M%S")
    state.mkdir(parents=True, exist_ok=True)
    output = Path(tempfile.mkdtemp(prefix=f"demo-{stamp}-", dir=state))
    private.directory(output / "logs")
    return output


def _jobs(
    stack: Stack, specs: Mapping[str, JobSpec], console: Console, keeper: Keeper
) -> dict[str, ReportView]:
    """Launch all jobs at once and follow them to their reports."""
    with stack.client(_PATIENCE_S) as api:
        jobs = [api.submit(spec, str(uuid.uuid4())) for spec in specs.values()]
        _print_curl(stack, jobs, console)
        ids = [str(job.id) for job in jobs]
        ended = follow(api, ids, console, keeper.check, _GIVE_UP)
        _refuse_failed(ended, stack.settings.logs)
        reports = [api.report(each.job.id) for each in ended]
    return {report.algorithm: report for report in reports}


def _print_curl(stack: Stack, jobs: Sequence[JobView], console: Console) -> None:
    """Commands that another terminal can watch the rounds with, while this runs."""
    key = shlex.quote(str(stack.admin_key_file))
    console.print("from another terminal, while this runs:", highlight=False)
    for job in jobs:
        url = f"{stack.url}/v1/jobs/{job.id}/rounds"
        line = f'  curl -sH "Authorization: Bearer $(cat {key})" {url}'
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _refuse_failed(ended: list[Progress], logs: Path) -> None:
    for each in ended:
        if each.job.state is not JobState.SUCCEEDED:
            failure = each.job.failure
            why = f" ({failure.code}): {failure.message}" if failure else ""
            raise StackError(f"job {each.job.name} ended {each.job.state}{why}; see {logs}")


def _conclude(
    reports: Mapping[str, ReportView], output: Path, seconds: float, console: Console
) -> Path:
    found = comparison.rows(reports, COLUMNS)
    console.print(comparison.skill_table(found, COLUMNS))
    console.print(traffic_table(reports))
    content = {
        "seconds": seconds,
        "comparison": comparison.as_json(found, COLUMNS),
        "reports": {name: report.model_dump(mode="json") for name, report in reports.items()},
    }
    path = output / "report.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    console.print(f"{seconds:.0f} s in all; the report lies in {path.resolve()}", soft_wrap=True)
    return path
