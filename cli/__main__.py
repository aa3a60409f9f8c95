"""`python -m cli`: the `tapestry` command."""

from cli.main import app

app(prog_name="tapestry")
