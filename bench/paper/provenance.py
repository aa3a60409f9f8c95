"""Which commit made a result, so that no page mixes what different code says."""

import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What a run's numbers depend on, besides its spec, which each result holds.
CODE = (
    "bench/paper/division.py",
    "bench/paper/execute.py",
    "bench/paper/memory.py",
    "bench/paper/shares.py",
    "constraints.txt",
    "examples",
    "server/aggregation",
    "server/rounds/sampling.py",
    "shared",
    "worker",
)


class OtherCommitError(Exception):
    """Results of other code, or code of which no commit can be named; says what to do."""


def commit(root: Path = ROOT) -> str:
    """The last commit that changed the code; `-dirty-DIGEST` behind it where files differ from it.

    Raises OtherCommitError outside a git checkout.
    """
    changes = _git(root, "diff", "HEAD", "--", *CODE)
    for path in _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *CODE).split(
        b"\0"
    ):
        changes += path + ((root / path.decode()).read_bytes() if path else b"")
    head = _git(root, "log", "-1", "--format=%H", "--", *CODE).decode().strip()
    return f"{head}-dirty-{hashlib.sha256(changes).hexdigest()[:8]}" if changes else head


def _git(root: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise OtherCommitError(
            f"git cannot tell which commit {root} is at ({error}): run it in a clone of the "
            "repository, with git installed"
        ) from error
    return done.stdout


def back_to(made_by: str) -> str:
    """How one comes by the code that made a result, if there is a commit of it."""
    clean = "-dirty-" not in made_by
    return f"check that one out (git worktree add ../paper {made_by}), or " if clean else ""


def claim(out: Path, now: str) -> None:
    """Let the directory hold this commit's results. Raises OtherCommitError."""
    out.mkdir(parents=True, exist_ok=True)
    stamp = out / "commit.txt"
    made_by = stamp.read_text(encoding="utf-8").strip() if stamp.is_file() else now
    if made_by != now:
        raise OtherCommitError(
            f"{out} holds results of commit {made_by}, and the code here is that of {now}: "
            f"{back_to(made_by)}name another directory by --out"
        )
    stamp.write_text(now + "\n", encoding="utf-8")
