"""The results of a directory: one file for each run."""

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from grid import Run, Scale
from provenance import OtherCommitError, back_to

from shared.job_spec import JobSpec

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """What is in `out`, of the runs of a scale."""

    out: Path
    scale: Scale
    commit: str
    command: str

    def has(self, run: Run) -> bool:
        """Whether the run is done, and what it needs.

        Raises OtherCommitError for a result of another commit or spec.
        """
        path = self._path(run)
        if not path.is_file() or (run.needs is not None and not self.has(run.needs)):
            return False
        found = _read(path)
        if found["commit"] != self.commit:
            raise OtherCommitError(
                f"{path} is of commit {found['commit']}, and the code here is that of "
                f"{self.commit}: {back_to(found['commit'])}name another directory by --out, or "
                "remove that file to have it made anew"
            )
        if found["spec"] != self.spec(run).model_dump(mode="json"):
            raise OtherCommitError(
                f"{path} is of another spec than this scale's: name another directory by --out, or "
                "remove that file to have it made anew"
            )
        return True

    def spec(self, run: Run) -> JobSpec:
        """The run's job; random replacement is as frequent as TAP's was."""
        rate = None if run.needs is None else replacement_rate(_read(self._path(run.needs)))
        return run.spec(self.scale, rate)

    def keep(self, run: Run, found: Json) -> None:
        """Write a run's result, in one step."""
        path = self._path(run)
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        by = {"commit": self.commit, "command": self.command, "machine": machine()}
        made = {**by, "run": vars(run)}
        text = json.dumps({**made, "spec": self.spec(run).model_dump(mode="json"), **found})
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(path)

    def _path(self, run: Run) -> Path:
        return self.out / "runs" / f"{run.name}.json"


def machine() -> str:
    """The processor, and which of its instructions torch uses: other ones round otherwise.

    Runs of one machine are equal bit for bit where they compute the same, and of two need not be.
    """
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((x.partition(":")[2].strip() for x in lines if x[:10] == "model name"), model)
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def replacement_rate(result: Json) -> float:
    """How often a task of TAP's was replaced when it could be; first participations not counted."""
    decisions = [each for each in result["decisions"] if each["personal_loss"] is not None]
    return sum(bool(each["replaced"]) for each in decisions) / max(len(decisions), 1)
