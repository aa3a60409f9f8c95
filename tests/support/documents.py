"""Markdown taken apart, and what may be wrong with it; each check yields sentences."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import TypeAdapter, ValidationError

from cli.main import app
from docs.markdown import slug
from shared.job_spec import JobSpec
from worker.data.client_file import ClientFile

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```.*\n([\s\S]*?)^```|(?:(?<=\n\n)|\A)((?:(?: {4}.*)?\n)+)", re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TARGET = re.compile(r"^make ([a-z][\w-]*)", re.MULTILINE)
_ROUTE = re.compile(r"(?:\b(GET|HEAD|POST|PUT|PATCH|DELETE) )?(/v1/[\w/{}:.-]*[\w}])")
_VARIABLE = re.compile(r"\bTAPESTRY_\w+")
_HERE = re.compile(r"<<'(\w+)'\n(.*?)\n\1$", re.MULTILINE | re.DOTALL)
_WORDS = r"(?:\w+=\S+ )*(?:tapestry|\.venv/bin/python -m cli|docker compose run --rm(?: -T)? cli)"
_COMMAND = re.compile(rf"^(?:\w+=\$\(|\()?{_WORDS} ([^|<>)#;&\n]*)", re.MULTILINE)
_PATH = re.compile(r"[\w.*-]+(?:/[\w.*-]+)+(?:::\w+)?")
_PLACES = ("bench", "cli", "docker", "docs", "examples", "migrations", "scripts", "server")
_TOP = frozenset({*_PLACES, "shared", "tests", "worker"})


@dataclass(frozen=True)
class Page:
    """A Markdown file: its text without code, and its code."""

    path: Path
    prose: str
    inline: tuple[str, ...]
    blocks: tuple[str, ...]

    @property
    def code(self) -> tuple[str, ...]:
        """All code, from blocks and within lines."""
        return self.inline + self.blocks


def read(path: Path) -> Page:
    """A file taken apart."""
    return taken_apart(path, path.read_text(encoding="utf-8"))


def taken_apart(path: Path, text: str) -> Page:
    """The same for a text that would lie there."""
    blocks = []

    def without(found: re.Match[str]) -> str:
        block = (
            found[1] if found[1] is not None else re.sub(r"^ {4}", "", found[2], flags=re.MULTILINE)
        )
        if block.strip():
            blocks.append(block.strip("\n"))
        return "\n"

    prose = _BLOCK.sub(without, text)
    inline = tuple(" ".join(each.split()) for each in _INLINE.findall(prose))
    return Page(path, prose, inline, tuple(blocks))


def anchors(page: Page) -> set[str]:
    """The anchors of a page's headings; a repeated heading's has a number."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(page.prose):
        found[slug(heading)] = found.get(slug(heading), 0) + 1
    return {name if not n else f"{name}-{n}" for name, many in found.items() for n in range(many)}


def broken_links(page: Page, pages: Mapping[Path, Page]) -> Iterator[str]:
    """Relative links to what is not there."""
    for link in _LINK.findall(_INLINE.sub("", page.prose)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        if target and not path.exists():
            yield f"{link} leads nowhere"
        elif anchor and anchor not in anchors(page if not target else pages[path]):
            yield f"{link} names no heading"


def unknown_targets(page: Page, targets: frozenset[str]) -> Iterator[str]:
    """What `make` is asked for and has not."""
    for text in page.code:
        yield from (f"make {name}" for name in _TARGET.findall(text) if name not in targets)


def unknown_routes(page: Page, paths: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """Routes that the API's contract does not have."""
    for text in page.code:
        for method, path in _ROUTE.findall(text):
            fits = [found for found in paths if _pattern(found).fullmatch(path)]
            if not any(not method or method.lower() in paths[found] for found in fits):
                yield f"{method} {path}".strip()


def _pattern(template: str) -> re.Pattern[str]:
    """The addresses that a route has, also as people write them: {id}, JOB, 3."""
    return re.compile(re.sub(r"\\\{\w+\\\}", r"(?:\\{\\w+\\}|[A-Z]+|\\d+|N)", re.escape(template)))


def unknown_variables(page: Page, known: Callable[[str], bool]) -> Iterator[str]:
    """Environment variables that nothing reads."""
    for text in page.code:
        yield from (name for name in _VARIABLE.findall(text) if not known(name))


def missing_paths(page: Page) -> Iterator[str]:
    """Paths of this repository that are not there, and names that are not in their file."""
    for text in page.code:
        for word in _PATH.findall(text):
            path, _, name = word.partition("::")
            before = text[: text.index(word)][-1:]
            if path.split("/")[0] not in _TOP or before in {"/", "$", "{", "}"}:
                continue
            found = next(iter(sorted(ROOT.glob(path.rstrip("/.")))), None)
            if found is None or (name and name not in found.read_text(encoding="utf-8")):
                yield word


def wrong_snippets(page: Page) -> Iterator[str]:
    """Job specs, parts of them, and client files that would be refused."""
    for text in (
        *page.blocks,
        *(body for block in page.blocks for _, body in _HERE.findall(block)),
    ):
        yield from _wrong(_mapping(text))


def _mapping(text: str) -> dict[Any, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return value if isinstance(value, dict) else {}


def _wrong(value: dict[Any, Any]) -> Iterator[str]:
    try:
        if "client" in value and "tasks" in value:
            ClientFile.model_validate(value)
        elif {"algorithm", "tasks", "clients"} <= value.keys():
            JobSpec.model_validate(value)
        elif value and value.keys() <= JobSpec.model_fields.keys():
            for name, part in value.items():
                kind: Any = JobSpec.model_fields[name].annotation
                TypeAdapter(kind).validate_python(part)
    except ValidationError as error:
        first = error.errors()[0]
        yield f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def wrong_commands(page: Page) -> Iterator[str]:
    """Commands that the command line does not have, with options or arguments that it refuses."""
    for texts, whole in ((page.blocks, True), (page.inline, False)):
        for text in texts:
            for line in _COMMAND.findall(text):
                if problem := _refused(shlex.split(line.rstrip("\\ ")), whole=whole):
                    yield f"{line.strip()}: {problem}"


def _refused(words: Sequence[str], *, whole: bool) -> str:
    """Why the words would be refused; a command that is only named need not be `whole`."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        if not rest or rest[0].startswith("-"):
            return "" if not whole or rest else "names no command"
        if rest[0] not in command.commands:
            return "" if rest[0].isupper() else f"there is no command {rest[0]}"
        command = command.commands[rest.pop(0)]
    known = {name: option for option in command.params for name in option.opts}
    given = [known.get(word) for word in rest if word.startswith("-") and word != "-"]
    if None in given:
        return "there is no such option"
    valued = sum(not option.is_flag for option in given if option is not None)
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    n_arguments = sum(not word.startswith("-") for word in rest) - valued
    if n_arguments > len(arguments) and not any(each.nargs == -1 for each in arguments):
        return "there are too many arguments"
    lacking = [o.opts[0] for o in known.values() if o.required and o not in given]
    lacking = [name for name in lacking if name.startswith("-")]
    needed = sum(each.required for each in arguments)
    return (
        f"{lacking or 'an argument'} is missing"
        if whole and (lacking or n_arguments < needed)
        else ""
    )
