"""Fashion-MNIST's package, unpacked by processes that do not know of each other."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import ModuleType

import pytest

from tests.support.bench_paper import script

pytestmark = pytest.mark.unit


@pytest.fixture
def fashion() -> Iterator[ModuleType]:
    with script("fashion") as found:
        yield found


def test_two_who_unpack_it_at_once_both_have_it(
    fashion: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_unpacked = Barrier(2, timeout=30)

    def unpack(_: list[str], folder: Path) -> None:
        inside = folder / "out" / "usr" / "share" / "datasets" / "fashion-mnist"
        inside.mkdir(parents=True)
        (inside / "labels").write_text("all of it")
        both_unpacked.wait()

    monkeypatch.setattr(fashion, "_file", lambda *_: tmp_path / "package.deb")
    monkeypatch.setattr(fashion, "_run", unpack)
    with ThreadPoolExecutor(2) as pool:
        places = list(pool.map(fashion.obtain, [tmp_path / "packages"] * 2))
    assert places[0] == places[1]
    assert (places[0] / "labels").read_text() == "all of it"
    assert not list((tmp_path / "packages").glob(".download-*"))
