"""Artifacts come one by one, in ranges, or as one stream."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from shared.api_client import ApiClient
from shared.artifacts import ArtifactError, ArtifactStore
from shared.transport import ApiError
from tests.support.scripted import Json, World, sha

pytestmark = pytest.mark.integration


@pytest.fixture
def claim(pair: World) -> Json:
    """A training assignment of c1."""
    pair.plan(pair.launch())
    claim = pair.clients["c1"].claim()
    assert claim is not None
    return claim


def test_artifacts_come_whole_or_in_ranges(pair: World, claim: Json) -> None:
    caller = pair.clients["c1"]
    path = f"/v1/artifacts/{claim['manifest']['proj']}"
    whole = caller("GET", path)
    assert sha(whole.content) == claim["manifest"]["proj"]
    assert "immutable" in whole.headers["Cache-Control"]
    assert int(caller("HEAD", path).headers["Content-Length"]) == len(whole.content)
    part = caller("GET", path, headers={"Range": "bytes=8-15"})
    assert (part.status_code, part.content) == (206, whole.content[8:16])
    for bad in ("bytes=9999-", "lines=1-2", "bytes=5-2", "bytes=-", "bytes=0-1,3-4"):
        answer = caller("GET", path, headers={"Range": bad})
        assert (answer.status_code, answer.json()["code"]) == (416, "wrong_range"), bad


def test_a_bundle_is_the_files_one_after_the_other(pair: World, claim: Json) -> None:
    caller = pair.clients["c1"]
    wanted = sorted(set(claim["manifest"].values()))
    assert len(wanted) > 3
    files = [caller("GET", f"/v1/artifacts/{name}").content for name in wanted]
    answer = caller("POST", "/v1/artifacts:bundle", json={"sha256": wanted})
    assert answer.content == b"".join(files)
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_a_bundle_may_be_of_as_many_as_it_says(pair: World) -> None:
    names = [f"{number:064x}" for number in range(10_000)]
    answer = pair.clients["c1"]("POST", "/v1/artifacts:bundle", json={"sha256": names})
    assert answer.json()["code"] == "not_found", "and is not too large"


def test_one_artifact_that_is_not_there_refuses_the_bundle(pair: World, claim: Json) -> None:
    wanted = [claim["manifest"]["proj"], "0" * 64]
    for caller in (pair.clients["c1"], pair.operator):
        answer = caller("POST", "/v1/artifacts:bundle", json={"sha256": wanted})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert pair.operator("POST", "/v1/artifacts:bundle", json={"sha256": []}).status_code == 422


FILES = [b"first" * 1000, b"second" * 1000, b"third" * 1000]
BREAK_AT = len(FILES[0]) + 100


class _Breaking(BaseHTTPRequestHandler):
    """Breaks the first stream off within its second file; remembers what was asked for."""

    asked: list[bytes] = []  # noqa: RUF012  # one for the class

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(body)
        content = b"".join(data for data in FILES if sha(data).encode() in body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:BREAK_AT] if len(self.asked) == 1 else content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def breaking() -> Iterator[str]:
    _Breaking.asked = []
    server = HTTPServer(("127.0.0.1", 0), _Breaking)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_broken_stream_goes_on_with_the_file_under_way(breaking: str, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    sizes = {sha(data): len(data) for data in FILES}

    def keep(sha256: str, chunks: Iterator[bytes]) -> None:
        store.write(chunks, sha256)

    with ApiClient(breaking, "key") as api:
        api.download(sizes, keep)
    assert store.missing(sizes) == []
    assert [sha(FILES[0]).encode() in body for body in _Breaking.asked] == [True, False]
    assert list((tmp_path / "parts").iterdir()) == []


def test_bytes_that_are_not_their_name_are_said_to_be(breaking: str, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    sizes = {sha(FILES[0]): len(FILES[0]) - 1, sha(FILES[1]): len(FILES[1]) + 1}
    with ApiClient(breaking, "key") as api, pytest.raises((ArtifactError, ApiError)):
        api.download(sizes, lambda name, chunks: void(store.write(chunks, name)))
    assert list((tmp_path / "parts").iterdir()) == []


def void(_: object) -> None:
    """Drop a value."""
