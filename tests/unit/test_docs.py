"""What the documentation names is there: links, commands, targets, routes, paths, snippets."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from shared.secret_files import SECRETS, file_of
from tests.support import documents
from tests.support.documents import ROOT, Page

pytestmark = pytest.mark.unit
SKIPPED = {".venv", ".tapestry", ".git", ".pytest_cache", ".hypothesis", "build", "node_modules"}
DATED = ("CHANGELOG.md", "docs/decisions/")  # they speak of the day on which they were written
ELSEWHERE = {"TAPESTRY_BUILD_OPTIONS", "TAPESTRY_IMAGE_TAG"}  # of scripts, not of processes
HERE = ROOT / "docs" / "nowhere.md"


def markdown() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.md")):
        if not SKIPPED & set(path.relative_to(ROOT).parts):
            yield path


PAGES = {path: documents.read(path) for path in markdown()}
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]


@pytest.fixture(params=NAMES)
def page(request: pytest.FixtureRequest) -> Page:
    return PAGES[ROOT / request.param]


def is_dated(page: Page) -> bool:
    return is_dated_path(page.path)


def is_dated_path(path: Path) -> bool:
    return str(path.relative_to(ROOT)).startswith(DATED)


@cache
def targets() -> frozenset[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))


@cache
def routes() -> dict[str, Any]:
    contract = (ROOT / "docs" / "reference" / "openapi.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(contract)["paths"]
    return found


@cache
def settings() -> frozenset[str]:
    text = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    return frozenset(re.findall(r"TAPESTRY_\w+", text)) | ELSEWHERE | set(map(file_of, SECRETS))


def test_links_lead_somewhere(page: Page) -> None:
    assert list(documents.broken_links(page, PAGES)) == []


def test_commands_are_those_of_the_command_line(page: Page) -> None:
    if page.path.name != "cli.md":  # it is made of the commands, with their usage
        assert list(documents.wrong_commands(page)) == []


def test_make_has_what_it_is_asked_for(page: Page) -> None:
    assert list(documents.unknown_targets(page, targets())) == []


def test_routes_are_the_contracts(page: Page) -> None:
    assert list(documents.unknown_routes(page, routes())) == []


def test_environment_variables_are_read_by_somebody(page: Page) -> None:
    assert list(documents.unknown_variables(page, settings().__contains__)) == []


def test_paths_are_there(page: Page) -> None:
    if not is_dated(page):
        assert list(documents.missing_paths(page)) == []


def test_snippets_would_be_taken(page: Page) -> None:
    assert list(documents.wrong_snippets(page)) == []


@pytest.mark.parametrize("place", ["cli", "docs", "examples", "server", "shared", "worker"])
def test_tapestry_is_installed_from_its_checkout_for_no_index_has_it(place: str) -> None:
    files = [*(ROOT / place).rglob("*.py"), *(ROOT / place).rglob("*.md"), ROOT / "README.md"]
    wrong = re.compile(r"install\s+['\"]?tapestry\b(?!/)|\btapestry-fl\[")
    undated = [path for path in files if not is_dated_path(path)]
    found = [str(p.relative_to(ROOT)) for p in undated if wrong.search(p.read_text("utf-8"))]
    assert found == []


def test_every_page_is_in_the_index() -> None:
    index = PAGES[ROOT / "docs" / "README.md"].prose
    pages = [path for path in PAGES if path.parent in {ROOT / "docs", ROOT / "docs" / "how-to"}]
    missing = [path.name for path in pages if path.name not in index and path.name != "README.md"]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("see [it](how-to/nothing.md)", "how-to/nothing.md leads nowhere"),
        ("see [it](algorithm.md#no-such-part)", "algorithm.md#no-such-part names no heading"),
        ("see [it](#below)\n\n# Above", "#below names no heading"),
    ],
)
def test_a_broken_link_is_found(text: str, problem: str) -> None:
    assert list(documents.broken_links(documents.taken_apart(HERE, text), PAGES)) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n\n    tapestry lunch job.yaml\n", "lunch job.yaml: there is no command lunch"),
        ("\n\n    tapestry watch\n", "watch: an argument is missing"),
        ("\n\n    tapestry watch JOB OTHER\n", "watch JOB OTHER: there are too many arguments"),
        (
            "```\nJOB=$(tapestry submit a.yaml --dry)\n```",
            "submit a.yaml --dry: there is no such option",
        ),
        ("\n\n    tapestry fork JOB --round 3\n", "fork JOB --round 3: ['--spec'] is missing"),
        ("`tapestry keys borrow`", "keys borrow: there is no command borrow"),
        ("\n\n    docker compose run --rm cli rest\n", "rest: there is no command rest"),
        (
            "\n\n    X=1 .venv/bin/python -m cli up --fast  # soon\n",
            "up --fast: there is no such option",
        ),
    ],
)
def test_a_wrong_command_is_found(text: str, problem: str) -> None:
    assert list(documents.wrong_commands(documents.taken_apart(HERE, text))) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n\n    model: {preset: flava-large}\n", "model"),
        ("```yaml\nrounds: {count: 0}\n```", "count"),
        ("\n\n    client: a b\n    tasks: {}\n", "client"),
        ("\n\n    cat > x <<'END'\n    client: c01\n    tasks: {}\n    END\n", "tasks"),
    ],
)
def test_a_wrong_snippet_is_found(text: str, problem: str) -> None:
    [found] = documents.wrong_snippets(documents.taken_apart(HERE, text))
    assert problem in found or "preset" in found


def test_other_wrong_words_are_found() -> None:
    text = "`make tea`, `POST /v1/jobs/JOB/rounds`, `/v1/teas`, `TAPESTRY_TEA`, `server/tea.py`, "
    page = documents.taken_apart(
        HERE, f"{text}`shared/states.py::tea`, `make test`, `/v1/jobs/{{id}}`"
    )
    assert list(documents.unknown_targets(page, targets())) == ["make tea"]
    assert list(documents.unknown_routes(page, routes())) == [
        "POST /v1/jobs/JOB/rounds",
        "/v1/teas",
    ]
    assert list(documents.unknown_variables(page, settings().__contains__)) == ["TAPESTRY_TEA"]
    assert list(documents.missing_paths(page)) == ["server/tea.py", "shared/states.py::tea"]


def test_code_is_no_prose() -> None:
    page = documents.taken_apart(HERE, "a `b` c\n\n    d\n\n    e\n\nf\n```sh\ng\n```\nh\n")
    assert (page.inline, page.blocks) == (("b",), ("d\n\ne", "g"))
