"""Whom federation helped and hurt: the API's answer, the page and the report as one file."""

from uuid import UUID

import pytest

from server.reports import benefits
from tests.support.finished import federated_and_alone, finished
from tests.support.html_page import Page
from tests.support.scripted import World
from tests.support.signing_in import HTML, cookie

pytestmark = pytest.mark.integration


def test_the_verdict_stands_beside_a_job_of_the_same_clients_alone(pair: World) -> None:
    together, alone = federated_and_alone(pair)
    text = pair.http.get(f"/jobs/{together}/benefits", headers={**HTML, **cookie(pair)}).text
    said = "Federation helped 1 of 2; it hurt c2 on digits."
    assert said in text
    assert '<p class="verdict mixed">' in text
    assert f'<option value="{alone}" selected>' in text
    rows = Page(text).tables["benefits"]
    assert [each.strip() for each in rows[1][:3]] == ["c1", "digits", "accuracy"]
    assert rows[1][3].split()[0] == "0.600"
    assert rows[1][-2].split() == ["+0.560", "accuracy", "+0.109", "to", "+0.432"]
    assert [row[-1].strip() for row in rows[1:3]] == ["helped", "hurt"]
    assert "Mean skill" in rows[-1][0]
    compared = pair.http.get(
        f"/compare?job={together}&job={alone}", headers={**HTML, **cookie(pair)}
    )
    assert "0.880" in compared.text
    assert "0.600" in compared.text


def test_who_benefits_is_an_answer_of_the_api_too_and_fedavg_a_column(pair: World) -> None:
    together, alone = federated_and_alone(pair)
    ask = f"/v1/jobs/{together}/benefits"
    found = pair.viewer.ok("GET", ask)
    assert (found["alone"], found["averaged"]) == (alone, None)
    assert found["sentence"] == "Federation helped 1 of 2; it hurt c2 on digits."
    first, second = found["rows"]
    assert (first["last"], first["gain"], first["verdict"]) == ("distilled", 0.56, "helped")
    assert first["difference"][0] > 0 > second["difference"][1]
    assert first["averaged"] is None

    both = {"engaged": 0.8, "post_trained": 0.82}
    averaged = finished(pair, "averaged", "fedavg", {"c1": both, "c2": both})
    again = pair.viewer.ok("GET", ask)
    assert again["averaged"] == averaged
    assert again["rows"][0]["averaged"]["value"] == 0.82
    assert again["sentence"] == found["sentence"]
    text = pair.http.get(f"/jobs/{together}/benefits", headers={**HTML, **cookie(pair)}).text
    assert f'<option value="{averaged}" selected>' in text
    table = Page(text).tables["benefits"]
    assert [head.strip() for head in table[0][3:5]] == ["Alone", "FedAvg"]
    assert table[1][4].split()[0] == "0.820"
    named = pair.viewer.ok("GET", f"{ask}?alone={averaged}")
    assert named["rows"][0]["alone"]["value"] == 0.82
    assert pair.viewer.ok("GET", f"/v1/jobs/{averaged}/benefits")["averaged"] is None
    assert pair.viewer("GET", f"{ask}?alone={UUID(int=1)}").status_code == 404


def test_a_stored_score_that_is_no_share_is_shown(pair: World) -> None:
    together, _ = federated_and_alone(pair)
    pair.execute(
        "UPDATE assignments SET result = replace(result::text, '0.88,', '1.5,')::json"
        " WHERE kind = 'evaluate'"
    )
    first, second = pair.viewer.ok("GET", f"/v1/jobs/{together}/benefits")["rows"]
    assert first["models"]["distilled"]["value"] == 1.5
    assert second["verdict"] == "hurt"
    assert pair.http.get(f"/jobs/{together}/report.html", headers=cookie(pair)).is_success


def test_jobs_of_others_do_not_hide_the_one_of_the_same_clients(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, alone = federated_and_alone(pair)
    monkeypatch.setattr(benefits, "_MOST", 1)
    pair.clients.pop("c2")
    finished(pair, "of one alone", "local", {"c1": {"post_trained": 0.6}})
    assert pair.viewer.ok("GET", f"/v1/jobs/{together}/benefits")["alone"] == alone


@pytest.mark.parametrize(
    ("alone", "tone"), [((0.4, 0.5), "helped"), ((0.95, 0.98), "hurt"), ((0.72, 0.74), "level")]
)
def test_the_verdict_s_colour_and_sign_are_those_of_what_it_says(
    pair: World, alone: tuple[float, float], tone: str
) -> None:
    singly = {
        client: {"post_trained": value} for client, value in zip(("c1", "c2"), alone, strict=True)
    }
    finished(pair, "each alone", "local", singly)
    models = {"engaged": 0.7, "post_trained": 0.72, "personal": 0.74, "distilled": 0.75}
    job = finished(pair, "together", "tap", {"c1": models, "c2": models})
    text = pair.http.get(f"/jobs/{job}/benefits", headers={**HTML, **cookie(pair)}).text
    assert f'<p class="verdict {tone}">' in text


def test_a_job_beside_which_nobody_trained_alone_has_no_verdict(pair: World) -> None:
    models = {"engaged": 0.7, "personal": 0.74}
    job = finished(pair, "together", "tap", {"c1": models, "c2": models})
    text = pair.http.get(f"/jobs/{job}/benefits", headers={**HTML, **cookie(pair)}).text
    assert '<p class="verdict unknown">' in text


def test_the_report_is_one_file_that_stands_alone(pair: World) -> None:
    together, _ = federated_and_alone(pair)
    answer = pair.http.get(f"/jobs/{together}/report.html", headers=cookie(pair))
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    page = Page(answer.text)
    assert page.addresses == []  # it loads nothing
    assert page.heads_without_scope == 0
    assert "it hurt c2 on digits" in answer.text
    assert {"benefits", "averages"} <= set(page.tables)
    assert {"data-losses", "data-replacements", "data-traffic"} <= set(page.ids)


def test_there_is_no_report_of_a_job_that_runs(pair: World) -> None:
    job = pair.launch()
    answer = pair.http.get(f"/jobs/{job}/report.html", headers={**HTML, **cookie(pair)})
    assert answer.status_code == 409
    assert "ask again when it has ended" in answer.text
