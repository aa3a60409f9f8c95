"""The bootstrap script: what it hands to uv, when it has nothing to do, what it refuses."""

import importlib.metadata
import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.unit
SCRIPT = Path(__file__).parents[2] / "scripts" / "environment.py"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, at work in an empty directory."""
    spec = importlib.util.spec_from_file_location("environment", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("a==1\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "stamp")
    monkeypatch.setattr(module, "CONSTRAINTS", tmp_path / "constraints.txt")
    return module


def test_an_environment_is_current_until_a_file_or_the_place_changes(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not script.is_current()
    script.STAMP.write_text(script.stamp())
    assert script.is_current()
    script.CONSTRAINTS.write_text("a==2\n")
    assert not script.is_current()
    script.STAMP.write_text(script.stamp())
    monkeypatch.setattr(script, "EXTRAS", ("other",))
    assert not script.is_current()


def test_uv_gets_what_pip_is_configured_to_use(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = """:env:.find-links='/wheels/b'
global.cert='/certificate'
global.extra-index-url='file:///one file:///two'
global.find-links='/wheels/a'
freeze.timeout='10'
"""

    def listed(*_: object, **__: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess([], 0, listing, "")

    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(script.subprocess, "run", listed)
    assert script.uv_options() == [
        *("--find-links", "/wheels/b"),
        *("--index", "file:///one", "--index", "file:///two"),
        *("--index-strategy", "unsafe-best-match"),
    ]
    assert script.installer_environment()["SSL_CERT_FILE"] == "/certificate"


def test_a_full_disk_is_one_sentence(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "NEEDED_BYTES", 10**18)
    with pytest.raises(script.Missing, match="GB of free disk are needed"):
        script.check_machine()


def test_a_python_without_venv_is_one_sentence(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "NEEDED_BYTES", 0)
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(script.Missing, match="no `venv` module"):
        script.check_machine()


def test_an_old_python_is_one_sentence(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "OLDEST", (3, 99))
    with pytest.raises(script.Missing, match=r"Python 3.99 or newer is needed"):
        script.use_new_enough_python()


def test_the_pins_are_complete_and_hold_no_address() -> None:
    pins = (SCRIPT.parents[1] / "constraints.txt").read_text().splitlines()
    exact = dict(line.split("==") for line in pins if not line.startswith("#"))
    assert not any("/" in version or "+" in version for version in exact.values())
    installed = needed("tapestry-fl", {"dev", "local", "s3", "server", "worker"}, {})
    assert {
        name: version for name, version in installed.items() if exact.get(name) != version
    } == {}


def needed(name: str, extras: set[str], found: dict[str, str]) -> dict[str, str]:
    """Versions of everything that a package needs here; torch pins its CUDA packages itself."""
    for requirement in map(Requirement, importlib.metadata.requires(name) or []):
        other = canonicalize_name(requirement.name)
        contexts: list[dict[str, str]] = [{"extra": extra} for extra in extras | {""}]
        marker = requirement.marker
        if other in found or (marker and not any(map(marker.evaluate, contexts))):
            continue
        if name != "torch" or not other.startswith(("nvidia-", "cuda-", "triton")):
            found[other] = importlib.metadata.version(other).partition("+")[0]
            needed(other, requirement.extras, found)
    return found
