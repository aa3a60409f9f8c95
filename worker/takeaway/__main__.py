"""`python -m worker.takeaway export|predict`: a client's model out of a job, and put to work.

`export` reads the environment of the client's worker: its API, key, client files and work
directory.
"""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from uuid import UUID

from worker.signals import STOPPED, when_told_to_stop

if __name__ == "__main__":  # the imports below take a while, and nothing is written meanwhile
    when_told_to_stop(lambda: os._exit(STOPPED))

from shared.api_client import ApiClient
from shared.artifacts import ArtifactError
from shared.results import Variant
from shared.spec_files import SpecError
from shared.terminal import escaped, harmless, take_any_text
from shared.transport import ApiError
from shared.whole_directory import drop
from worker.data.client_file import ClientFile
from worker.ending import end
from worker.models.base import BaseError
from worker.personal_files import StateError
from worker.settings import WorkerSettings, read_settings
from worker.takeaway import asking
from worker.takeaway.export import Source, Wish, export
from worker.takeaway.form import CARD, Config, NotThereError, TakeawayError, one_of
from worker.takeaway.model import load
from worker.takeaway.samples import Sample

_KNOWN = (
    TakeawayError,
    ApiError,
    ArtifactError,
    BaseError,
    SpecError,
    StateError,
    OSError,
    ValueError,
)


def main() -> None:
    """Do what is asked; ends with one sentence where that cannot be done."""
    asked = _parser().parse_args()
    take_any_text()
    try:
        if asked.command == "export":
            _export(asked)
        else:
            _predict(asked)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except _KNOWN as error:
        end(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    out = commands.add_parser("export")
    out.add_argument("job", type=UUID)
    out.add_argument("--client")
    out.add_argument("--variant", type=Variant, choices=tuple(Variant))
    out.add_argument("--without-base", action="store_true")
    out.add_argument("--out", type=Path, required=True)
    out.add_argument("--json", action="store_true")
    ask = commands.add_parser("predict")
    ask.add_argument("directory", type=Path)
    for option in ("--task", "--text", "--domain", "--base"):
        ask.add_argument(option)
    for option in ("--image", "--rows", "--out"):
        ask.add_argument(option, type=Path)
    ask.add_argument("--beams", type=int, default=1)
    ask.add_argument("--json", action="store_true")
    return parser


def _export(asked: argparse.Namespace) -> None:
    settings = read_settings()
    file = _client_file(settings, asked.client)
    if not settings.work_dir.is_dir():
        raise TakeawayError(
            f"{settings.work_dir} is no directory: name the one that the client's worker keeps by "
            "--work-dir"
        )
    wish = Wish(asked.job, asked.out, asked.variant, with_base=not asked.without_base)
    with ApiClient(settings.api_url, settings.key_of(file.client)) as api:
        config = export(wish, Source(file, settings.work_dir, api), _remove_when_stopped)
    sys.stdout.write((_as_json if asked.json else _summary)(config, asked.out))


def _client_file(settings: WorkerSettings, name: str | None) -> ClientFile:
    """The client file of that client, or the only one. Raises SpecError, TakeawayError."""
    files = {file.client: file for file in map(ClientFile.read, settings.client_files)}
    if name is None and len(files) == 1:
        return next(iter(files.values()))
    if name not in files:
        known = one_of(files) if files else "none: set TAPESTRY_CLIENT_FILES"
        raise TakeawayError(f"no client file of {name or 'one client'}: choose {known}")
    return files[name]


def _remove_when_stopped(part: Path) -> None:
    """From now on have nothing stay behind of what is written when told to stop."""
    when_told_to_stop(partial(_leave, part))


def _leave(part: Path) -> None:
    drop(part)
    os._exit(STOPPED)


def _summary(config: Config, out: Path) -> str:
    tasks = ", ".join(config.tasks)
    return (
        f"{out}: the {config.variant} model of client {config.client}, for {tasks}\n"
        f"read {out / CARD}, and ask it with `tapestry predict {out}`\n"
    )


def _as_json(config: Config, out: Path) -> str:
    said = {
        "directory": str(out),
        "job": str(config.job),
        "client": config.client,
        "variant": config.variant,
        "tasks": {name: taken.variant for name, taken in config.tasks.items()},
    }
    return escaped(json.dumps(said, indent=2)) + "\n"


def _predict(asked: argparse.Namespace) -> None:
    """Raises TakeawayError, OSError."""
    if asked.rows is not None and (asked.image or asked.text is not None or asked.domain):
        raise TakeawayError("--rows has samples of its own: leave --image, --text and --domain out")
    model = load(asked.directory, asked.base)
    question = asking.Question(asked.task, asked.beams, asked.out, asked.json)
    shown = escaped if asked.json or asked.rows is not None else harmless
    if asked.rows is None:
        sample = Sample(asked.image, asked.text, asked.domain)
        sys.stdout.write(shown(asking.one(model, question, sample)) + "\n")
        return
    n_lines = n_wrong = 0
    for line, answered in asking.many(model, question, asked.rows):
        sys.stdout.write(shown(line) + "\n")
        n_lines, n_wrong = n_lines + 1, n_wrong + (not answered)
    if n_wrong:
        raise NotThereError(
            f"{n_wrong} of {n_lines} lines were not answered: correct what their `error` says"
        )


if __name__ == "__main__":
    main()
