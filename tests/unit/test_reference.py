"""Pages that are made of the code say what the code says; each change of the contract is told."""

import re

import pytest
from pydantic import BaseModel, Field

from docs import pages
from docs.markdown import slug
from docs.schemas import Document
from server.settings import ServerSettings
from shared.job_spec import JobSpec
from shared.problem_codes import MEANINGS, Code
from worker.data.client_file import ClientFile
from worker.settings import WorkerSettings

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


class Size(BaseModel):
    """How large it is."""

    width: int = Field(ge=1, description="In pixels.")
    unit_bytes: int = 2 << 20


class Drawing(BaseModel):
    """What is drawn."""

    size: Size
    names: tuple[str, ...] = ("a", "b")
    larger: Size | None = Field(default=None, description="Beside it.")


def undescribed(model: type[BaseModel]) -> list[str]:
    """The fields of which a page would not say what they mean."""
    document = Document(model)
    schemas = (document.schema, *(part.schema for part in document.parts))
    return [field for schema in schemas for field, *_, says in document.rows(schema) if not says]


@pytest.mark.parametrize("model", [JobSpec, ClientFile, ServerSettings, WorkerSettings])
def test_every_field_says_what_it_means(model: type[BaseModel]) -> None:
    assert undescribed(model) == []


def test_a_field_that_says_nothing_is_found() -> None:
    assert undescribed(Drawing) == ["`names`", "`unit_bytes`"]


def test_a_models_table_has_its_types_defaults_and_bounds() -> None:
    document = Document(Drawing, " of a book")
    [part] = document.parts
    assert part.heading == "`size`, `larger` of a book"
    assert part.link == f"[below](#{slug(part.heading)})"
    assert list(document.rows(document.schema)) == [
        ("`size`", part.link, "required", "How large it is."),
        ("`names`", "list of text", "`[a, b]`", ""),
        ("`larger`", part.link, "none", "Beside it."),
    ]
    assert list(document.rows(part.schema, str.upper)) == [
        ("`WIDTH`", "whole number, at least 1", "required", "In pixels."),
        ("`UNIT_BYTES`", "whole number", "`2097152` (2 MiB)", ""),
    ]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        (
            "Where we depart from the paper or its code",
            "where-we-depart-from-the-paper-or-its-code",
        ),
        ("`model.lora`", "modellora"),
        ("`a`, `b` of the file", "a-b-of-the-file"),
        ("1. Export, at the client", "1-export-at-the-client"),
        ("`training.learning_rate`", "traininglearning_rate"),
    ],
)
def test_a_headings_anchor_is_githubs(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor
