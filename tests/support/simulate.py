"""examples/simulate.py as a module, for tests."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def load_simulate() -> Iterator[ModuleType]:
    """The module, while it is wanted."""
    path = Path(__file__).parents[2] / "examples" / "simulate.py"
    found = importlib.util.spec_from_file_location("simulate", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["simulate"] = module
    found.loader.exec_module(module)
    try:
        yield module
    finally:
        del sys.modules["simulate"]
