"""Writes docs/reference/openapi.json, the contract of the API: `make openapi`.

A change of it is a change for whoever calls the API: CHANGELOG.md names the new contract by its
digest in the line that says what changed, and a test demands that.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from server.main import create_app
from server.settings import ServerSettings

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs" / "reference" / "openapi.json"
NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"  # the document needs no database


def document() -> str:
    """The contract as it is in the code."""
    with tempfile.TemporaryDirectory() as artifacts:
        settings = ServerSettings(
            database_url=NOWHERE, redis_url="redis://127.0.0.1:1/0", artifacts_dir=Path(artifacts)
        )
        contract = create_app(settings).openapi()
    return json.dumps(contract, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def digest(text: str) -> str:
    """By what the changelog names a contract."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def main() -> None:
    """Write the file, and say what the changelog must name."""
    text = document()
    FILE.write_text(text, encoding="utf-8")
    sys.stdout.write(
        f"{FILE.relative_to(ROOT)}: name it as `openapi {digest(text)}` in CHANGELOG.md\n"
    )


if __name__ == "__main__":
    main()
