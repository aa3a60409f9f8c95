"""Imports of bench/paper's scripts, which are no package, as their own commands see them."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "bench" / "paper"


@contextmanager
def script(name: str) -> Iterator[ModuleType]:
    """A script as a module; afterwards nothing of its folder is imported."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
        for path in FOLDER.glob("*.py"):
            sys.modules.pop(path.stem, None)
