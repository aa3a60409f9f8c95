"""The page of the command line, made of the command itself: `make reference` writes it."""

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer

from cli.exits import MEANINGS
from cli.main import app

_HEAD = """\
# The command line

`tapestry COMMAND` or `.venv/bin/python -m cli COMMAND`. What is not given comes from the
environment where a variable is named, and else from the stack that `tapestry up` started in the
same directory, or from the one whose state the variable `TAPESTRY_STATE` names.

- What a command answers goes to standard output, everything else to standard error. `--json` prints
  what the API answered or what was done here, typed and nothing else; `tapestry watch --json` an
  event in each line. A command that serves until it is told to stop answers nothing: `tapestry
  worker` has no `--json`, and `tapestry up` has it with `--detach` alone; for their logs there is
  `TAPESTRY_LOG=json`.
- An error is one sentence on standard error that says what is wrong and what to do, and one of the
  exit codes below.
- Keys belong into files (`--key-file`) or the environment (`TAPESTRY_KEY`): every user of a machine
  sees the arguments of its commands.
- `tapestry --version` prints the version, `tapestry --install-completion` has the shell complete
  commands and options.

## Exit codes

| code | when |
|---|---|
"""
_VALUES = {int: "N", float: "X", str: "TEXT", Path: "PATH"}
_NO_OPTION = frozenset({"help", "install_completion", "show_completion"})


def page() -> str:
    """The commands with their arguments and options, and how they end."""
    codes = "".join(f"| {code:d} | {says} |\n" for code, says in MEANINGS.items())
    return _HEAD + codes + "".join(_sections(typer.main.get_command(app), ("tapestry",)))


def _sections(command: Any, path: Sequence[str]) -> Iterator[str]:
    """A section for each command, those of a group behind it."""
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield f"\n## {' '.join((*path, name))}\n\n{inner.help}\n"
            yield from _sections(inner, (*path, name))
        else:
            yield _section(inner, " ".join((*path, name)), "#" * (len(path) + 1))


def _section(command: Any, name: str, level: str) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [
        each
        for each in command.params
        if each.param_type_name == "option" and not each.hidden and each.name not in _NO_OPTION
    ]
    needed = (f"{each.opts[0]} {_value(each)}" for each in options if each.required)
    usage = " ".join([name, *(_shown(each) for each in arguments), *needed])
    rows = [*(_argument(each) for each in arguments), *(_option(each) for each in options)]
    table = "\n| | |\n|---|---|\n" + "".join(rows) if rows else ""
    return f"\n{level} {name}\n\n    {usage}\n\n{_paragraphs(command.help)}\n{table}"


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _shown(argument: Any) -> str:
    """An argument in a command's usage."""
    word = argument.metavar or argument.name.upper()
    many = "..." if argument.nargs == -1 and not word.endswith("...") else ""
    return f"{word}{many}" if argument.required else f"[{word}{many}]"


def _argument(argument: Any) -> str:
    return f"| `{_shown(argument)}` | {_cell(argument.help)} |\n"


def _option(option: Any) -> str:
    names = ", ".join(f"`{f'{name} {_value(option)}'.strip()}`" for name in option.opts)
    return f"| {names} | {_cell(' '.join([option.help or '', *_facts(option)]))} |\n"


def _value(option: Any) -> str:
    """What follows an option; nothing behind a flag."""
    if option.is_flag:
        return ""
    return option.metavar or _VALUES.get(_kind(option), "ONE")


def _kind(option: Any) -> Any:
    """The type of a value, or of each where there may be several."""
    kind = option.type_descriptor.annotation
    return next(iter(get_args(kind)), kind)


def _facts(option: Any) -> Iterator[str]:
    """What else there is to say: whether it must be, what it is else, where it comes from."""
    kind = _kind(option)
    if isinstance(kind, type) and issubclass(kind, Enum):
        yield f"One of {', '.join(f'`{each}`' for each in kind)}."
    if option.multiple:
        yield "May be given several times."
    if option.required:
        yield "Required."
    if option.envvar:
        yield f"Else `{option.envvar}`."
    default = option.default
    if default not in {None, False} and not callable(default):
        yield f"By default `{default}`."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").strip()
