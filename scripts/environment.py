"""Makes or renews `.venv` in the checkout from pyproject.toml and constraints.txt; stdlib only.

A stamp in `.venv` holds a hash of both files, so that a second run costs nothing; a lock makes two
runs at once safe. Tries uv, which is quick, then pip. Each thing that is missing is one sentence.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # older Pythons must get as far as the sentence that refuses them
    from collections.abc import Iterator

OLDEST = (3, 11)
EXTRAS = ("server", "s3", "worker", "local", "dev")
NEEDED_BYTES = 4 * 10**9
ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "tapestry-stamp"
CONSTRAINTS = ROOT / "constraints.txt"
STATE = ROOT / ".tapestry"
LOG = STATE / "environment.log"


class Missing(Exception):  # noqa: N818 - it names what is missing
    """The environment cannot be made; the text is one sentence that says what to do."""


def main() -> None:
    """Make the environment, or print what is missing and exit with 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--freeze", action="store_true", help="renew constraints.txt from .venv")
    arguments = parser.parse_args()
    try:
        if arguments.freeze:
            freeze()
        else:
            ensure()
    except Missing as missing:
        sys.exit(f"tapestry: {missing}")
    except OSError as error:
        sys.exit(f"tapestry: no environment can be made ({error}): check the disk and its rights")
    except KeyboardInterrupt:
        sys.exit("tapestry: interrupted; the next run goes on from here")


def ensure() -> None:
    """Bring `.venv` to what the two files say, unless it is there already."""
    use_new_enough_python()
    if is_current():
        return
    with locked():
        if not is_current():  # another run may have made it meanwhile
            make()


def use_new_enough_python() -> None:
    """Go on under a newer Python if this one is too old. Raises Missing if there is none."""
    if sys.version_info >= OLDEST:
        return
    for minor in range(OLDEST[1], OLDEST[1] + 4):
        other = shutil.which(f"python3.{minor}")
        if other:
            os.execv(other, [other, *sys.argv])  # noqa: S606 - the same script, no shell
    raise Missing(
        f"Python 3.{OLDEST[1]} or newer is needed and this is {sys.version.split()[0]}: install "
        "one, or name it with `make PYTHON=/path/to/python3`"
    )


def is_current() -> bool:
    """Whether `.venv` is complete, of this place, and of these two files."""
    try:
        return STAMP.read_text(encoding="ascii") == stamp() and python().exists()
    except OSError:
        return False


