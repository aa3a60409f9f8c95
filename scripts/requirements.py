"""Prints what pyproject.toml asks for, with the named extras: `requirements.py server > FILE`.

For the images, so that a change of the code does not install everything again; stdlib only.
"""

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def main(extras: list[str]) -> None:
    """Print one requirement on each line."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    print(
        *project["dependencies"], *(name for extra in extras for name in optional[extra]), sep="\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
