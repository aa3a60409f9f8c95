"""The figures of a long test go to their own section of the page and leave the rest alone."""

from pathlib import Path

import pytest

from tests.support.figures import PAGE, show

TEXT = "# Page\n\n<!-- figures: a -->\nold\n<!-- end -->\nkept\n<!-- figures: b -->\n<!-- end -->\n"


def test_a_section_is_printed_and_only_it_is_written_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(TEXT)
    show("a", "make a", [("faults", 500)], record=True, page=page)
    table = capsys.readouterr().out
    assert "`make a`, 20" in table
    assert "| faults | 500 |" in table
    assert page.read_text() == TEXT.replace("old\n", table)


def test_without_record_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(TEXT)
    show("a", "make a", [("faults", 500)], record=False, page=page)
    assert page.read_text() == TEXT


def test_a_section_that_the_page_lacks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(TEXT)
    with pytest.raises(ValueError, match="give it one"):
        show("c", "make c", [], record=True, page=page)


def test_each_section_of_the_page_is_there_once() -> None:
    sections = ("crash points", "system calls", "state machine", "simulation", "chaos", "leaks")
    for section in sections:
        assert PAGE.read_text().count(f"<!-- figures: {section} -->") == 1
