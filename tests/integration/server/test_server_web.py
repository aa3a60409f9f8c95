"""What the page's routes answer: keys in cookies, problems as pages, files that pages load."""

import gzip
import re
from http.cookies import SimpleCookie
from importlib import resources
from pathlib import Path

import pytest
from starlette.datastructures import Headers

import server.web
from server.web.browser import cookie_name
from server.web.site import PLOTTING, address
from tests.support.html_page import Page
from tests.support.scripted import World, offer
from tests.support.signing_in import HTML, cookie, sign_in

pytestmark = pytest.mark.integration
WEB = Path(server.web.__file__).parent


def test_a_viewer_s_key_goes_into_a_cookie_that_scripts_and_other_sites_cannot_use(
    pair: World,
) -> None:
    answer = sign_in(pair, pair.viewer.key)
    assert (answer.status_code, answer.headers["location"]) == (303, "/clients")
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert morsel.value == pair.viewer.key
    assert morsel["httponly"]
    assert morsel["samesite"] == "strict"
    assert not morsel["expires"]


@pytest.mark.parametrize("kind", ["wrong", "client", "empty", "long", "binary"])
def test_what_opens_no_page_is_refused_with_the_reason(pair: World, kind: str) -> None:
    keys = {
        "wrong": "tap_00000000_nonsense",
        "client": pair.clients["c1"].key,
        "empty": "",
        "long": "x" * 5000,
        "binary": "tap_\x00_ü\ud83e",
    }
    key = keys[kind].encode("utf-8", "replace").decode()
    answer = sign_in(pair, key)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert ("sees its own work only" if kind == "client" else "no valid key") in answer.text
    assert key not in answer.text or not key


def test_a_form_of_many_fields_opens_no_page(pair: World) -> None:
    form = {"key": pair.viewer.key, **{f"other{number}": "1" for number in range(4)}}
    answer = pair.http.post("/signin", data=form)
    assert answer.status_code == 401
    assert "no valid key" in answer.text


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:1", "/\nx", "ü"],
)
def test_signing_in_leads_nowhere_else(pair: World, wanted: str) -> None:
    assert sign_in(pair, pair.viewer.key, wanted).headers["location"] == "/"
    page = pair.http.get("/signin", params={"next": wanted})
    assert 'name="next" value="/"' in page.text


def test_a_cookie_reads_and_does_nothing_else(pair: World) -> None:
    job = pair.launch()
    key = cookie(pair, pair.operator.key)
    assert pair.http.get(f"/v1/jobs/{job}", headers=key).status_code == 200
    assert pair.http.post(f"/v1/jobs/{job}/cancel", headers=key).status_code == 401
    assert pair.http.post("/v1/jobs", headers=key, json={}).status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_s_request_has_no_key(pair: World, site: str) -> None:
    headers = {**cookie(pair), "Sec-Fetch-Site": site}
    assert pair.http.get("/v1/jobs", headers=headers).status_code == 401


@pytest.mark.parametrize("name", ["tapestry_key_8001", "tapestry_key", "\x7f"])
def test_another_server_s_cookie_is_none(pair: World, name: str) -> None:
    headers = {"Cookie": f"{name}={pair.viewer.key}"}
    assert pair.http.get("/v1/jobs", headers=headers).status_code == 401


def test_what_the_browser_calls_two_servers_has_two_cookies(pair: World) -> None:
    hosts = ("127.0.0.1:8000", "127.0.0.1:8001", "tapestry.example", "[::1]:8000", "[::1]")
    names = [cookie_name(Headers({"host": host})) for host in hosts]
    assert names[:3] == ["tapestry_key_8000", "tapestry_key_8001", "tapestry_key_standard"]
    assert names[3:] == [names[0], names[2]]
    assert cookie_name(Headers({"host": "there:\xb2"})) == names[2]  # a digit that no cookie names
    tunnel = {"Host": hosts[1]}
    form = {"key": pair.viewer.key, "next": "/"}
    answer = pair.http.post("/signin", data=form, headers=tunnel, follow_redirects=False)
    assert answer.headers["set-cookie"].startswith(f"{names[1]}=")
    for name, status in ((names[1], 200), (names[0], 401)):
        headers = {**tunnel, "Cookie": f"{name}={pair.viewer.key}"}
        assert pair.http.get("/v1/jobs", headers=headers).status_code == status


