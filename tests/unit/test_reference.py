"""Pages that are made of the code say what the code says; each change of the contract is told."""

import re

import pytest

from docs import pages
from shared.problem_codes import MEANINGS, Code

pytestmark = pytest.mark.unit
TOLD = re.compile(r"`openapi ([0-9a-f]+)`")


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    kept = (pages.FOLDER / name).read_text(encoding="utf-8")
    assert kept == pages.PAGES[name](), f"{name} is out of date: run `make reference`"


def test_the_changelog_names_the_newest_contract_first() -> None:
    changelog = (pages.FOLDER.parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    told, now = TOLD.findall(changelog), pages.digest(pages.contract())
    assert told[0] == now, (
        "the API changed: say what changed in CHANGELOG.md, above what is told there of the API, "
        f"and name it as `openapi {now}`"
    )
    assert len(told) == len(set(told))


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Code)
