"""Runs one command so that it ends with its launcher, as nobody when asked; stdlib only.

`guard.py LAUNCHER_PID SIGNAL DROP_ROOT COMMAND...` asks Linux to send SIGNAL when the launcher
dies, enters a user namespace when DROP_ROOT is 1, and replaces itself by the command. A script
instead of a `preexec_fn`, because that may deadlock in a launcher with threads.
"""

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NOBODY = 65534


def main(arguments: list[str]) -> None:
    """Become the command; ends with a sentence on stderr when that is impossible."""
    launcher, signal_number, drop_root, *command = arguments
    if drop_root == "1":
        become_nobody()
    if sys.platform == "linux":
        die_with_launcher(int(launcher), int(signal_number))
    os.execv(command[0], command)  # noqa: S606 - a fixed program, no shell


def become_nobody() -> None:
    """Appear as `nobody` to the command, while its files still belong to root outside.

    Postgres refuses to run as root; this needs no new user and opens no directory to anyone.
    """
    if sys.platform != "linux":
        sys.exit("Postgres refuses root: run the command as an ordinary user")
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        reason = os.strerror(ctypes.get_errno())
        sys.exit(
            f"Postgres refuses root and this machine allows no user namespaces ({reason}): "
            "run the command as an ordinary user"
        )
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1", encoding="ascii")


def die_with_launcher(launcher: int, signal_number: int) -> None:
    """Have the kernel send the signal when the launcher ends, even by SIGKILL."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != launcher:  # it ended before we asked
        sys.exit("the launcher has ended")


if __name__ == "__main__":
    main(sys.argv[1:])
