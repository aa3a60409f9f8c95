"""docker-compose.yml and the Dockerfiles, as real Compose reads them: what they promise."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support import compose, documents
from tests.support.compose import CLIENT_FILE, OF_A_CLIENT, REQUIRED, ROOT

pytestmark = pytest.mark.integration
PYTHON = ["python", "-m"]
COMMANDS = {
    "migrate": [*PYTHON, "server.migrate"],
    "api": [*PYTHON, "server.main"],
    "coordinator": [*PYTHON, "server.background"],
    "planner": [*PYTHON, "worker", "planner"],
    "worker-1": [*PYTHON, "worker", "clients"],
    "worker-2": [*PYTHON, "worker", "clients"],
    "worker-gpu": [*PYTHON, "worker", "clients"],
}
ONE_SHOT = {"migrate", "keys", "cli"}
PROFILES = {"worker-gpu": ["gpu"], "cli": ["cli"]}
SERVER = {"migrate", "api", "coordinator", "keys", "cli"}
WORKER = {"planner", "worker-1", "worker-2", "worker-gpu"}
ALL = SERVER | WORKER | {"postgres", "redis"}
EXACT = re.compile(r"^(python|postgres|redis):\d+\.\d+(\.\d+)?-[a-z-]+$")
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = compose.resolved()["services"]
    return found


def test_compose_takes_the_file_without_a_word() -> None:
    done = compose.config(REQUIRED, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("missing", REQUIRED)
@pytest.mark.parametrize("left", [None, ""])
def test_it_refuses_and_names_what_is_missing(missing: str, left: str | None) -> None:
    environment = {name: value for name, value in REQUIRED.items() if name != missing}
    if left is not None:
        environment[missing] = left
    done = compose.config(environment, "--quiet")
    assert done.returncode != 0
    assert missing in done.stderr
    assert "is not set" in done.stderr


@pytest.mark.parametrize(
    ("example", "file", "required"),
    [
        (".env.example", "docker-compose.yml", REQUIRED),
        ("client.env.example", CLIENT_FILE, OF_A_CLIENT),
    ],
)
def test_the_example_has_all_names_and_no_value(
    tmp_path: Path, example: str, file: str, required: dict[str, str]
) -> None:
    lines = (ROOT / example).read_text().splitlines()
    names = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    used = set(re.findall(r"(?<!\$)\$\{([A-Z]\w+)", (ROOT / file).read_text()))
    assert set(names) | {"TAPESTRY_IMAGE_TAG"} == used
    assert set(names.values()) == {""}
    filled = tmp_path / "env"
    filled.write_text("\n".join(f"{name}={required.get(name, '')}" for name in names))
    assert compose.config({}, "--quiet", env_file=filled, file=file).returncode == 0


@pytest.mark.parametrize(
    ("example", "file"),
    [(".env.example", "docker-compose.yml"), ("client.env.example", CLIENT_FILE)],
)
def test_what_the_example_leaves_out_is_handed_on(example: str, file: str) -> None:
    offered = re.findall(r"^#([A-Z]\w+)=", (ROOT / example).read_text(), re.MULTILINE)
    handed_on = re.findall(r"^ +([A-Z]\w+):(?: #.*)?$", (ROOT / file).read_text(), re.MULTILINE)
    assert set(offered) == set(handed_on)


@pytest.mark.parametrize(
    ("name", "file"), [(".env", "docker-compose.yml"), ("client.env", CLIENT_FILE)]
)
def test_what_the_guide_writes_is_enough(tmp_path: Path, name: str, file: str) -> None:
    guide = documents.read(ROOT / "docs" / "how-to" / "compose.md")
    written = [
        re.findall(rf"cat > {name} <<'END'\n(.*?)END", each, re.DOTALL) for each in guide.blocks
    ]
    [text] = [each for found in written for each in found]
    (tmp_path / name).write_text(text)
    done = compose.config({}, "--quiet", env_file=tmp_path / name, file=file)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_services_and_their_commands(services: dict[str, Any]) -> None:
    assert set(services) == ALL
    assert {name: services[name]["command"] for name in COMMANDS} == COMMANDS
    assert {n: s["profiles"] for n, s in services.items() if "profiles" in s} == PROFILES


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_container_may_little(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"]
    assert service["user"] in {"10001:10001", "postgres", "redis"}
    assert "privileged" not in service
    for volume in service.get("volumes", ()):
        assert volume["type"] == "volume" or volume["read_only"]


@pytest.mark.parametrize("name", sorted(ALL - ONE_SHOT))
def test_a_service_is_watched_and_begins_again(services: dict[str, Any], name: str) -> None:
    assert services[name]["restart"] == "unless-stopped"
    assert services[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert services[name]["stop_grace_period"]


def test_only_the_api_has_a_port_and_only_here(services: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(ports) == {"api"}
    assert [port["host_ip"] for port in ports["api"]] == ["127.0.0.1"]


def test_the_database_is_for_the_server_alone(services: dict[str, Any]) -> None:
    near = {name for name, service in services.items() if "database" in service["networks"]}
    assert near == {"postgres", "migrate", "api", "coordinator", "keys"}
    assert compose.resolved()["networks"]["database"]["internal"]
    assert knowing(services, "database-password") == near


def knowing(services: dict[str, Any], secret: str) -> set[str]:
    """Who is given a secret."""
    return {
        name
        for name, service in services.items()
        if secret in {each["source"] for each in service.get("secrets", ())}
    }


def test_a_password_stands_in_a_file_alone(services: dict[str, Any]) -> None:
    secrets = compose.resolved()["secrets"]
    for name in ("database-password", "redis-password"):
        assert secrets[name]["file"] == f"{REQUIRED['TAPESTRY_SECRETS_DIR']}/{name}"
    assert knowing(services, "redis-password") == {"redis", "api", "coordinator", *WORKER}
    for service in services.values():
        named = [
            value
            for name, value in (service.get("environment") or {}).items()
            if "PASSWORD" in name
        ]
        given = {f"/run/secrets/{each['source']}" for each in service.get("secrets", ())}
        assert sorted(named) == sorted(given - {"/run/secrets/bucket-secret"})


def test_a_secret_that_may_be_absent_is_a_file_where_it_is_named(services: dict[str, Any]) -> None:
    assert knowing(services, "bucket-secret") == {"api", "coordinator"}
    assert services["api"]["environment"]["AWS_SECRET_ACCESS_KEY_FILE"] == ""
    found = compose.resolved({**REQUIRED, "AWS_SECRET_ACCESS_KEY_FILE": "/srv/bucket"})
    inside = "/run/secrets/bucket-secret"
    assert found["services"]["api"]["environment"]["AWS_SECRET_ACCESS_KEY_FILE"] == inside
    assert found["secrets"]["bucket-secret"]["file"] == "/srv/bucket"

    at_a_client = compose.resolved(OF_A_CLIENT, CLIENT_FILE)
    assert at_a_client["services"]["worker"]["environment"]["TAPESTRY_REDIS_URL_FILE"] == ""
    given = {**OF_A_CLIENT, "TAPESTRY_REDIS_URL_FILE": "/srv/redis-url"}
    found = compose.resolved(given, CLIENT_FILE)
    inside = "/run/secrets/redis-url"
    assert found["services"]["worker"]["environment"]["TAPESTRY_REDIS_URL_FILE"] == inside
    assert found["secrets"]["redis-url"]["file"] == "/srv/redis-url"


def test_what_watches_reaches_every_process(services: dict[str, Any]) -> None:
    given = {"TAPESTRY_LOG": "json", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    told = compose.resolved({**REQUIRED, **given})["services"]
    for name in ("api", "coordinator", *WORKER):
        assert told[name]["environment"].items() >= given.items()
        assert services[name]["environment"]["TAPESTRY_LOG"] is None
        assert services[name]["environment"]["TAPESTRY_METRICS_PORT"] is None
    for path in DOCKERFILES:
        [line] = [each for each in path.read_text().splitlines() if "requirements.py" in each][-1:]
        assert " otel " in line


def test_links_lead_to_where_people_find_the_api(services: dict[str, Any]) -> None:
    def link(**given: str) -> str:
        told = compose.resolved({**REQUIRED, **given})["services"]["cli"]["environment"]
        return str(told["TAPESTRY_PUBLIC_URL"])

    assert services["cli"]["environment"]["TAPESTRY_PUBLIC_URL"] == "http://127.0.0.1:8000"
    assert link(TAPESTRY_PORT="8123") == "http://127.0.0.1:8123"
    assert link(TAPESTRY_PUBLIC_URL="https://t.example") == "https://t.example"


def test_each_sees_only_its_own_keys_and_only_workers_see_data(services: dict[str, Any]) -> None:
    seen: dict[str, set[str]] = {}
    for name, service in services.items():
        for volume in service.get("volumes", ()):
            seen.setdefault(volume["source"], set()).add(name)
    workers = WORKER - {"planner"}
    assert seen["operator-keys"] == {"keys", "cli"}
    assert seen["planner-keys"] == {"keys", "planner"}
    assert seen["client-keys"] == {"keys", *workers}
    assert seen["shelf-keys"] == workers, "neither the server nor an operator may open a model"
    assert seen[REQUIRED["TAPESTRY_CLIENTS_DIR"]] == workers


def test_who_waits_for_whom(services: dict[str, Any]) -> None:
    waits = {
        name: {other: need["condition"].removeprefix("service_") for other, need in found.items()}
        for name, service in services.items()
        if (found := service.get("depends_on"))
    }
    done, healthy = "completed_successfully", "healthy"
    server = {"migrate": done, "postgres": healthy, "redis": healthy}
    worker = {"keys": done, "api": healthy, "redis": healthy}
    assert waits == {
        "migrate": {"postgres": healthy},
        "keys": {"api": healthy},
        **dict.fromkeys(("api", "coordinator"), server),
        **dict.fromkeys(WORKER, worker),
    }


def test_the_gpu_worker_has_one(services: dict[str, Any]) -> None:
    (device,) = services["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert services["worker-gpu"]["image"] != services["worker-1"]["image"]


def test_images_have_exact_tags(services: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in SERVER | WORKER:
        assert f":{project['version']}" in services[name]["image"]
        assert (ROOT / services[name]["build"]["dockerfile"]).is_file()
    for name in ("postgres", "redis"):
        assert EXACT.match(services[name]["image"])


def test_a_client_s_worker_elsewhere_is_as_those_here_and_only_calls_out(
    services: dict[str, Any],
) -> None:
    found = compose.resolved(OF_A_CLIENT, CLIENT_FILE)
    worker = found["services"]["worker"]
    here = services["worker-1"]
    for name in ("command", "image", "user", "read_only", "cap_drop", "security_opt", "init"):
        assert worker[name] == here[name]
    assert worker["stop_grace_period"] == here["stop_grace_period"]
    assert "ports" not in worker
    assert found["secrets"]["client-key"]["file"] == OF_A_CLIENT["TAPESTRY_CLIENT_KEY"]
    assert worker["environment"]["TAPESTRY_KEY_FILE"] == "/run/secrets/client-key"
    assert worker["environment"]["TAPESTRY_REDIS_URL"] is None
    [data] = [each for each in worker["volumes"] if each["type"] == "bind"]
    assert (data["source"], data["read_only"]) == (OF_A_CLIENT["TAPESTRY_CLIENT_DIR"], True)


def test_a_client_s_worker_with_a_gpu_takes_the_other_s_place(services: dict[str, Any]) -> None:
    found = compose.resolved(OF_A_CLIENT, CLIENT_FILE)["services"]
    worker, gpu = found["worker"], found["worker-gpu"]
    assert found.keys() == {"worker", "worker-gpu"}
    assert gpu["profiles"] == services["worker-gpu"]["profiles"]
    assert "profiles" not in worker
    for name in ("image", "deploy", "build"):
        assert gpu[name] == services["worker-gpu"][name]
    same = worker.keys() - {"image", "build", "environment"}
    assert {name: worker[name] for name in same} == {name: gpu[name] for name in same}
    assert gpu["environment"] == {**worker["environment"], "TAPESTRY_DEVICE": None}


@pytest.mark.parametrize("missing", OF_A_CLIENT)
def test_a_client_s_file_names_what_is_missing(missing: str) -> None:
    environment = {name: value for name, value in OF_A_CLIENT.items() if name != missing}
    done = compose.config(environment, "--quiet", file=CLIENT_FILE)
    assert done.returncode != 0
    assert f"{missing}" in done.stderr
    assert "is not set" in done.stderr


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_a_dockerfile_ends_as_an_ordinary_user(path: Path) -> None:
    lines = path.read_text().splitlines()
    bases = {line.split()[1] for line in lines if line.startswith("FROM")}
    assert all(map(EXACT.match, bases))
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    local = [word for word in copied if not word.startswith(("--from", "/"))]
    assert all((ROOT / word).exists() for word in local)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert {word.split("/")[0] for word in local} <= allowed


def test_the_check_says_in_one_sentence_that_podman_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.compose_check"],
        env={"PATH": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tapestry: compose-check needs podman, which is not installed: ")
    assert len(done.stderr.splitlines()) == 1