def test_a_key_in_the_header_counts_whatever_the_cookie(pair: World) -> None:
    headers = {**cookie(pair), "Authorization": "Bearer tap_0_wrong"}
    assert pair.http.get("/v1/jobs", headers=headers).status_code == 401


def test_who_has_no_key_is_led_to_the_sign_in_and_back(pair: World) -> None:
    answer = pair.http.get("/?state=running&name=a%20b", headers=HTML, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/signin?next=%2F%3Fstate%3Drunning%26name%3Da%2520b"
    program = pair.http.get("/")
    assert program.status_code == 401
    assert program.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/jobs/00000000-0000-0000-0000-000000000000", 404, "There is no such job"),
        ("/jobs/nonsense", 422, "valid UUID"),
        ("/clients/nobody", 404, "There is no such client"),
        ("/nothing", 404, "check the method, the address and the body"),
        ("/?state=odd", 422, "state"),
        ("/?cursor=odd", 422, "begin without one"),
        ("/compare?job=odd", 422, "job"),
        ("/?job=odd", 422, "job"),
        ("/jobs/00000000-0000-0000-0000-000000000000/events", 404, "There is no such job"),
        ("/static/secret.py", 404, "There is no such file"),
    ],
)
def test_a_problem_is_a_page_for_people(pair: World, path: str, status: int, said: str) -> None:
    answer = pair.http.get(path, headers={**HTML, **cookie(pair)})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert said in answer.text
    Page(answer.text)


def test_fields_that_a_form_s_reader_left_empty_ask_for_nothing(pair: World) -> None:
    pair.launch()
    answer = pair.http.get("/?name=&state=&cursor=", headers={**HTML, **cookie(pair)})
    assert answer.status_code == 200
    assert "scripted" in answer.text


def test_pages_are_whole_and_say_who_may_load_what(pair: World) -> None:
    job = pair.trained()
    pair.advance(job)
    paths = [
        "/", f"/?job={job}", f"/jobs/{job}", f"/jobs/{job}/benefits", f"/jobs/{job}/events",
        f"/jobs/{job}/versions", f"/jobs/{job}/versions/1", f"/compare?job={job}",
        "/clients", "/clients/c1", "/signin",
    ]  # fmt: skip
    for path in paths:
        answer = pair.http.get(path, headers={**HTML, **cookie(pair)})
        assert answer.status_code == 200, (path, answer.text)
        page = Page(answer.text)
        assert page.heads_without_scope == 0
        assert len(page.ids) == len(set(page.ids))
        assert all(each.startswith(("/", "#")) for each in page.addresses), page.addresses
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert pair.viewer.key not in answer.text


