"""One contract for both stores of artifacts, the directory and the bucket, and the bucket's faults.

Two hosts look at each store: what one keeps, the other reads.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from cli.stack.processes import Processes
from server.bucket import BucketStore
from shared.artifacts import ArtifactError, ArtifactStore, StoreAwayError, digest, file_digest
from tests.support.bucket import Bucket, serving

pytestmark = pytest.mark.integration
ABSENT = "0" * 64
LARGE = bytes(range(256)) * (12 << 12)  # 12 MiB: a bucket takes it in several parts
HOUR = timedelta(hours=1)


@dataclass
class Hosts:
    """Two hosts' stores over the same artifacts, and hands on what lies there."""

    one: ArtifactStore
    other: ArtifactStore
    put: Callable[[str, bytes], None]
    age: Callable[[str], None] | None  # a bucket's times are its own


@pytest.fixture(scope="module")
def bucket(processes: Processes, server_directory: Path) -> Iterator[Bucket]:
    with serving(processes, server_directory / "s3.log") as found:
        yield found


@pytest.fixture
def stores(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], BucketStore]:
    """Makes hosts that share a bucket of their own prefix."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    bucket.url = f"s3://tapestry/{tmp_path.name}"
    return lambda host: BucketStore(bucket.url, tmp_path / host, 1 << 30)


@pytest.fixture(params=["directory", "bucket"])
def hosts(request: pytest.FixtureRequest, tmp_path: Path) -> Hosts:
    if request.param == "bucket":
        made = request.getfixturevalue("stores")
        return Hosts(made("one"), made("other"), request.getfixturevalue("bucket").put, None)
    one = ArtifactStore(tmp_path)

    def age(sha256: str) -> None:
        long_ago = time.time() - 7200
        os.utime(one.path(sha256), (long_ago, long_ago))

    def put(sha256: str, data: bytes) -> None:
        one.path(sha256).write_bytes(data)

    return Hosts(one, ArtifactStore(tmp_path), put, age)


def parts(store: ArtifactStore) -> list[Path]:
    return list((store.root / "parts").iterdir())


@pytest.mark.parametrize("data", [b"some bytes", LARGE])
def test_what_one_host_keeps_another_reads(hosts: Hosts, data: bytes) -> None:
    sha = hosts.one.write(data[at : at + (1 << 20)] for at in range(0, len(data), 1 << 20))
    assert sha == digest([data])
    for store in (hosts.other, hosts.one):
        assert store.has(sha)
        assert store.size(sha) == len(data)
        assert b"".join(store.read(sha)) == data
        store.bring([sha])
        assert store.open_path(sha).read_bytes() == data == store.path(sha).read_bytes()
        assert sha in store.place(sha)
        assert store.lacking([sha, ABSENT]) == [ABSENT]
        assert parts(store) == []


def test_what_is_not_there_is_said(hosts: Hosts) -> None:
    assert not hosts.one.has(ABSENT)
    assert hosts.one.size(ABSENT) is None
    with pytest.raises(ArtifactError, match=ABSENT):
        hosts.one.open_path(ABSENT)
    with pytest.raises(ArtifactError, match=ABSENT):
        hosts.one.bring([ABSENT])
    with pytest.raises(FileNotFoundError):
        list(hosts.one.read(ABSENT))


def test_bytes_of_another_name_are_not_kept(hosts: Hosts) -> None:
    with pytest.raises(ArtifactError, match="arrived as"):
        hosts.one.write([b"other"], ABSENT)
    assert hosts.one.lacking([ABSENT, digest([b"other"])]) == [ABSENT, digest([b"other"])]
    assert parts(hosts.one) == []


def test_what_was_not_written_whole_is_not_there(hosts: Hosts) -> None:
    def broken() -> Iterator[bytes]:
        yield LARGE
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        hosts.one.write(broken())
    assert not hosts.other.has(digest([LARGE]))
    assert parts(hosts.one) == []


def test_a_damaged_artifact_is_noticed_and_mended_by_keeping_it_again(hosts: Hosts) -> None:
    sha = hosts.one.write([b"whole"])
    hosts.put(sha, b"whale")
    assert digest(hosts.other.read(sha)) != sha
    assert hosts.one.write([b"whole"]) == sha
    assert digest(hosts.other.read(sha)) == sha


def test_many_may_keep_the_same_at_once(hosts: Hosts) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda s=store: found.append(s.write([LARGE])))
        for store in (hosts.one, hosts.other) * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [digest([LARGE])] * 4
    assert digest(hosts.one.read(found[0])) == found[0]


def test_what_another_process_wrote_below_the_root_is_handed_over(hosts: Hosts) -> None:
    child = ArtifactStore(hosts.one.root)  # as the averaging process has it
    sha = child.write([b"an average"])
    hosts.one.hand_over(sha)
    assert hosts.other.open_path(sha).read_bytes() == b"an average"


def test_what_is_removed_is_gone_for_all(hosts: Hosts) -> None:
    sha = hosts.one.write([b"not needed"])
    for _ in range(2):
        hosts.other.remove(sha)
        assert not hosts.one.has(sha)
    assert hosts.one.size(sha) is None


def test_a_shelf_has_what_is_older(hosts: Hosts) -> None:
    names = [hosts.one.write([bytes([n])]) for n in range(3)]
    shelf = names[0][:2]
    stray = shelf + "not-a-sha"
    hosts.put(stray, b"somebody's notes")
    on_shelf = sorted(name for name in names if name.startswith(shelf))
    assert hosts.other.older(shelf, timedelta(0)) == on_shelf
    assert hosts.other.older(shelf, HOUR) == []
    if hosts.age is not None:
        hosts.age(names[0])
        assert hosts.other.older(shelf, HOUR) == [names[0]]
    hosts.one.remove(names[0])
    assert names[0] not in hosts.other.older(shelf, timedelta(0))


# What only a bucket has: a copy on each host, and a server that may be away.

Stores = Callable[[str], BucketStore]


def test_a_damaged_object_becomes_no_copy(stores: Stores, bucket: Bucket) -> None:
    sha = stores("one").write([b"whole"])
    bucket.put(sha, b"whale")
    other = stores("other")
    with pytest.raises(ArtifactError, match="arrived as"):
        other.open_path(sha)
    assert not other.path(sha).exists()
    assert parts(other) == []


def test_a_damaged_copy_is_fetched_again(stores: Stores) -> None:
    store = stores("one")
    sha = store.write([b"whole"])
    store.path(sha).write_bytes(b"whale")
    again = stores("one")
    assert file_digest(again.open_path(sha)) == sha


def test_copies_go_where_they_are_too_many_but_not_those_in_use(
    stores: Stores, bucket: Bucket, tmp_path: Path
) -> None:
    store = stores("one")
    names = [store.write([bytes([n]) * 1000]) for n in range(3)]
    for at, name in enumerate(names[:2]):
        os.utime(store.path(name), (at, at))
    small = BucketStore(bucket.url, tmp_path / "one", 2000)
    small.trim()
    assert [store.path(name).exists() for name in names] == [False, True, True]
    BucketStore(bucket.url, tmp_path / "one", 0).trim()
    assert [store.path(name).exists() for name in names] == [False, False, True]
    assert store.lacking(names) == []
    small.bring(names)
    assert all(store.path(name).exists() for name in names)


def test_a_bucket_that_is_away_in_the_middle_of_a_put(stores: Stores, bucket: Bucket) -> None:
    store, sha = stores("one"), digest([LARGE])
    store.check_answers()
    bucket.stand_alone()
    bucket.link.tear_after = 2 << 20
    with pytest.raises(StoreAwayError, match="does not answer"):
        store.write([LARGE])
    assert bucket.get(sha) is None
    assert parts(store) == []
    assert not store.path(sha).exists()
    bucket.come_back()
    assert store.write([LARGE]) == sha
    assert bucket.get(sha) == LARGE


def test_a_put_that_one_cut_interrupts_is_repeated(stores: Stores, bucket: Bucket) -> None:
    store = stores("one")
    store.check_answers()
    bucket.link.tear_after, torn = 2 << 20, bucket.link.hits
    sha = store.write([LARGE])
    assert bucket.link.hits == torn + 1
    assert bucket.get(sha) == LARGE


def test_a_bucket_that_is_away_in_the_middle_of_a_get(stores: Stores, bucket: Bucket) -> None:
    sha = stores("one").write([LARGE])
    other = stores("other")
    pieces = other.read(sha)
    assert LARGE.startswith(next(pieces))
    bucket.go_away()
    with pytest.raises(StoreAwayError):
        next(pieces)
    for ask in (other.has, other.size, other.open_path, other.remove, lambda s: other.lacking([s])):
        with pytest.raises(StoreAwayError):
            ask(sha)
    with pytest.raises(StoreAwayError):
        other.check_answers()
    assert parts(other) == []
    bucket.come_back()
    assert other.open_path(sha).read_bytes() == LARGE


def test_a_bucket_that_is_silent_does_not_answer(stores: Stores, bucket: Bucket) -> None:
    store = stores("one")
    store.check_answers()
    bucket.hold_answers()
    try:
        with pytest.raises(StoreAwayError):
            store.has(ABSENT)
    finally:
        bucket.let_answers()
    assert not store.has(ABSENT)


def test_a_bucket_that_is_not_there_does_not_answer(stores: Stores, tmp_path: Path) -> None:
    stores("one").check_answers()
    with pytest.raises(StoreAwayError, match="NoSuchBucket"):
        BucketStore("s3://another", tmp_path, 0).check_answers()
