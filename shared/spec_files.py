"""Values from YAML or JSON text, with errors that name the field and the remedy."""

import difflib
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)


_WHOLE_NUMBER = "must be a whole number; correct it"
_NUMBER = "must be a number; correct it"
_YES_OR_NO = "must be true or false; correct it"
_DURATION = "must be a duration such as PT5M; correct it"
_SENTENCES = {  # by pydantic's types of errors
    "greater_than_equal": "must be at least {ge}; raise it",
    "greater_than": "must be more than {gt}; raise it",
    "less_than_equal": "must be at most {le}; lower it",
    "less_than": "must be less than {lt}; lower it",
    "finite_number": "must be a finite number; correct it",
    "int_parsing": _WHOLE_NUMBER,
    "int_parsing_size": _WHOLE_NUMBER,
    "int_type": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "bool_parsing": _YES_OR_NO,
    "bool_type": _YES_OR_NO,
    "time_delta_parsing": _DURATION,
    "time_delta_type": _DURATION,
}


class SpecError(ValueError):
    """A file or text that is not what it should be; `problems` has one sentence for each field."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"{source}: " + "; ".join(problems))


def load(kind: type[M], path: Path) -> M:
    """Read one value of `kind` from a YAML or JSON file. Raises SpecError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(
            str(path), [f"cannot be read ({error.strerror}): check the path"]
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError(str(path), ["is not UTF-8 text: save it as UTF-8"]) from error
    return parse(kind, text, str(path))


def parse(kind: type[M], text: str, source: str = "input") -> M:
    """Read one value of `kind` from YAML or JSON text. Raises SpecError."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise SpecError(source, [f"is not valid YAML or JSON{line}: correct the syntax"]) from error
    if not isinstance(data, dict):
        raise SpecError(source, ["must be a mapping of fields to values"])
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise SpecError(source, explain(kind, error)) from error


def explain(kind: type[BaseModel], error: ValidationError) -> list[str]:
    """One sentence for each problem of a validation error: the field, what is wrong, what to do."""
    return [_sentence(kind, detail) for detail in error.errors(include_url=False)]


def _sentence(kind: type[BaseModel], detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "the whole"
    match detail["type"]:
        case "missing":
            return f"{place}: is missing; add it"
        case "extra_forbidden":
            return f"{place}: is not a known field; {_nearest(kind, str(detail['loc'][-1]))}"
        case _:
            given = detail["input"]
            shown = "" if isinstance(given, dict) else f" (given: {_short(given)})"
            return f"{place}: {_wrong(detail)}{shown}"


def _wrong(detail: ErrorDetails) -> str:
    """What is wrong with a value, and what to do."""
    sentence = _SENTENCES.get(detail["type"])
    if sentence is None:
        return detail["msg"].removeprefix("Value error, ")
    return sentence.format(**detail.get("ctx", {}))


def _nearest(kind: type[BaseModel], name: str) -> str:
    known = sorted(_field_names(kind, set()))
    if name in known:
        return "it belongs elsewhere: move it there or remove it"
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else "remove it"


def _field_names(kind: Any, seen: set[Any]) -> set[str]:
    """All field names of a model and of the models inside it."""
    if kind in seen:
        return set()
    seen.add(kind)
    names: set[str] = set()
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        names |= set(kind.model_fields)
        for field in kind.model_fields.values():
            names |= _field_names(field.annotation, seen)
    for argument in getattr(kind, "__args__", ()):
        names |= _field_names(argument, seen)
    return names


def _short(value: object) -> str:
    if isinstance(value, timedelta):
        value = TypeAdapter(timedelta).dump_python(value, mode="json")
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
