"""Files and directories that only their owner can read, whatever the umask."""

import os
import secrets
from pathlib import Path


def directory(path: Path) -> Path:
    """Make the directory, and its parents, and close it to others."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def write(path: Path, text: str) -> Path:
    """Write a file anew, never readable by others even for an instant."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    return path


def password() -> str:
    """A random password of 192 bits that needs no quoting in an address."""
    return secrets.token_urlsafe(24)
