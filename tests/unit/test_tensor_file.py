import errno
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from shared.artifacts import ArtifactError, ArtifactStore, file_digest
from shared.messages import TensorSpec
from shared.tensor_file import layout
from worker.artifacts import component_spec, load_component, save_component

pytestmark = pytest.mark.unit

TENSORS = {"b": torch.arange(6.0).view(2, 3), "a.weight": torch.tensor([-1.5]), "c": torch.ones(0)}


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def test_a_component_is_a_safetensors_file(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    sha = save_component(store, TENSORS)
    read = safetensors.numpy.load(store.path(sha).read_bytes())
    assert {n: v.tolist() for n, v in read.items()} == {n: v.tolist() for n, v in TENSORS.items()}
    back = load_component(store.path(sha), component_spec(TENSORS))
    assert all(torch.equal(back[name], TENSORS[name]) for name in TENSORS)


def test_the_order_of_tensors_does_not_matter(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    assert save_component(store, TENSORS) == save_component(store, dict(reversed(TENSORS.items())))


def test_the_layout_says_where_each_tensor_lies() -> None:
    places = layout({"x": TensorSpec(shape=(2,)), "a": TensorSpec(shape=(3, 1))})
    assert len(places.header) % 8 == 0
    assert places.offsets == {"a": len(places.header), "x": len(places.header) + 12}
    assert places.n_bytes == len(places.header) + 20


def test_another_shape_is_refused(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    path = store.path(save_component(store, TENSORS))
    with pytest.raises(ArtifactError, match="has other tensors"):
        load_component(path, component_spec({**TENSORS, "b": torch.zeros(3, 2)}))


def test_bytes_that_are_not_what_their_name_says_are_not_kept(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    with pytest.raises(ArtifactError, match="arrived as"):
        store.write([b"other"], "0" * 64)
    assert not store.has("0" * 64)
    assert not list((tmp_path / "parts").iterdir())


def test_a_cache_notices_a_file_that_a_power_cut_has_damaged(tmp_path: Path) -> None:
    sha = ArtifactStore(tmp_path, durable=False).write([b"whole"])
    cache = ArtifactStore(tmp_path, durable=False)
    cache.path(sha).write_bytes(b"wh")
    assert cache.missing([sha, sha]) == [sha]
    assert not cache.has(sha)
    cache.write([b"whole"], sha)
    assert cache.missing([sha]) == []


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    def broken() -> "np.typing.NDArray[np.float32]":
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        store.write(bytes(broken()) for _ in range(1))
    assert not list((tmp_path / "parts").iterdir())


def test_a_full_disk_does_not_hide_that_it_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtifactStore(tmp_path)

    def full(_: int) -> None:
        store.read_only = True  # another thread's fsync has just failed
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.write([b"abc"])
    assert store.read_only


def test_an_artifact_is_named_by_its_bytes(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    sha = store.write([b"one", b"two"])
    assert file_digest(store.path(sha)) == sha
    with pytest.raises(ArtifactError, match="is not in"):
        store.open_path("f" * 64)
