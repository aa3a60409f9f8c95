"""A client and the shelf of the real API over HTTP: putting, getting back, and what goes wrong."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore
from shared.shelf import ShelfItem
from shared.shelf_spec import ShelfForm, key_file
from tests.support.scripted import World, offer
from tests.support.serving import served
from tests.support.shelf import bytes_of, two_states
from worker.attempt import Member
from worker.data.client_file import ClientFile
from worker.personal_files import PersonalFiles
from worker.shelf.errors import ShelfError
from worker.shelf.keys import ShelfKey
from worker.shelf.notes import ShelfNotes
from worker.shelf.putting import Shelving
from worker.shelf.restoring import get, put
from worker.shelf.sealing import Owner
from worker.workplace import Workplace

pytestmark = pytest.mark.integration

ENCRYPTED, PLAIN = ShelfForm.ENCRYPTED, ShelfForm.PLAIN
N_BYTES = 700_000  # of a component: the model has more than one piece


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world.http.app, lifespan="off") as found:
        yield found


class Home:
    """The machine of client c1 when stage two of a job is accepted."""

    def __init__(self, world: World, url: str, root: Path, form: ShelfForm) -> None:
        world.add_client("c1", {**offer(), "shelf": form})
        world.add_client("c2", offer())
        self.world = world
        self.job = UUID(world.launch(shelf="plain"))
        self.api = ApiClient(url, world.clients["c1"].key, patience_s=1)
        self.work_dir = root / "work"
        self.place = self.place_in(self.work_dir)
        directory = self.work_dir / "personal" / "c1" / str(self.job)
        self.files, self.states = two_states(directory, N_BYTES)
        world.plan(str(self.job))
        world.train("c1", 1.0, state=self.states[0])
        self.place.note_for_shelf(self.job, PLAIN)

    def place_in(self, work_dir: Path) -> Workplace:
        form = ENCRYPTED if self.world_allows() == "encrypted" else PLAIN
        file = ClientFile.model_validate({"client": "c1", "tasks": _TASKS, "shelf": form})
        return Workplace("c1", ArtifactStore(work_dir / "cache", durable=False), work_dir, file)

    def world_allows(self) -> str:
        client = self.world.viewer.ok("GET", "/v1/clients/c1")
        return str(client["offer"]["shelf"])

    @property
    def owner(self) -> Owner:
        return Owner(self.job, "c1", key_file(self.work_dir, "c1"))

    @property
    def notes(self) -> ShelfNotes:
        return self.place.shelf

    @property
    def item(self) -> ShelfItem | None:
        (row,) = self.api.shelf(self.job).items
        return row.item

    def turn(self, api: ApiClient | None = None) -> bool:
        member = Member(api or self.api, self.place)
        return Shelving({"c1": member}, lambda name: key_file(self.work_dir, name)).turn()


_TASKS = {
    "digits": {
        "kind": "image_classification", "modalities": ["image"], "classes": ["a", "b"],
        "data": "digits.jsonl",
    }
}  # fmt: skip


@pytest.fixture(params=[ENCRYPTED, PLAIN])
def home(world: World, url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Home]:
    made = Home(world, url, tmp_path, request.param)
    with made.api:
        yield made


@pytest.fixture
def secret(world: World, url: str, tmp_path: Path) -> Iterator[Home]:
    """The home of a client that allows encrypted models only."""
    made = Home(world, url, tmp_path, ENCRYPTED)
    with made.api:
        yield made


def restored(home: Home, new: Path) -> PersonalFiles:
    get(home.owner, new, home.api)
    return PersonalFiles(new / "personal" / "c1" / str(home.job))


def test_a_noted_model_is_put_there_and_comes_back_on_an_empty_machine(
    home: Home, tmp_path: Path
) -> None:
    assert home.turn()
    assert list(home.notes.waiting()) == []
    assert list((home.work_dir / "shelf" / "c1").iterdir()) == []
    assert home.item is not None
    assert home.item.current
    new = tmp_path / "new"
    files = restored(home, new)
    assert files.accepted() == home.states
    assert bytes_of(files) == bytes_of(home.files)
    assert all(files.holds(state) for state in home.states)
    assert {path.name for path in new.iterdir()} == {"personal", "tmp"}
    assert list((new / "tmp").iterdir()) == []
    assert home.turn(), "nothing is left to do"


def test_the_server_has_nothing_of_an_encrypted_model(secret: Home) -> None:
    assert secret.turn()
    assert secret.item is not None
    data = secret.world.context.store.path(secret.item.sha256).read_bytes()
    for content in (*bytes_of(secret.files).values(), b"personal", b'"states"'):
        assert content[:40] not in data
    everything = b"".join(
        path.read_bytes() for path in secret.world.context.store.root.rglob("*") if path.is_file()
    )
    assert ShelfKey.read(secret.owner.key_file).secret not in everything


def test_getting_it_where_it_is_changes_nothing(home: Home) -> None:
    home.turn()
    before = bytes_of(home.files)
    assert bytes_of(restored(home, home.work_dir)) == before
    assert home.files.accepted() == home.states


def test_a_damaged_state_is_mended(home: Home) -> None:
    home.turn()
    home.files.store.path(home.states[0]).write_bytes(b"damaged")
    assert restored(home, home.work_dir).holds(home.states[0])


def test_while_the_server_is_away_it_waits_and_is_not_encrypted_anew(secret: Home) -> None:
    with ApiClient("http://127.0.0.1:1", "none", patience_s=0) as away:
        assert not secret.turn(away)
    (note,) = secret.notes.waiting()
    assert note.sealed is not None
    assert secret.turn()
    assert secret.item is not None
    assert secret.item.sha256 == note.sealed.sha256


def test_a_full_server_is_tried_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full:
        usage = type("Usage", (), {"free": 10})
        full.setattr("server.storage.shutil.disk_usage", lambda _: usage)
        assert not home.turn()
    assert home.item is None
    assert home.turn()
    assert home.item is not None


def test_an_upload_that_broke_off_goes_on(secret: Home) -> None:
    with ApiClient("http://127.0.0.1:1", "none", patience_s=0) as away:
        secret.turn(away)
    (note,) = secret.notes.waiting()
    assert note.sealed is not None
    whole = secret.notes.sealed_file(secret.job).read_bytes()
    caller, address = secret.world.clients["c1"], f"/v1/jobs/{secret.job}/shelf"
    view = caller.ok("POST", address, json=note.sealed.model_dump(mode="json"))
    headers = {"Upload-Offset": "0"}
    half = len(whole) // 2
    caller("PATCH", f"{address}/{view['id']}", content=whole[:half], headers=headers)
    received = []
    send = secret.api._http.patch

    def patch(path: str, **more: Any) -> object:
        received.append(more["headers"])
        return send(path, **more)

    secret.api._http.patch = patch  # type: ignore[method-assign, assignment]  # listens
    assert secret.turn()
    assert [each["Upload-Offset"] for each in received] == [str(half)]


def test_a_sealed_file_that_this_disk_has_damaged_is_made_anew(home: Home) -> None:
    with ApiClient("http://127.0.0.1:1", "none", patience_s=0) as away:
        home.turn(away)
    path = home.notes.sealed_file(home.job)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert not home.turn()
    assert home.item is None
    assert home.turn()
    assert home.item is not None


def test_what_the_server_will_never_take_is_given_up(home: Home) -> None:
    home.world.context.settings.shelf_model_bytes = 1000
    assert home.turn()
    assert list(home.notes.waiting()) == []
    home.place.shelf.add(UUID(int=1), PLAIN, home.states)
    assert home.turn(), "there is no such job"


def test_a_model_that_is_gone_from_the_disk_is_given_up(home: Home) -> None:
    home.files.store.path(home.states[0]).unlink()
    assert home.turn()
    assert list(home.notes.waiting()) == []
    assert home.item is None


def test_a_note_that_cannot_be_read_is_dropped(home: Home) -> None:
    (path,) = (home.work_dir / "shelf" / "c1").glob("*.json")
    path.write_text("{")
    assert home.turn()
    assert not path.exists()


def test_a_lost_or_wrong_key_is_one_sentence_and_nothing_is_written(
    secret: Home, tmp_path: Path
) -> None:
    secret.turn()
    lost = replace(secret.owner, key_file=tmp_path / "lost.key")
    with pytest.raises(ShelfError, match=r"lost.key cannot be read .* without it nobody"):
        get(lost, tmp_path / "new", secret.api)
    ShelfKey.make(tmp_path / "other.key")
    other = replace(secret.owner, key_file=tmp_path / "other.key")
    with pytest.raises(ShelfError, match="name the right file by --shelf-key"):
        get(other, tmp_path / "new", secret.api)
    assert [path for path in (tmp_path / "new").rglob("*") if path.is_file()] == []


def test_bytes_that_were_damaged_at_the_server_are_no_model(home: Home, tmp_path: Path) -> None:
    home.turn()
    assert home.item is not None
    path = home.world.context.store.path(home.item.sha256)
    whole = path.read_bytes()
    for n, damaged in enumerate((whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b"")):
        path.write_bytes(damaged)
        with pytest.raises(Exception, match=r"not those that were put|Ask for one range"):
            get(home.owner, tmp_path / f"new{n}", home.api)
        assert [p for p in (tmp_path / f"new{n}").rglob("*") if p.is_file()] == []
    path.write_bytes(whole)


def test_a_server_that_changes_bytes_and_hash_is_found_out(secret: Home, tmp_path: Path) -> None:
    """With a key that it does not have it can neither change nor exchange a model."""
    secret.turn()
    other = Home.__new__(Home)
    other.__dict__.update(secret.__dict__)
    other.job = UUID(secret.world.launch(shelf="encrypted"))
    assert secret.item is not None
    store = secret.world.context.store
    data = bytearray(store.path(secret.item.sha256).read_bytes())
    _exchange(secret.world, other.job, secret.item)
    with pytest.raises(ShelfError, match="put there for another job or client"):
        get(other.owner, tmp_path / "a", secret.api)
    data[len(data) // 2] ^= 4
    changed = store.write([bytes(data)])
    statement = "UPDATE shelf_models SET sha256 = :s WHERE job_id = :j"
    secret.world.execute(statement, s=changed, j=secret.job)
    with pytest.raises(ShelfError, match="is damaged"):
        get(secret.owner, tmp_path / "b", secret.api)


def _exchange(world: World, job: UUID, item: ShelfItem) -> None:
    """Show the model of one job on the shelf of another one."""
    world.execute(
        "INSERT INTO shelf_models (id, job_id, client_id, form, sha256, n_bytes, state_digest, "
        "completed_at) SELECT gen_random_uuid(), :j, client_id, form, sha256, n_bytes, "
        "state_digest, now() FROM shelf_models WHERE id = :i",
        j=job,
        i=item.id,
    )


def test_a_download_goes_on_where_it_broke_off(home: Home, tmp_path: Path) -> None:
    home.turn()
    assert home.item is not None
    whole = home.world.context.store.path(home.item.sha256).read_bytes()
    for there in (whole[:1000], whole):
        (tmp_path / "part").write_bytes(there)
        home.api.get_from_shelf(home.job, home.item, tmp_path / "part")
        assert (tmp_path / "part").read_bytes() == whole


def test_without_a_model_there_the_reason_is_said(home: Home, tmp_path: Path) -> None:
    with pytest.raises(ShelfError, match=r"no model of client c1 .*it is to be (encrypted|plain)"):
        get(home.owner, tmp_path / "new", home.api)
    without = replace(home.owner, job=UUID(home.world.launch()))
    with pytest.raises(ShelfError, match="asks for no personal models"):
        get(without, tmp_path / "new", home.api)
    assert not (tmp_path / "new").exists()


def test_it_can_be_put_there_by_hand_in_the_middle_of_a_job(home: Home) -> None:
    row = put(home.owner, ENCRYPTED, home.work_dir, home.api)
    assert row.item is not None
    assert (row.item.form, row.item.current) == (ENCRYPTED, True)
    assert list((home.work_dir / "tmp").iterdir()) == []
    with pytest.raises(ShelfError, match="the client file says shelf: none"):
        put(home.owner, ShelfForm.NONE, home.work_dir, home.api)
    home.api.clear_shelf(home.job)
    assert home.item is None


@pytest.mark.parametrize("allowed", ShelfForm)
@pytest.mark.parametrize("asked", ShelfForm)
def test_nothing_is_noted_but_what_job_and_client_agree_to(
    tmp_path: Path, asked: ShelfForm, allowed: ShelfForm
) -> None:
    file = ClientFile.model_validate({"client": "c1", "tasks": _TASKS, "shelf": allowed})
    cache = ArtifactStore(tmp_path / "cache", durable=False)
    place, job = Workplace("c1", cache, tmp_path, file), UUID(int=5)
    place.note_for_shelf(job, asked)
    assert list(place.shelf.waiting()) == [], "there is no personal model"
    two_states(tmp_path / "personal" / "c1" / str(job), 10)
    place.note_for_shelf(job, asked)
    order = list(ShelfForm)
    form = min(asked, allowed, key=order.index)
    assert [note.form for note in place.shelf.waiting()] == ([] if form == "none" else [form])
