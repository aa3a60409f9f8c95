"""A model on the shelf as a file: what goes in comes out, and nothing that was changed does."""

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.shelf_spec import ShelfForm, agreed
from tests.support.shelf import JOB, bytes_of, owner, state, two_states
from worker.personal_files import PersonalFiles, StateError
from worker.shelf import encrypting
from worker.shelf.encrypting import PIECE_BYTES, decrypted, encrypted
from worker.shelf.errors import ShelfError
from worker.shelf.keys import ShelfKey
from worker.shelf.sealing import Owner, seal, unseal

pytestmark = pytest.mark.unit
FORMS = (ShelfForm.PLAIN, ShelfForm.ENCRYPTED)
NONE, ENCRYPTED, PLAIN = ShelfForm.NONE, ShelfForm.ENCRYPTED, ShelfForm.PLAIN
KEY = ShelfKey(bytes(range(32)), Path("k"))
ABOUT = b"a job and a client"


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    """Pieces of 64 bytes, so that a short stream has many."""
    monkeypatch.setattr(encrypting, "PIECE_BYTES", 64)
    monkeypatch.setattr(encrypting, "_SEALED_BYTES", 64 + 17)
    return 64 + 17


def read(data: bytes, key: ShelfKey = KEY, about: bytes = ABOUT) -> bytes:
    return b"".join(decrypted(io.BytesIO(data), key, about))


@pytest.mark.parametrize("asked", ShelfForm)
@pytest.mark.parametrize("allowed", ShelfForm)
def test_the_less_open_of_what_both_say_is_the_form(asked: ShelfForm, allowed: ShelfForm) -> None:
    order = [NONE, ENCRYPTED, PLAIN]
    assert agreed(asked, allowed) is order[min(order.index(asked), order.index(allowed))]
    assert asked.allows(allowed) is (order.index(asked) >= order.index(allowed) > 0)


@given(st.lists(st.binary(max_size=5000), max_size=8))
@settings(max_examples=50)
def test_what_is_encrypted_comes_back(chunks: list[bytes]) -> None:
    assert read(b"".join(encrypted(chunks, KEY, ABOUT))) == b"".join(chunks)


