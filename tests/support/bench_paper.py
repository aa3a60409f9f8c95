"""Imports of bench/paper's scripts, which are no package, as their own commands see them."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "bench" / "paper"
_NEIGHBOURS = ("examples", "examples/demo", "examples/pretraining")  # as paper.py has them


@contextmanager
def script(name: str) -> Iterator[ModuleType]:
    """A script as a module; afterwards nothing of its folder is imported, nor of its neighbours."""
    folders = [FOLDER, *(ROOT / folder for folder in _NEIGHBOURS)]
    before = list(sys.path)
    sys.path[:0] = map(str, folders)
    try:
        yield importlib.import_module(name)
    finally:
        sys.path[:] = before
        for folder in folders:
            for path in folder.glob("*.py"):
                sys.modules.pop(path.stem, None)
