"""Conditional requests: what is known is not sent again."""

import pytest

from server.conditional import names
from tests.support.scripted import World

pytestmark = pytest.mark.integration


def test_what_is_known_is_not_sent_again_until_it_changes(pair: World) -> None:
    job = pair.launch()
    for path in (f"/v1/jobs/{job}", "/v1/jobs", f"/v1/jobs/{job}/rounds", "/v1/clients"):
        first = pair.viewer("GET", path)
        tag = first.headers["etag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            again = pair.viewer("GET", path, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b""), path
            assert again.headers["etag"] == tag
            assert "content-type" not in again.headers
    path = f"/v1/jobs/{job}"
    tag = pair.viewer("GET", path).headers["etag"]
    pair.operator.ok("POST", f"{path}/pause")
    changed = pair.viewer("GET", path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.json()["state"] == "paused"
    assert changed.headers["etag"] != tag
    assert int(changed.headers["content-length"]) == len(changed.content)


def test_problems_and_the_answers_to_changes_have_no_tag(pair: World) -> None:
    job = pair.launch()
    lacking = pair.viewer("GET", f"/v1/jobs/{job}/rounds/7", headers={"If-None-Match": "*"})
    assert lacking.status_code == 404
    paused = pair.operator("POST", f"/v1/jobs/{job}/pause", headers={"If-None-Match": "*"})
    assert paused.status_code == 200
    assert "etag" not in {**lacking.headers, **paused.headers}


@pytest.mark.parametrize(
    ("known", "same"),
    [([], False), (['"a"'], True), (['"b", "a"'], True), (['"b"', 'W/"a"'], True), (["*"], True),
     (["a"], False), (['"A"'], False), ([""], False)],
)  # fmt: skip
def test_tags_are_compared_as_they_stand(known: list[str], same: bool) -> None:
    assert names(known, '"a"') is same


def test_the_contract_tells_of_it(pair: World) -> None:
    paths = pair.http.get("/openapi.json").json()["paths"]
    for path, kinds in paths.items():
        if "application/json" in kinds.get("get", {}).get("responses", {}).get("200", {}).get(
            "content", {}
        ):
            assert "304" in kinds["get"]["responses"], path
            assert [p["name"] for p in kinds["get"]["parameters"]].count("If-None-Match") == 1
    assert "304" not in paths["/v1/jobs"]["post"]["responses"]
