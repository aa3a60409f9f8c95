"""`make compose-check` without podman: what needs no engine, and that it follows the guide."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from scripts import compose_hosts, podman
from tests.support.compose import ROOT

pytestmark = pytest.mark.integration
GUIDES = [ROOT / "docs" / "how-to" / name for name in ("compose.md", "behind-a-firewall.md")]
# Stands in for podman: it makes the socket's file, and lives until it is told to end.
SERVICE = '#!/bin/sh\nfor word; do file="${word#unix://}"; done\n: > "$file"\nexec sleep 60\n'


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "podman"
    program.write_text(SERVICE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(podman, "LOG", tmp_path / "log" / "compose-check.log")
    monkeypatch.setattr(podman, "IMAGES", ())


@pytest.mark.usefixtures("engine")
def test_ctrl_c_leaves_podman_s_service_for_the_removal() -> None:
    """A terminal sends it to the foreground's whole group, in which the service is not."""
    with podman.Podman() as engine:
        engine.serve()
        service = engine._service
        assert service is not None
        assert os.getpgid(service.pid) != os.getpgid(0)
    assert service.returncode == -signal.SIGTERM
    assert not engine.place.exists()


def test_nothing_of_a_user_s_own_reaches_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ("TAPESTRY_LOG", "AWS_REGION", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE")
    for name in theirs:
        monkeypatch.setenv(name, "a user's")
    found = podman.plain_environment()
    assert not found.keys() & set(theirs)
    assert found["PATH"] == os.environ["PATH"]


def test_the_walkthrough_is_the_guide_s() -> None:
    script = Path(compose_hosts.__file__).read_text()
    guide = "\n".join(path.read_text() for path in GUIDES)
    for word in ("lab", "shop"):
        assert f"register {word}" in guide
    for said in (
        "--wait api coordinator planner",
        "exec coordinator python -m server.admin broker-user",
        "-f docker-compose.client.yml",
        "exec worker python -m worker.takeaway export JOB --client lab --out /state/lab-model",
        "cp worker:/state/lab-model",
        "examples/jobs/own-data.yaml",
        'ports: ["127.0.0.1:6379:6379"]',
    ):
        assert said in guide
        names = re.findall(r"[\w.-]{5,}", said)
        assert [name for name in names if name not in script and "127" not in name] == []


def test_a_failure_is_told_with_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podman, "LOG", tmp_path / "log")
    with pytest.raises(podman.CheckError, match=r"`sh -c .* ended with status 3 \(why\)"):
        podman.run(["sh", "-c", "echo why >&2; exit 3"])
    with pytest.raises(podman.CheckError, match="took longer than 0 s"):
        podman.run(["sleep", "5"], within_s=0.1)
    assert podman.run(["cat"], text="heard") == "heard"
    assert subprocess.run(["grep", "-c", "heard", tmp_path / "log"], check=False).returncode == 0
