"""The page of the environment variables, made of settings, commands and .env.example."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic_settings import BaseSettings

from cli.main import app
from docs.markdown import code, table
from docs.schemas import Document
from server.settings import DatabaseSettings, ServerSettings
from shared.secret_files import SECRETS
from worker.settings import WorkerSettings

_ROOT = Path(__file__).parents[1]
_HEAD = ("variable", "type", "default", "what")
_TOP = """\
# Settings

Environment variables say where processes run and what they may take. What a job does stands in its
[spec](spec.md), never here. A process whose settings are wrong ends with one sentence that names
the variable. A *duration* is ISO 8601 (`PT1M`, `PT0.25S`) or `HH:MM:SS`.

**Secrets from files.** Instead of {secrets}
a process takes the same name with `_FILE` behind it, which names a file that holds the value. Both
at once, a missing or an empty file are refused.

`tapestry up` tells its processes where everything is; what else stands in its own environment, such
as `TAPESTRY_LOG` or `TAPESTRY_DEVICE`, they get too.

## API and coordinator

`python -m server.main` and `python -m server.background` read all of these;
`python -m server.migrate` and `python -m server.admin` only {database}.

"""
_WORKER = """
## Worker and planner

`python -m worker clients` and `python -m worker planner`. `tapestry worker` sets what its options
say and becomes one of them.

"""
_COMMANDS = """
## Command line

Options of the [commands](cli.md) that the environment may give instead. `TAPESTRY_KEY` has none:
every user of a machine sees the arguments of its commands.

"""
_CONTAINERS = """
## Docker Compose

Names in `.env` ([how](../how-to/compose.md)); the file sets the variables above for each container.

"""
_CLIENT_CONTAINER = """
Names in `client.env`, of a client's worker
[on its own host](../how-to/compose.md#clients-on-hosts-of-their-own).

"""
_REST = """
## Of others

"""
_OTHERS = (
    (
        "`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`, `SSL_CERT_DIR`",
        "What stands before the API ([how](../how-to/behind-a-firewall.md#through-a-proxy)).",
    ),
    (
        "`OTEL_EXPORTER_OTLP_ENDPOINT` and OpenTelemetry's others",
        "Where traces go; without it nothing is traced ([how](../how-to/watching.md#traces)).",
    ),
    (
        "`HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE` and the hub's others",
        "How a base is fetched that has a hub name ([how](../how-to/own-weights.md)).",
    ),
    (
        "`PIP_EXTRA_INDEX_URL`, `PIP_FIND_LINKS` and pip's others",
        "Whence `make` installs; uv gets them too.",
    ),
)


def page() -> str:
    """All variables, process by process."""
    return "".join(
        [
            _TOP.format(
                database=code(map(variable, DatabaseSettings.model_fields)), secrets=code(SECRETS)
            ),
            table(_HEAD, _settings(ServerSettings)),
            _WORKER,
            table(_HEAD, _settings(WorkerSettings)),
            _COMMANDS,
            table(("variable", "option", "commands"), _options()),
            _CONTAINERS,
            table(("name", "needed", "what"), _compose(".env.example")),
            _CLIENT_CONTAINER,
            table(("name", "needed", "what"), _compose("client.env.example")),
            _REST,
            table(("variable", "what"), _OTHERS),
        ]
    )


def variable(field: str) -> str:
    """By which name the environment has a field."""
    return f"TAPESTRY_{field.upper()}"


def _settings(kind: type[BaseSettings]) -> Iterator[tuple[str, str, str, str]]:
    document = Document(kind)
    return document.rows(document.schema, variable)


def _options() -> Iterator[tuple[str, str, str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for name, command in _commands(typer.main.get_command(app), ""):
        for option in command.params:
            if option.envvar:
                shown = "" if option.hidden else f"`{option.opts[0]}`"
                found.setdefault((option.envvar, shown), []).append(name)
    for (name, shown), names in found.items():
        few = len(names) <= 4
        yield f"`{name}`", shown, code(names) if few else f"{len(names)} that ask the API"


def _commands(group: Any, before: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} ")
        else:
            yield before + name, command


def _compose(file: str) -> Iterator[tuple[str, str, str]]:
    """The names of such an example, with the comment above each."""
    needed, told, said = "yes", list[str](), True
    for line in (_ROOT / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("# ---"):
            needed = "no"
        elif line.startswith("#"):
            told, said = [*([] if said else told), line.removeprefix("# ")], False
        elif found := re.match(r"(\w+)=", line):
            said = True
            yield f"`{found[1]}`", needed, " ".join(told)
        else:
            told = []
