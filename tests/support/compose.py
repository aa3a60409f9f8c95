"""docker-compose.yml as real Compose reads it: offline, no engine."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.podman import compose_binary

ROOT = Path(__file__).parents[2]
REQUIRED = {
    "TAPESTRY_SECRETS_DIR": "/srv/secrets",
    "TAPESTRY_CLIENTS_DIR": "/srv/clients",
    "TAPESTRY_WORKER_1_FILES": "/clients/c01/client.yaml",
    "TAPESTRY_WORKER_2_FILES": "/clients/c02/client.yaml",
}


OF_A_CLIENT = {
    "TAPESTRY_API_URL": "https://tapestry.example",
    "TAPESTRY_CLIENT_DIR": "/srv/c01",
    "TAPESTRY_CLIENT_KEY": "/srv/c01.key",
}
CLIENT_FILE = "docker-compose.client.yml"


def config(
    environment: Mapping[str, str],
    *options: str,
    env_file: Path | None = None,
    file: str = "docker-compose.yml",
) -> "subprocess.CompletedProcess[str]":
    """`docker compose config` with that environment and nothing of this machine's."""
    where: list[str | Path] = [
        "--file",
        ROOT / file,
        "--env-file",
        env_file or os.devnull,
    ]
    return subprocess.run(
        [compose_binary(), *where, "--profile", "*", "config", *options],
        env={"HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def resolved(
    environment: Mapping[str, str] = REQUIRED, file: str = "docker-compose.yml"
) -> dict[str, Any]:
    """The whole file with everything filled in."""
    done = config(environment, "--format", "json", file=file)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.replace("$$", "$"))  # written to be read again
    return found
