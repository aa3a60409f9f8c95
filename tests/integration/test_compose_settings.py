"""What the guides name, a container is handed on: Compose gives it only what its file lists."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from docs.settings_page import variable
from server.settings import ServerSettings
from tests.support import compose
from tests.support.compose import CLIENT_FILE, OF_A_CLIENT, REQUIRED, ROOT
from worker.settings import WorkerSettings

pytestmark = pytest.mark.integration
GUIDES = (
    "behind-a-firewall",
    "compose",
    "distil-again-and-onboard",
    "gpu",
    "own-weights",
    "personal-model-shelf",
    "resume-and-fork",
    "s3",
    "watching",
)
PROXIES = ("HTTP", "ALL_PROXY", "NO_PROXY", "SSL_")
NAME = re.compile(
    r"\b(?:(?:TAPESTRY|HF|OTEL|AWS)_[A-Z0-9_]*[A-Z0-9]|(?:HTTPS?|ALL|NO)_PROXY|SSL_CERT_[A-Z]+)\b"
)
SERVER = ("api", "coordinator")
WORKERS = ("planner", "worker-1", "worker-2", "worker-gpu")
CLIENTS = ("worker", "worker-gpu")
ELSEWHERE = {
    "HF_HOME": "the image keeps the hub's cache with the worker's state",
    "TAPESTRY_SHELF_KEY_FILE": "the keys are in a volume, TAPESTRY_SHELF_KEYS_DIR",
}
IN_THE_STACK = ELSEWHERE | {
    "TAPESTRY_PORT": "the port of this machine; in its container the API has one of its own",
    "TAPESTRY_KEY": "a volume has them, TAPESTRY_KEYS_DIR",
    "TAPESTRY_REDIS_URL_FILE": "the address is the stack's own, its password in a file",
}
AT_A_CLIENT = ELSEWHERE | {
    "TAPESTRY_KEY": "in a file, TAPESTRY_KEY_FILE",
    "TAPESTRY_KEYS_DIR": "it has one, TAPESTRY_KEY_FILE",
}
WITH_A_GPU = "worker-gpu"
NEEDS_A_GPU = {"TAPESTRY_DEVICE"}  # cuda would end the others, which have none


def named() -> set[str]:
    """The variables that the guides name."""
    pages = (ROOT / "docs" / "how-to" / f"{guide}.md" for guide in GUIDES)
    return {name for page in pages for name in NAME.findall(page.read_text(encoding="utf-8"))}


def fields(kind: type[BaseSettings]) -> set[str]:
    """The variables of such a process, and those that name a secret's file."""
    own = {variable(name) for name in kind.model_fields}
    return own | {f"{name}_FILE" for name in own}


def environments(file: str) -> dict[str, Any]:
    """What each service of a file is told."""
    services = compose.resolved(OF_A_CLIENT if file == CLIENT_FILE else REQUIRED, file)["services"]
    return {name: service.get("environment") or {} for name, service in services.items()}


def test_the_guides_name_what_this_looks_for() -> None:
    some = {"TAPESTRY_POLL_S", "TAPESTRY_SCRUB_BYTES", "OTEL_SERVICE_NAME", "NO_PROXY"}
    assert named() >= some | {*ELSEWHERE}


@pytest.mark.parametrize(
    ("file", "services", "kind", "others", "exceptions"),
    [
        ("docker-compose.yml", SERVER, ServerSettings, ("OTEL_", "AWS_"), IN_THE_STACK),
        ("docker-compose.yml", WORKERS, WorkerSettings, ("OTEL_", "HF_"), IN_THE_STACK),
        (CLIENT_FILE, CLIENTS, WorkerSettings, ("OTEL_", "HF_", *PROXIES), AT_A_CLIENT),
    ],
)
def test_what_a_guide_names_is_handed_on(
    file: str,
    services: tuple[str, ...],
    kind: type[BaseSettings],
    others: tuple[str, ...],
    exceptions: dict[str, str],
) -> None:
    told = environments(file)
    wanted = {name for name in named() if name in fields(kind) or name.startswith(others)}
    for service in services:
        left_out = exceptions.keys() | (set() if service == WITH_A_GPU else NEEDS_A_GPU)
        missing = wanted - left_out - told[service].keys()
        assert missing == set(), f"{service} of {file} is not handed on {missing}"


@pytest.mark.parametrize("service", [*SERVER, *WORKERS])
def test_nothing_is_handed_on_that_is_not_set(service: str) -> None:
    told = environments("docker-compose.yml")[service]
    assert told["TAPESTRY_LOG"] is None
    assert all(told[name] is None for name in told if name.endswith(("_BYTES", "_S", "_THREADS")))


@pytest.mark.parametrize("kind", [ServerSettings, WorkerSettings])
def test_what_is_handed_on_empty_is_not_given(
    kind: type[BaseSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    required = {
        "TAPESTRY_DATABASE_URL": "postgresql+psycopg://h/x",
        "TAPESTRY_REDIS_URL": "redis://h",
        "TAPESTRY_ARTIFACTS_DIR": str(tmp_path),
        "TAPESTRY_API_URL": "http://h",
        "TAPESTRY_WORK_DIR": str(tmp_path),
    }
    for each in kind.model_fields:
        monkeypatch.setenv(variable(each), required.get(variable(each), ""))
    given = kind()
    for each, field in kind.model_fields.items():
        if variable(each) not in required:
            assert getattr(given, each) == field.get_default(call_default_factory=True)