@pytest.mark.parametrize("n_bytes", [0, 1, 63, 64, 65, 128, 200])
def test_any_length_around_a_piece(small_pieces: int, n_bytes: int) -> None:
    data = os.urandom(n_bytes)
    sealed = b"".join(encrypted([data], KEY, ABOUT))
    pieces = max(1, -(-n_bytes // 64))
    assert len(sealed) == 8 + 24 + n_bytes + 17 * pieces
    assert small_pieces == 81
    assert read(sealed) == data


def test_two_encryptions_of_the_same_have_nothing_in_common_but_the_keys_name() -> None:
    first, second = (b"".join(encrypted([bytes(500)], KEY, ABOUT)) for _ in range(2))
    assert first[:8] == second[:8] == KEY.id
    assert first[8:32] != second[8:32]
    assert first[32:] != second[32:]


@pytest.mark.usefixtures("small_pieces")
def test_every_flipped_bit_and_every_truncation_is_noticed() -> None:
    sealed = b"".join(encrypted([os.urandom(150)], KEY, ABOUT))
    for place in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[place] ^= 1 << bit
            with pytest.raises(ShelfError):
                read(bytes(changed))
        with pytest.raises(ShelfError, match="damaged"):
            read(sealed[:place])
    with pytest.raises(ShelfError, match="damaged"):
        read(sealed + b"x")


@pytest.mark.usefixtures("small_pieces")
def test_pieces_that_are_swapped_left_out_or_doubled_are_noticed() -> None:
    sealed = b"".join(encrypted([os.urandom(4 * 64)], KEY, ABOUT))
    head, pieces = sealed[:32], [sealed[32 + 81 * n :][:81] for n in range(4)]
    assert read(head + b"".join(pieces))
    for order in ([1, 0, 2, 3], [0, 2, 1, 3], [0, 1, 3], [0, 1, 1, 2, 3], [3], [0, 1, 2, 3, 3]):
        with pytest.raises(ShelfError, match="damaged"):
            read(head + b"".join(pieces[n] for n in order))


@pytest.mark.usefixtures("small_pieces")
def test_a_piece_of_another_stream_of_the_same_key_is_noticed() -> None:
    one, other = (b"".join(encrypted([os.urandom(128)], KEY, ABOUT)) for _ in range(2))
    with pytest.raises(ShelfError, match="damaged"):
        read(one[: 32 + 81] + other[32 + 81 :])


def test_another_key_is_named_and_another_subject_noticed() -> None:
    sealed = b"".join(encrypted([b"x"], KEY, ABOUT))
    other = ShelfKey(bytes(32), Path("mine.key"))
    said = f"encrypted with shelf key {KEY.id.hex()}, and mine.key holds {other.id.hex()}"
    with pytest.raises(ShelfError, match=said):
        read(sealed, other)
    with pytest.raises(ShelfError, match="another job or client"):
        read(sealed, about=b"another job")
    forged = other.id + sealed[8:]
    with pytest.raises(ShelfError, match="damaged"):
        read(forged, other)


def test_memory_is_flat() -> None:
    """No more than a piece is held, however long the stream is."""
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(40):
            taken += 1
            yield bytes(PIECE_BYTES // 4)

    stream = encrypted(chunks(), KEY, ABOUT)
    next(stream)
    sizes = []
    for n, piece in enumerate(stream, start=1):
        sizes.append(len(piece))
        assert taken <= 4 * (n + 1)
    assert sizes == [PIECE_BYTES + 17] * 10


@pytest.mark.parametrize("form", FORMS)
def test_states_come_back_as_they_were(tmp_path: Path, form: ShelfForm) -> None:
    files, states = two_states(tmp_path / "here")
    sealed = seal(owner(tmp_path), form, files, states, tmp_path / "model")
    assert (sealed.form, sealed.state_digest) == (form, states[0])
    assert sealed.n_bytes == (tmp_path / "model").stat().st_size
    there = PersonalFiles(tmp_path / "there")
    found = unseal(owner(tmp_path), tmp_path / "model", there)
    assert (found.job, found.client, list(found.states)) == (JOB, "c01", states)
    assert bytes_of(there) == bytes_of(files)
    assert all(there.holds(each) for each in states)
    plain = (tmp_path / "model").read_bytes()
    assert (states[0].encode() in plain) is (form is PLAIN)


def test_what_two_states_share_is_there_once(tmp_path: Path) -> None:
    files, states = two_states(tmp_path / "here", 100_000)
    both = seal(owner(tmp_path), PLAIN, files, states, tmp_path / "both").n_bytes
    final = seal(owner(tmp_path), PLAIN, files, states[:1], tmp_path / "final").n_bytes
    assert both - final < 1000


def test_a_plain_model_has_one_hash_and_an_encrypted_one_another_each_time(tmp_path: Path) -> None:
    files, states = two_states(tmp_path / "here")
    for form, n in ((PLAIN, 1), (ENCRYPTED, 2)):
        made = {seal(owner(tmp_path), form, files, states, tmp_path / "m").sha256 for _ in "ab"}
        assert len(made) == n


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), form=st.sampled_from(FORMS))
@settings(max_examples=150, deadline=None)
def test_a_changed_file_is_never_taken_for_a_model(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int, form: ShelfForm
) -> None:
    root = tmp_path_factory.mktemp("flip")
    files, states = two_states(root / "here", 200)
    seal(owner(root), form, files, states, root / "model")
    data = bytearray((root / "model").read_bytes())
    data[place % len(data)] ^= 1 << bit
    (root / "model").write_bytes(data)
    there = PersonalFiles(root / "there")
    try:
        unseal(owner(root), root / "model", there)
    except ShelfError:
        return
    kept = bytes_of(there)  # such as a flip in the header's order of states that are both there
    assert kept.items() <= bytes_of(files).items()


@pytest.mark.parametrize("form", FORMS)
def test_every_truncated_file_is_refused(tmp_path: Path, form: ShelfForm) -> None:
    files, states = two_states(tmp_path / "here", 60)
    seal(owner(tmp_path), form, files, states, tmp_path / "model")
    whole = (tmp_path / "model").read_bytes()
    for n, length in enumerate(range(0, len(whole), 7)):
        (tmp_path / "model").write_bytes(whole[:length])
        with pytest.raises(ShelfError):
            unseal(owner(tmp_path), tmp_path / "model", PersonalFiles(tmp_path / f"t{n}"))
    (tmp_path / "model").write_bytes(whole + b"\0")
    with pytest.raises(ShelfError):
        unseal(owner(tmp_path), tmp_path / "model", PersonalFiles(tmp_path / "more"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("other", [{"job": UUID(int=8)}, {"client": "c02"}])
def test_a_model_of_another_job_or_client_is_refused(
    tmp_path: Path, form: ShelfForm, other: dict[str, object]
) -> None:
    files, states = two_states(tmp_path / "here")
    mine = owner(tmp_path)
    seal(mine, form, files, states, tmp_path / "model")
    stranger = Owner(**{"job": JOB, "client": "c01", "key_file": mine.key_file, **other})  # type: ignore[arg-type]  # a row of the table
    with pytest.raises(ShelfError, match=r"another job or client|is of job"):
        unseal(stranger, tmp_path / "model", PersonalFiles(tmp_path / "there"))


@pytest.mark.parametrize(
    "data",
    [b"", b"tapestry shelf 2 plain\n", b"tapestry shelf 1 none\n", b"tapestry shelf 1 plain\n" * 2,
     b"tapestry shelf 1 plain\n\xff\xff\xff\xff", b"tapestry shelf 1 plain\n\0\0\0\2{}", b"PK\3\4"],
)  # fmt: skip
def test_what_is_no_model_is_refused_with_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model").write_bytes(data)
    with pytest.raises(ShelfError, match="no personal model of this version") as refused:
        unseal(owner(tmp_path), tmp_path / "model", PersonalFiles(tmp_path / "there"))
    assert "\n" not in str(refused.value)


def test_a_state_that_names_a_file_which_is_not_there_is_refused(tmp_path: Path) -> None:
    files, states = two_states(tmp_path / "here", 50)
    alone = seal(owner(tmp_path), PLAIN, files, states[:1], tmp_path / "model")
    text = (tmp_path / "model").read_bytes().replace(alone.state_digest.encode(), b"0" * 64)
    (tmp_path / "model").write_bytes(text)
    with pytest.raises(ShelfError):
        unseal(owner(tmp_path), tmp_path / "model", PersonalFiles(tmp_path / "there"))


def test_a_damaged_newest_state_is_not_packed_and_an_older_one_is_left_out(tmp_path: Path) -> None:
    files, states = two_states(tmp_path / "here")
    files.store.path(states[1]).write_bytes(b"damaged")
    seal(owner(tmp_path), PLAIN, files, states, tmp_path / "model")
    found = unseal(owner(tmp_path), tmp_path / "model", PersonalFiles(tmp_path / "there"))
    assert list(found.states) == states[:1]
    files.store.path(states[0]).unlink()
    with pytest.raises(StateError, match="is missing"):
        seal(owner(tmp_path), PLAIN, files, states, tmp_path / "model")


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c01.key"
    made = ShelfKey.make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert ShelfKey.read(path) == made
    with pytest.raises(FileExistsError):
        ShelfKey.make(path)
    ShelfKey.ensure(path)
    assert ShelfKey.read(path) == made
    assert [each.name for each in path.parent.iterdir()] == ["c01.key"]
    assert made.secret.hex() not in repr(made)
    assert ShelfKey.make(tmp_path / "other.key").id != made.id


@pytest.mark.parametrize(
    "content", [b"", b"tap_12345678_x", b"tapestry-shelf-key:00", b"\xff" * 999]
)
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k"
    with pytest.raises(ShelfError, match=r"cannot be read .* --shelf-key; without it nobody"):
        ShelfKey.read(path)
    path.write_bytes(content)
    with pytest.raises(ShelfError, match="holds no shelf key"):
        ShelfKey.read(path)


def test_restored_states_stand_behind_those_that_are_here(tmp_path: Path) -> None:
    files, states = two_states(tmp_path / "here")
    newer = state(files, {"personal": {"proj": b"newer"}}, 0.25)
    files.promote(newer)
    files.accept([*reversed(states), "f" * 64])
    assert files.accepted() == [newer, *states, "f" * 64]
    files.promote(states[0])  # collects what nobody knows, and keeps all these
    assert all(files.holds(each) for each in (newer, *states))
