"""The pages of docs/reference that are made of the code: `make reference` writes them.

A change of openapi.json is one for whoever calls the API: CHANGELOG.md names the new contract by
its digest in the line that says what changed, and a test demands that.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from docs import commands, settings_page, spec_page, states_page
from server.main import create_app
from server.settings import ServerSettings
from shared.problem_codes import MEANINGS

FOLDER = Path(__file__).parent / "reference"
_NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"  # the contract needs no database
_PROBLEMS = """\
# Problems

Every answer that is no success is `application/problem+json` (RFC 9457) with a stable `code`, which
programs may act on, and a `detail` that says what is wrong and what to do about it. `errors` has a
sentence for each field where several are wrong. `type` is `urn:tapestry:problem:CODE`.

| code | status | what is the case |
|---|---|---|
"""


def contract() -> str:
    """The API's contract as it is in the code."""
    with tempfile.TemporaryDirectory() as artifacts:
        settings = ServerSettings(
            database_url=_NOWHERE, redis_url="redis://127.0.0.1:1/0", artifacts_dir=Path(artifacts)
        )
        document = create_app(settings).openapi()
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def digest(text: str) -> str:
    """By what the changelog names a contract."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def problems() -> str:
    """The codes of problems."""
    rows = (f"| `{code}` | {statuses} | {says} |\n" for code, (statuses, says) in MEANINGS.items())
    return _PROBLEMS + "".join(rows)


PAGES: Mapping[str, Callable[[], str]] = {
    "openapi.json": contract,
    "problems.md": problems,
    "cli.md": commands.page,
    "spec.md": spec_page.page,
    "states.md": states_page.page,
    "settings.md": settings_page.page,
}


def main() -> None:
    """Write them all."""
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
    print(f"docs/reference: written; the API is `openapi {digest(contract())}`")


if __name__ == "__main__":
    main()
