"""The API's contract: the file is what the code serves, and each change of it is told."""

import re

import pytest

from scripts import openapi

pytestmark = pytest.mark.unit
TOLD = re.compile(r"`openapi ([0-9a-f]+)`")


@pytest.fixture(scope="module")
def contract() -> str:
    return openapi.document()


def test_the_file_is_the_contract_of_the_code(contract: str) -> None:
    kept = openapi.FILE.read_text(encoding="utf-8")
    assert kept == contract, "the API changed: run `make openapi`, and tell it in CHANGELOG.md"


def test_the_changelog_names_the_newest_contract_first(contract: str) -> None:
    changelog = (openapi.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    told = TOLD.findall(changelog)
    assert told[0] == openapi.digest(contract), (
        "the API changed: say what changed in CHANGELOG.md, above what is told there of the API, "
        f"and name it as `openapi {openapi.digest(contract)}`"
    )
    assert len(told) == len(set(told))
