"""Faults at the border to the kernel: a process's system calls fail, or end it, by strace."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# A name of the C library may arrive in the kernel under several; strace passes over ("?") those
# that the machine does not have.
CALLS = {
    "fsync": "?fsync,?fdatasync",
    "rename": "?rename,?renameat,?renameat2",
    "write": "?write,?pwrite64,?writev",
    "sendto": "?sendto,?sendmsg",
}


@dataclass(frozen=True)
class Trace:
    """What strace has noted."""

    log: Path

    @property
    def hits(self) -> int:
        """How many calls were met."""
        lines = self.log.read_text(errors="replace").splitlines()
        return sum("(INJECTED)" in line or "killed by SIGKILL" in line for line in lines)


@contextlib.contextmanager
def injected(process: int, call: str, fault: str, log: Path) -> Iterator[Trace]:
    """Meet a call of a process, its threads and its children with a fault.

    The fault is what strace's `inject` takes: signal=KILL:when=2 or error=EIO:when=1..3, counted
    for each thread. Raises RuntimeError where strace cannot attach.
    """
    names = CALLS[call]
    command = ["strace", "-f", "-e", f"trace={names}", "-e", f"inject={names}:{fault}"]
    attach = [part for pid in family(process) for part in ("-p", str(pid))]
    strace = subprocess.Popen(
        [*command, "-o", log, *attach], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_until_attached(strace)
        yield Trace(log)
    finally:
        _end(strace, died="signal=KILL" in fault and Trace(log).hits > 0)


def _end(strace: "subprocess.Popen[str]", *, died: bool) -> None:
    """Let go of what is traced. A strace that is interrupted while the traced process dies may
    wait for its first thread for ever: then nothing is left that killing it could harm.
    """
    if not died:
        strace.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        strace.wait(10)
    strace.kill()
    strace.communicate()


def _wait_until_attached(strace: "subprocess.Popen[str]") -> None:
    assert strace.stderr is not None
    said = strace.stderr.readline()
    if "attached" not in said:
        raise RuntimeError(f"strace cannot attach: {said.strip()}")


def family(process: int) -> Sequence[int]:
    """The process and its living descendants."""
    children = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(pid) for file in children for pid in file.read_text().split()]
    return [process, *(one for child in found for one in family(child))]


def wait_for_hit(trace: Trace, within_s: float) -> bool:
    """Whether the fault has come within the time."""
    end = time.monotonic() + within_s
    while not trace.hits:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