def test_the_api_s_reference_has_every_operation_and_loads_nothing_from_elsewhere(
    world: World,
) -> None:
    document = world.http.get("/openapi.json").json()
    answer = world.http.get("/docs")
    page = Page(answer.text)
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert all(each.startswith(("/", "#")) for each in page.addresses)
    assert len(page.ids) == len(set(page.ids))
    assert {each[1:] for each in page.addresses if each.startswith("#")} <= set(page.ids)
    told = [
        (operation["operationId"], f"{method.upper()} {path}")
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(told) > 50
    for name, route in told:
        assert name in page.ids
        assert f"<code>{route}</code>" in answer.text
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= set(page.ids)
    fields = {row[0].strip(): row for row in page.tables["fields-JobSpec"][1:]}
    assert "RoundsSpec" in fields["rounds"][1]
    assert "required" in fields["rounds"][1]
    assert "job_ended" in answer.text
    assert "from <code>POST /v1/jobs</code>" in answer.text


def test_no_template_or_script_names_another_host() -> None:
    files = [*(WEB / "templates").iterdir(), *(WEB / "static").iterdir()]
    assert {each.suffix for each in files} == {".html", ".js", ".css", ".svg"}
    for each in files:
        text = each.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|[\"'(]//", text), each.name


def test_names_are_text_wherever_they_stand(pair: World) -> None:
    name = "<script>alert(1)</script>\"'{{ 7 * 7 }}"
    job = pair.launch(name=name)
    for path in ("/", f"/jobs/{job}", f"/jobs/{job}/benefits", f"/compare?job={job}"):
        text = pair.http.get(path, headers={**HTML, **cookie(pair)}).text
        assert "<script>alert" not in text
        assert "{{ 7 * 7 }}" in text


def test_files_come_packed_and_may_be_kept_for_ever_under_their_digest(world: World) -> None:
    for name in ("page.css", PLOTTING):
        kept = world.http.get(address(name), headers={"Accept-Encoding": "gzip"})
        assert "immutable" in kept.headers["cache-control"]
        assert kept.headers["content-encoding"] == "gzip"
        plain = world.http.get(f"/static/{name}", headers={"Accept-Encoding": "identity"})
        assert plain.headers["cache-control"] == "no-cache"
        assert plain.content == kept.content
        assert len(gzip.compress(plain.content)) < len(plain.content)
    assert world.http.get("/static/page.css?v=other").status_code == 404


def test_the_figures_library_is_whole_behind_the_line_that_has_it_compiled_ahead(
    world: World,
) -> None:
    hint, library = world.http.get(f"/static/{PLOTTING}").content.split(b"\n", 1)
    assert hint == b"//# allFunctionsCalledOnLoad"  # counts as the first line alone
    assert library == resources.files("plotly").joinpath("package_data", PLOTTING).read_bytes()


def test_own_scripts_are_small(world: World) -> None:
    sizes = [
        len(world.http.get(f"/static/{name}").content)
        for name in ("live.js", "charts.js", "figures.js")
    ]
    assert sum(sizes) < 200_000


def test_each_attempt_is_a_bar_of_the_timeline(pair: World) -> None:
    job = pair.launch()
    pair.plan(job)
    claim = pair.clients["c1"].claim()
    assert claim is not None
    pair.clients["c1"].report(claim, "failure", code="internal", message="lost")
    pair.train("c1", 1.0)
    open_one = pair.clients["c2"].claim()
    assert open_one is not None
    bars = pair.viewer.ok("GET", f"/v1/jobs/{job}/timeline")["items"]
    told = [(bar["client"], bar["attempt"], bar["end"]) for bar in bars]
    assert told == [("c1", 1, "queued"), ("c1", 2, "accepted"), ("c2", 1, None)]
    assert all(bar["round"] == 1 for bar in bars)
    assert bars[0]["claimed_at"] < bars[0]["ended_at"] <= bars[1]["claimed_at"]
    assert pair.viewer.ok("GET", f"/v1/jobs/{job}/timeline?after_round=1")["items"] == []


def test_who_chooses_more_jobs_than_are_compared_is_told(pair: World) -> None:
    jobs = [pair.launch(name=f"job {n}") for n in range(7)]
    for many in (6, 7):
        asked = {"job": jobs[:many]}
        answer = pair.http.get("/compare", params=asked, headers={**HTML, **cookie(pair)})
        assert ("7 jobs were chosen; the first 6 stand here" in answer.text) is (many == 7)
        assert "job 5" in answer.text
        assert "job 6" not in answer.text


def test_a_readiness_card_is_a_table_for_people(pair: World) -> None:
    split = {
        "samples": 10,
        "domains": {"news": 7},
        "per_class": [4, 6],
        "text_tokens": {"least": 3, "median": 5, "most": 9},
        "cut_texts": 2,
    }
    task = {"kind": "image_classification", "skipped": 8, "near": 1}
    task |= {"train": split, "validation": {"samples": 5}, "test": {"samples": 5}}
    card = {"tasks": {"digits": task}, "errors": 0, "warnings": 1}
    pair.clients["c1"].ok("PUT", "/v1/clients/c1/offer", json={**offer(), "card": card})
    page = Page(pair.http.get("/clients/c1", headers={**HTML, **cookie(pair)}).text)
    cells = [[each.strip() for each in row] for row in page.tables["card"]]
    assert cells[1] == ["digits", "image_classification", "8", "0", "1"]
    rows = [[" ".join(each.split()) for each in row] for row in page.tables["card-splits"]]
    assert rows[1] == [
        "digits",
        "train",
        "10",
        "news 7",
        "4, 6",
        "3 to 9, median 5 2 cut",
        "-",
        "-",
        "0",
    ]
    assert rows[2][:5] == ["digits", "validation", "5", "-", "-"]
