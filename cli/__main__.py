"""`python -m cli`, and `tapestry`: the command."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C may come while its parts are still being loaded."""
    try:
        from cli.main import app  # noqa: PLC0415 - that takes a while
    except KeyboardInterrupt:
        sys.exit(130)
    app(prog_name="tapestry")


if __name__ == "__main__":
    main()
