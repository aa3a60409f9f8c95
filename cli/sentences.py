"""Turns every error that we know into one sentence on stderr and an exit code."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from cli.exits import FailedError, PartError, UsageError, exit_code
from cli.output import warn
from cli.signals import Stopped
from cli.stack.errors import StackError
from shared.exits import ExitCode
from shared.spec_files import SpecError
from shared.terminal import take_any_text
from shared.transport import ApiError

_KNOWN = (UsageError, FailedError, PartError, StackError, ApiError, SpecError)


class Sentences(TyperGroup):
    """A group of commands that end with one sentence where they fail."""

    def main(self, *args: Any, **more: Any) -> Any:
        """Run the command line. A terminal that lacks a character is shown another."""
        take_any_text()
        return super().main(*args, **more)

    def make_context(self, *args: Any, **more: Any) -> Any:
        """What the options before the command say."""
        with _one_sentence():
            return super().make_context(*args, **more)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Without a command, its help says which there are."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise typer.Exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _one_sentence():
            done = super().invoke(ctx)
            sys.stdout.flush()
            return done


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except TyperException as error:
        raise _ended(_about_usage(error), ExitCode.USAGE) from error
    except _KNOWN as error:
        raise _ended(str(error), exit_code(error)) from error
    except Stopped as stopped:
        raise _ended("stopped", stopped.exit_code) from stopped
    except SystemExit as ended:  # of a console of typer's own
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        raise typer.Exit(ExitCode.OK) from ended
    except KeyboardInterrupt as stopped:
        raise _ended("stopped", ExitCode.STOPPED) from stopped
    except BrokenPipeError as gone:  # whoever read has read enough
        _drop_output()
        raise typer.Exit(ExitCode.OK) from gone
    except OSError as error:
        _drop_output()
        code = exit_code(error)
        wrong = code is ExitCode.USAGE
        remedy = "check the path" if wrong else "free some disk space or check the path"
        raise _ended(f"{error}: {remedy}", code) from error


def _drop_output() -> None:
    """Have nothing more written that could not be written: Python would try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _about_usage(error: TyperException) -> str:
    """What typer says of wrong options, and where the right ones stand."""
    context = getattr(error, "ctx", None)
    place = context.command_path if context else "tapestry"
    wrong = error.format_message().replace("Value error, ", "").rstrip(".")
    return f"{wrong}: see `{place} --help`"


def _ended(sentence: str, code: int) -> typer.Exit:
    warn(f"tapestry: {sentence}")
    return typer.Exit(code)
