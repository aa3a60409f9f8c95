"""What `tapestry predict` prints: for one sample, or for each line of a file."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from shared.components import TaskKind
from worker.takeaway.answers import Answer, Classified, Drawn, Written
from worker.takeaway.form import TakeawayError, one_of
from worker.takeaway.model import Model
from worker.takeaway.samples import Reader, Sample

_AT_ONCE = 64
_FIELDS = ("image", "text", "domain")


@dataclass(frozen=True)
class Question:
    """What is asked of a model."""

    task: str | None  # the only one
    beams: int = 1
    out: Path | None = None  # of generated images: a file, or a directory for many
    as_json: bool = False


def task_of(model: Model, question: Question) -> str:
    """The task that is asked. Raises TakeawayError."""
    if question.task is None and len(model.tasks) > 1:
        names = one_of(model.tasks)
        raise TakeawayError(f"the model has {len(model.tasks)} tasks: pass --task {names}")
    task = model.tasks[0] if question.task is None else question.task
    draws = model.reader(task).taken.task.kind is TaskKind.IMAGE_GENERATION
    if draws and question.out is None:
        raise TakeawayError(f"task {task!r} generates images: say where to by --out")
    if not draws and question.out is not None:
        raise TakeawayError(f"task {task!r} generates no images: leave --out away")
    return task


def one(model: Model, question: Question, sample: Sample) -> str:
    """The answer to a sample, to be printed. Raises TakeawayError, OSError."""
    task = task_of(model, question)
    answer = model.predict_all(task, [sample], question.beams)[0]
    if isinstance(answer, Drawn):
        assert question.out is not None  # noqa: S101 - for mypy: task_of looked
        _save(answer, question.out)
    if question.as_json:
        return json.dumps({"task": task, **_fields(answer, question.out)}, ensure_ascii=False)
    return "\n".join(_lines(answer, question.out))


def _lines(answer: Answer, out: Path | None) -> Iterator[str]:
    match answer:
        case Classified(label, probabilities):
            yield label
            for name, share in sorted(probabilities.items(), key=lambda item: -item[1]):
                yield f"  {share:.4f}  {name}"
        case Written(text):
            yield text
        case Drawn():
            yield f"drawn to {out}"


def _fields(answer: Answer, out: Path | None) -> dict[str, Any]:
    match answer:
        case Classified(label, probabilities):
            return {"label": label, "probabilities": dict(probabilities)}
        case Written(text):
            return {"text": text}
        case Drawn():
            return {"image": str(out)}


def _save(answer: Drawn, path: Path) -> None:
    try:
        answer.image.save(path)
    except (ValueError, OSError) as error:
        path.unlink(missing_ok=True)
        raise TakeawayError(
            f"the image cannot be written to {path} ({error}): choose another --out, such as x.png"
        ) from error


@dataclass(frozen=True)
class _Line:
    """A line of a file: its sample, or why it is none."""

    number: int
    sample: Sample | None
    error: str = ""


def many(model: Model, question: Question, rows: Path) -> Iterator[tuple[str, bool]]:
    """For each line of a file of JSON objects a line of JSON, and whether it is an answer.

    Images' paths start at the file's directory; fields that the task does not read are passed over.
    Raises TakeawayError, UnicodeDecodeError.
    """
    task = task_of(model, question)
    if question.out is not None and not question.out.is_dir():
        raise TakeawayError(f"{question.out} is no directory: make it, for there are many images")
    reader = model.reader(task)
    reads = {*reader.taken.task.modalities, "domain"}
    with _lines_of(rows) as file:
        numbered = ((n, line) for n, line in enumerate(file, start=1) if line.strip())
        while part := list(islice(numbered, _AT_ONCE)):
            lines = [_line(n, text, rows.parent, reads) for n, text in part]
            yield from _answered(model, task, question, lines)


def _lines_of(rows: Path) -> IO[str]:
    """Raises TakeawayError."""
    try:
        return rows.open(encoding="utf-8-sig")
    except OSError as error:
        raise TakeawayError(f"{rows} cannot be read ({error.strerror}): check --rows") from error


def _line(number: int, text: str, start: Path, reads: set[str]) -> _Line:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        return _Line(number, None, "the line is no JSON object: correct it")
    found = {name: row[name] for name in _FIELDS if name in reads and row.get(name) is not None}
    wrong = next((name for name, value in found.items() if not isinstance(value, str)), None)
    if wrong is not None:
        return _Line(number, None, f"{wrong} is not text: write it in quotes")
    if "image" in found:
        found["image"] = start / found["image"]
    return _Line(number, Sample(**found))


def _answered(
    model: Model, task: str, question: Question, lines: Sequence[_Line]
) -> Iterator[tuple[str, bool]]:
    reader = model.reader(task)
    opened = [_opened(reader, line) for line in lines]
    good = [line.sample for line in opened if line.sample is not None]
    answers = iter(model.predict_all(task, good, question.beams))
    for line in opened:
        if line.sample is None:
            yield json.dumps({"line": line.number, "error": line.error}), False
        else:
            said = _said(next(answers), line.number, question.out)
            yield json.dumps({"line": line.number, **said}, ensure_ascii=False), True


def _opened(reader: Reader, line: _Line) -> _Line:
    """The line with its image decoded, or with why it cannot be used."""
    if line.sample is None:
        return line
    try:
        return _Line(line.number, reader.opened(line.sample))
    except TakeawayError as error:
        return _Line(line.number, None, str(error))


def _said(answer: Answer, number: int, directory: Path | None) -> dict[str, Any]:
    out = None if directory is None else directory / f"{number:06}.png"
    if isinstance(answer, Drawn) and out is not None:
        _save(answer, out)
    return _fields(answer, out)
