"""Options that many commands share."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[str | None, typer.Option(help="Address of the API.", envvar="TAPESTRY_API_URL")]
KeyFile = Annotated[
    Path | None, typer.Option(help="File that holds the key.", envvar="TAPESTRY_KEY_FILE")
]
Key = Annotated[str | None, typer.Option(envvar="TAPESTRY_KEY", hidden=True)]
Job = Annotated[uuid.UUID, typer.Argument(help="The job's id.")]
