"""Partial reads, and parameters that no route has."""

import pytest

from tests.support.scripted import World

pytestmark = pytest.mark.integration


def test_fields_of_one_and_of_a_lists_items_are_kept(pair: World) -> None:
    job = pair.launch()
    path = f"/v1/jobs/{job}"
    assert pair.viewer.ok("GET", f"{path}?fields=state,round") == {"state": "planning", "round": 0}
    assert pair.viewer.ok("GET", f"{path}?fields=state&fields=%20round,") == {
        "state": "planning",
        "round": 0,
    }
    listed = pair.viewer.ok("GET", "/v1/jobs?fields=id&limit=1")
    assert listed["items"] == [{"id": job}]
    assert "next" in listed, "what is beside the items stays"
    whole = pair.viewer.ok("GET", path)
    assert pair.viewer.ok("GET", f"{path}?fields=") == whole


def test_a_partial_read_has_a_tag_of_its_own_and_its_own_length(pair: World) -> None:
    path = f"/v1/jobs/{pair.launch()}"
    whole, part = pair.viewer("GET", path), pair.viewer("GET", f"{path}?fields=id")
    assert whole.headers["etag"] != part.headers["etag"]
    assert int(part.headers["content-length"]) == len(part.content)
    known = {"If-None-Match": part.headers["etag"]}
    assert pair.viewer("GET", f"{path}?fields=id", headers=known).status_code == 304


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/jobs?fields=stat", "stat: there is no such field here; did you mean state?"),
        ("/v1/jobs?fields=id,zzz", "zzz: there is no such field here; choose from algorithm, "),
        ("/v1/clients?fields=state", "state: there is no such field here; "),
        ("/v1/jobs?stat=running", "stat: there is no such parameter here; did you mean state?"),
        ("/v1/jobs?pages=2", "pages: there is no such parameter here; "),
        ("/v1/clients?zzz", "zzz: there is no such parameter here; choose from cursor, "),
    ],
)
def test_what_is_not_there_is_named(pair: World, path: str, said: str) -> None:
    pair.launch()
    answer = pair.viewer("GET", path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0].startswith(said)
    assert "etag" not in answer.headers


def test_csv_has_the_columns_that_are_asked_for(pair: World) -> None:
    job = pair.launch()
    pair.plan(job)
    pair.train("c1", 1.0)
    path = f"/v1/jobs/{job}/losses?format=csv"
    whole = pair.viewer("GET", f"{path}&fields=").text.splitlines()
    assert whole == ["round,client,task,engaged,personal", "1,c1,digits,0.5,0.4"]
    some = pair.viewer("GET", f"{path}&fields=engaged,client&fields=round")
    assert some.text.splitlines() == ["round,client,engaged", "1,c1,0.5"]
    refused = pair.viewer("GET", f"{path}&fields=bogus")
    assert refused.status_code == 422
    as_json = pair.viewer("GET", f"/v1/jobs/{job}/losses?fields=bogus")
    assert refused.json() == as_json.json()


def test_a_stream_and_files_have_no_fields(pair: World) -> None:
    asked = {"Accept": "text/event-stream"}
    for path in ("/v1/events", f"/v1/jobs/{pair.launch()}/events"):
        answer = pair.viewer("GET", f"{path}?fields=id", headers=asked)
        assert answer.status_code == 422
        assert answer.json()["errors"] == [
            "fields: a stream has whole events: leave it out, or ask for a list"
        ]
        assert pair.viewer.ok("GET", f"{path}?fields=id&limit=1")["items"]
    file = pair.viewer("GET", f"/v1/artifacts/{'a' * 64}?fields=id")
    assert file.json()["errors"] == ["fields: leave it out"]


def test_problems_and_other_formats_are_not_cut(pair: World) -> None:
    job = pair.launch()
    lacking = pair.viewer("GET", f"/v1/jobs/{job}/rounds/7?fields=number")
    assert lacking.status_code == 404
    assert lacking.json()["code"] == "not_found"
    refused = pair.operator("POST", f"/v1/jobs/{job}/pause?fields=state")
    assert refused.json()["errors"] == ["fields: leave it out"]
    assert pair.viewer.ok("GET", f"/v1/jobs/{job}")["state"] == "planning", "nothing was done"


def test_pages_of_a_browser_may_have_what_their_forms_send(pair: World) -> None:
    answer = pair.viewer("GET", "/?anything=1", headers={"Accept": "text/html"})
    assert answer.status_code == 200


def test_the_contract_tells_of_it(pair: World) -> None:
    paths = pair.http.get("/openapi.json").json()["paths"]
    names = [each["name"] for each in paths["/v1/jobs"]["get"]["parameters"]]
    assert names.count("fields") == 1
    posted = paths["/v1/jobs"]["post"].get("parameters", [])
    assert "fields" not in [each["name"] for each in posted]
