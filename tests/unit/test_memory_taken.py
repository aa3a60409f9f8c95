"""What counts as memory that a process takes."""

from pathlib import Path

import numpy as np
import pytest

from worker.memory import taken_bytes

pytestmark = pytest.mark.unit
N_BYTES = 64 << 20


def test_pages_of_files_do_not_count(tmp_path: Path) -> None:
    before = taken_bytes()
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=N_BYTES)
    mapped[:] = 1
    assert taken_bytes() - before < N_BYTES // 2
    kept = np.ones(N_BYTES, np.uint8)
    assert taken_bytes() - before > N_BYTES // 2
    assert len(kept) == len(mapped)
