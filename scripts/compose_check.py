"""Builds the images and runs jobs in docker-compose.yml's stack under podman, also with two hosts.

`python -m scripts.compose_check`: real Compose talks to podman's socket, so no Docker is needed.
All that is made carries a random name and is removed at the end, also after Ctrl-C, but for the
stages that podman keeps to build faster (`podman image prune`). Exits with 2 where it cannot run.

TAPESTRY_BUILD_OPTIONS: more words for `podman build`, for instance a volume with wheels.
"""

import json
import signal
import sys

from scripts import compose_hosts
from scripts.podman import (
    LOG,
    ROOT,
    CannotRunError,
    CheckError,
    Podman,
    Project,
    free_port,
    needed,
    say,
    write_passwords,
)
from scripts.tiny_federation import CLIENTS, SPEC, write_clients

JOB_WITHIN_S = 300.0


def main() -> None:
    """Check, and say how it went."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        needed()
        with Podman() as podman:
            podman.build()
            podman.serve()
            one_machine(podman)
            compose_hosts.check(podman)
    except CannotRunError as error:
        print(f"tapestry: {error}", file=sys.stderr)
        sys.exit(2)
    except (CheckError, OSError) as error:
        print(f"tapestry: {error}; see {LOG}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    say("the stacks came up, ran their jobs and are gone")


def one_machine(podman: Podman) -> None:
    """All services and two clients on one machine. Raises CheckError."""
    write_clients(podman.place / "clients")
    write_passwords(podman.place / "secrets")
    files = [f"/clients/{client}/client.yaml" for client in CLIENTS]
    given = {
        "TAPESTRY_SECRETS_DIR": str(podman.place / "secrets"),
        "TAPESTRY_PORT": str(free_port()),
        "TAPESTRY_CLIENTS_DIR": str(podman.place / "clients"),
        "TAPESTRY_WORKER_1_FILES": files[0],
        "TAPESTRY_WORKER_2_FILES": files[1],
    }
    with podman.project("one", [ROOT / "docker-compose.yml"], given) as stack:
        say("starting the stack")
        stack.up("--wait")
        say("running a job")
        run_job(stack)


def run_job(stack: Project) -> None:
    """Run a job through the command line's container. Raises CheckError."""
    job = stack.cli("submit", "/dev/stdin", text=json.dumps(SPEC)).strip()
    stack.cli("watch", job, within_s=JOB_WITHIN_S)
    compose_hosts.expect_scores(stack, job, CLIENTS)


if __name__ == "__main__":
    main()
