"""Which part may import what: over the sources, transitively, and in a fresh interpreter.

Imports inside functions and those for the type checker count too. Third-party packages are not
followed through their sources; what they pull in shows in the fresh interpreter.
"""

import ast
import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
OURS = ("cli", "migrations", "scripts", "server", "shared", "worker")
Graph = Mapping[str, frozenset[str]]

METRICS = {"nltk", "torchmetrics"}  # loaded by the first evaluation that needs them
LEARNING = METRICS | {
    "torch", "transformers", "peft", "tokenizers", "accelerate", "huggingface_hub",
}  # fmt: skip
SERVING = {"sqlalchemy", "alembic", "psycopg", "fastapi", "starlette", "uvicorn"}
NEVER = {
    "server": LEARNING | {"worker", "cli", "typer", "rich"},
    "migrations": LEARNING | {"worker", "cli"},
    "worker": SERVING | {"server", "migrations", "cli", "typer", "rich"},
    "shared": LEARNING | SERVING | {"server", "worker", "cli", "migrations", "celery", "numpy"},
    "cli": LEARNING
    | SERVING
    | {"server", "worker", "migrations", "celery", "numpy", "safetensors"},
    "scripts": LEARNING | SERVING | {"server", "worker", "celery", "numpy"},
}
SHARED_USES = {"pydantic", "pydantic_core", "yaml", "httpx", "shared"}
WATCHING = {"prometheus_client", "opentelemetry"}  # loaded by processes that are watched
STANDARD_LIBRARY_ALONE = (
    "scripts.compose_health",
    "scripts.environment",
    "scripts.requirements",
    "cli.stack.guard",
    "cli.stack.reaper",
)
# What processes start from (`python -m ...`), and what must not be loaded once they have.
ENTRANCES = {
    ("server.main", "server.background", "server.migrate", "server.admin"): LEARNING
    | {"worker", "opentelemetry.exporter"},  # redis loads the SDK where it is installed
    ("server.aggregation.child",): LEARNING | SERVING | {"worker", "celery"},
    # its trainer loads what learns; traces only where they are asked for
    ("worker.__main__",): SERVING | LEARNING | {"server", "numpy", "opentelemetry"},
    ("worker.assignments", "worker.doctor.__main__"): SERVING | METRICS | {"server"},
    ("worker.shelf.__main__",): SERVING | LEARNING | {"server", "opentelemetry"},
    ("worker.takeaway.__main__",): SERVING | METRICS | {"server"},
    ("cli.main",): LEARNING
    | SERVING
    | WATCHING
    | {"mlflow"}
    | {"server", "worker", "celery", "numpy"},
}


def modules(root: Path, packages: Iterable[str]) -> dict[str, Path]:
    """All modules below the packages by name; a package is its `__init__`."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def graph(root: Path, packages: Iterable[str] = OURS) -> Graph:
    """What each module of ours imports, its parent packages included."""
    files = modules(root, packages)
    return {name: frozenset(_imports(name, path, files)) - {name} for name, path in files.items()}


def _imports(name: str, path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    yield from _parents(name)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        for target in _targets(node, package, files):
            yield target
            yield from _parents(target)


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


def _targets(node: ast.AST, package: str, files: Mapping[str, Path]) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            base = _absolute(module or "", package, level)
            yield base
            yield from (n for alias in names if (n := f"{base}.{alias.name}") in files)
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(module)), *_],
        ):
            yield module


def _absolute(module: str, package: str, level: int) -> str:
    if level == 0:
        return module
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])


def chains(imports: Graph, start: str) -> dict[str, list[str]]:
    """Everything reachable from a module, with the shortest chain of imports to it."""
    found = {start: [start]}
    waiting = deque([start])
    while waiting:
        module = waiting.popleft()
        for target in sorted(imports.get(module, ())):
            if target not in found:
                found[target] = [*found[module], target]
                waiting.append(target)
    return found


def violations(imports: Graph, start: str, never: Iterable[str]) -> list[str]:
    """The chains by which a module reaches what it must not."""
    forbidden = set(never)
    return [
        " imports ".join(chain)
        for target, chain in chains(imports, start).items()
        if forbidden & {target, *_parents(target)} and not forbidden & {*_heads(chain[:-1])}
    ]


def _heads(chain: Iterable[str]) -> Iterator[str]:
    for module in chain:
        yield module
        yield from _parents(module)


def top(module: str) -> str:
    return module.partition(".")[0]


REAL = graph(ROOT)


@pytest.mark.parametrize("package", NEVER)
def test_nothing_reaches_what_its_part_must_not_import(package: str) -> None:
    starts = [module for module in REAL if top(module) == package]
    assert starts
    found = [line for start in starts for line in violations(REAL, start, NEVER[package])]
    assert not found, "\n".join(found)


def test_shared_needs_only_the_standard_library_and_four_packages() -> None:
    used = {top(target) for name in REAL if top(name) == "shared" for target in REAL[name]}
    assert used - SHARED_USES - WATCHING - sys.stdlib_module_names == set()


@pytest.mark.parametrize("module", STANDARD_LIBRARY_ALONE)
def test_scripts_that_run_anywhere_need_the_standard_library_alone(module: str) -> None:
    parents = set(_parents(module))
    assert {t for t in REAL[module] - parents if top(t) not in sys.stdlib_module_names} == set()


def test_every_process_of_the_server_and_the_worker_is_checked() -> None:
    runnable = {
        name
        for name, path in modules(ROOT, ("server", "worker")).items()
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert runnable <= {entrance for entrances in ENTRANCES for entrance in entrances}


@pytest.mark.parametrize("entrances", ENTRANCES)
def test_processes_have_not_loaded_what_they_must_not(entrances: tuple[str, ...]) -> None:
    code = f"import json, sys, {', '.join(entrances)}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert set(entrances) <= set(loaded)
    never = ENTRANCES[entrances]
    assert [name for name in loaded if never & {name, *_parents(name)}] == []


@pytest.mark.parametrize(
    "source",
    [
        "import torch",
        "import torch.nn as nn",
        "from torch import nn",
        "def later():\n    import torch",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
        "import importlib\nimportlib.import_module('torch.nn')",
        "from importlib import import_module\nimport_module('torch')",
        "__import__('torch')",
        "from part import helper",
        "from part.helper import value",
        "from . import helper",
        "from .helper import value",
        "import part.helper",
        "from .deep.below import value",
    ],
)
def test_the_check_finds_every_way_to_import(tmp_path: Path, source: str) -> None:
    part = tmp_path / "part"
    (part / "deep").mkdir(parents=True)
    (part / "__init__.py").write_text("")
    (part / "deep" / "__init__.py").write_text("from .. import helper")
    (part / "deep" / "below.py").write_text("value = 1")
    (part / "helper.py").write_text("def value():\n    from torch import nn")
    (part / "start.py").write_text(source)
    (found, *_) = violations(graph(tmp_path, ["part"]), "part.start", {"torch"})
    assert found.startswith("part.start imports ")
    assert "torch" in found


def test_the_check_lets_pass_what_is_no_import(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "start.py").write_text("'import torch'\nx = 'torch'\nimport torchless")
    assert violations(graph(tmp_path, ["part"]), "part.start", {"torch"}) == []