def stamp() -> str:
    """A hash of all that decides what is installed; a moved checkout needs a new environment."""
    parts = [(ROOT / "pyproject.toml").read_bytes(), CONSTRAINTS.read_bytes()]
    parts += [repr((str(ROOT), sys.version_info[:2], EXTRAS)).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def python() -> Path:
    """The environment's Python."""
    return VENV / "bin" / "python"


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the checkout's lock; another run's work is waited for."""
    import fcntl  # noqa: PLC0415 - Linux and macOS only, as the local servers

    STATE.mkdir(exist_ok=True)
    with (STATE / "environment.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is making the environment: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make() -> None:
    """Make the environment and install everything."""
    check_machine()
    began = time.monotonic()
    say("making the environment in .venv (about 2 GB; a minute to five)")
    LOG.write_bytes(b"")
    make_venv()
    how = install()
    STAMP.write_text(stamp(), encoding="ascii")
    say(f"the environment is ready, by {how} in {time.monotonic() - began:.0f} s")


def check_machine() -> None:
    """Raises Missing for what no installer can mend."""
    if os.name != "posix":
        raise Missing("the local servers run on Linux and macOS only: use one, or WSL on Windows")
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES and not STAMP.exists():
        raise Missing(
            f"{NEEDED_BYTES / 1e9:.0f} GB of free disk are needed and {ROOT} has {free / 1e9:.1f}: "
            "free some"
        )
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise Missing(
                f"this Python has no `{module}` module: install it (Debian and Ubuntu: "
                "`apt-get install python3-venv`), or name another Python with `make PYTHON=...`"
            )


def make_venv() -> None:
    """A virtual environment that works; one of another place or Python is replaced."""
    answer = run([python(), "-c", f"import pip, sys; sys.exit({str(VENV)!r} != sys.prefix)"])
    if answer == 0 and same_python():
        return
    if run([sys.executable, "-m", "venv", "--clear", VENV]) != 0:
        raise Missing(f"no virtual environment can be made: see {LOG}{last_words()}")


def same_python() -> bool:
    """Whether the environment's Python is of this one's minor version."""
    major, minor = sys.version_info[:2]
    return (VENV / "lib" / f"python{major}.{minor}" / "site-packages" / "pip").is_dir()


def install() -> str:
    """Install everything by uv, else by pip; returns by which. Raises Missing."""
    pip: list[str | Path] = [python(), "-m", "pip", "install", "--no-input"]
    uv: list[str | Path] = [
        python(),
        "-m",
        "uv",
        "pip",
        "install",
        "--compile-bytecode",  # as pip does: 3,000 modules are imported by each process that trains
        "--python",
        python(),
        *uv_options(),
    ]
    has_uv = run([*pip, "--quiet", "-c", CONSTRAINTS, "uv"]) == 0
    for how, command in (("uv", uv), ("pip", pip)):
        if (how == "pip" or has_uv) and install_by(command):
            return how
    raise Missing(
        "the packages could not be installed, most often because the package registry cannot be "
        f"reached; check the network and pip's configuration; see {LOG}{last_words()}"
    )


def install_by(command: list[str | Path]) -> bool:
    """Install the dependencies, then the checkout itself with the setuptools just pinned."""
    everything = [*command, "-c", CONSTRAINTS, "setuptools", *requirements()]
    itself = [*command, "--no-deps", "--no-build-isolation", "-e", ROOT]
    return run(everything) == 0 and run(itself) == 0


def requirements() -> list[str]:
    """What pyproject.toml asks for, with all extras."""
    import tomllib  # noqa: PLC0415 - Python 3.11

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(name for extra in EXTRAS for name in extras[extra])]


def uv_options() -> list[str]:
    """Pip's own settings in uv's words, for uv ignores them: indexes and directories of wheels."""
    options = []
    settings = pip_settings()
    names = {"find-links": "--find-links", "index-url": "--default-index"}
    names["extra-index-url"] = "--index"
    for name, option in names.items():
        for value in settings.get(name, []):
            options += [option, value]
    if "extra-index-url" in settings:
        options += ["--index-strategy", "unsafe-best-match"]  # what pip does
    if settings.get("no-index", ["0"])[-1].lower() in {"1", "true", "yes"}:
        options += ["--no-index"]
    return options


def pip_settings() -> dict[str, list[str]]:
    """Settings of pip's files and environment variables, the latter last; values may be several."""
    done = subprocess.run(
        [python(), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    found: dict[str, list[str]] = {}
    for line in sorted(done.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        with contextlib.suppress(ValueError, SyntaxError):
            values = str(ast.literal_eval(value)).split()
            section, _, name = key.rpartition(".")
            if values and section in {"global", "install", ":env:"}:
                found[name] = values
    return found


def installer_environment() -> dict[str, str]:
    """The environment of the installers; uv takes pip's certificate by another name."""
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    for certificate in pip_settings().get("cert", []) if python().exists() else []:
        env.setdefault("SSL_CERT_FILE", certificate)
    return env


def run(command: list[str | Path]) -> int:
    """Run a command with its output in the log; its status, 127 when it is not there."""
    with LOG.open("ab") as log:
        log.write(("$ " + " ".join(map(str, command)) + "\n").encode())
        log.flush()
        try:
            return subprocess.run(
                command, stdout=log, stderr=log, env=installer_environment(), check=False
            ).returncode
        except OSError as error:
            log.write(f"{error}\n".encode())
            return 127


def last_words() -> str:
    """The log's last line that holds an error, for the sentence."""
    lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.strip() for line in lines if "error" in line.lower()]
    return f" ({errors[-1][:300]})" if errors else ""


def freeze() -> None:
    """Write the versions that `.venv` holds into constraints.txt, without addresses or paths."""
    done = subprocess.run(
        [python(), "-m", "pip", "list", "--format=freeze", "--exclude-editable"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = [line.partition("+")[0] for line in done.stdout.split() if not line.startswith("pip==")]
    pins = sorted(name.lower().replace("_", "-") for name in names)
    kept = [line for line in CONSTRAINTS.read_text("utf-8").splitlines() if line.startswith("#")]
    CONSTRAINTS.write_text("\n".join([*kept, *pins]) + "\n", encoding="utf-8")


def say(text: str) -> None:
    """One line for the person who waits."""
    print(f"tapestry: {text}", flush=True)


if __name__ == "__main__":
    main()
