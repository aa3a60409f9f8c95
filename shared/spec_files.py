"""Values from YAML or JSON text, with errors that name the field and the remedy."""

import difflib
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)


# A date that is none or nesting without an end is no YAMLError.
NO_YAML = (yaml.YAMLError, ValueError, OverflowError, RecursionError)
_WHOLE_NUMBER = "must be a whole number; correct it"
_NUMBER = "must be a number; correct it"
_YES_OR_NO = "must be true or false; correct it"
_DURATION = "must be a duration such as PT5M; correct it"
_TEXT = "must be text; correct it, and put it between quotes"
_ONE_OF = "must be {expected}; choose one"
_MAPPING = "must be a mapping of fields to values; correct it"
_LIST = "must be a list; correct it"
_UUID = "must be a valid UUID; correct it"
_MISSING = "is missing; add it"
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
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "string_too_long": "must have at most {max_length} characters; shorten it",
    "string_too_short": "must have at least {min_length} characters; correct it",
    "string_pattern_mismatch": "must match the pattern {pattern}; correct it",
    "literal_error": _ONE_OF,
    "enum": _ONE_OF,
    "union_tag_invalid": "must have as {discriminator} one of {expected_tags}; choose one",
    "union_tag_not_found": "must have a field {discriminator}; add it",
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "too_long": "must have at most {max_length} items; remove some",
    "too_short": "must have at least {min_length} items; add some",
    "uuid_parsing": _UUID,
    "uuid_type": _UUID,
    "missing": _MISSING,
}
_MOST_SENTENCES = 100
_GIVEN = 60  # characters of what was given; it may be endless, or be in itself
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxlong = _repr.maxother = _GIVEN


class SpecError(ValueError):
    """A file or text that is not what it should be; `problems` has one sentence for each field."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"{source}: " + "; ".join(problems))


class _TwiceError(ValueError):
    """A field is named twice: YAML's last would count, and the first be lost without a word."""


class _Loader(yaml.SafeLoader):
    """YAML in which no mapping names a field twice; merges may, as what is given counts."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The mapping. Raises _TwiceError."""
        node = super().compose_mapping_node(anchor)
        names = set[str]()
        for key, _ in node.value:
            if key.value == "<<" or not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in names:
                line = key.start_mark.line + 1
                raise _TwiceError(f"has {_repr.repr(key.value)} twice at line {line}: remove one")
            names.add(key.value)
        return node


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
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except _TwiceError as error:
        raise SpecError(source, [str(error)]) from error
    except NO_YAML as error:
        problem = f"is not valid YAML or JSON{_line(error)}: correct the syntax"
        raise SpecError(source, [problem]) from error
    if not isinstance(data, dict):
        raise SpecError(source, ["must be a mapping of fields to values"])
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise SpecError(source, explain(kind, error)) from error


def _line(error: Exception) -> str:
    """Where an error is, if it says so."""
    where = getattr(error, "problem_mark", None)
    return f" at line {where.line + 1}" if where else ""


def explain(kind: type[BaseModel], error: ValidationError) -> list[str]:
    """One sentence for each problem of a validation error: the field, what is wrong, what to do.

    The first hundred are told.
    """
    details = error.errors(include_url=False)[:_MOST_SENTENCES]
    return [_sentence(kind, detail) for detail in details]


def _sentence(kind: type[BaseModel], detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "the whole"
    match detail["type"]:
        case "missing":
            return f"{place}: {_MISSING}"
        case "extra_forbidden":
            return f"{place}: {_unknown(kind, [str(part) for part in detail['loc']])}"
        case _:
            given = detail["input"]
            shown = "" if isinstance(given, dict) else f" (given: {_short(given)})"
            return f"{place}: {wrong(detail)}{shown}"


def wrong(detail: ErrorDetails) -> str:
    """What is wrong with a value, and what to do."""
    sentence = _SENTENCES.get(detail["type"])
    if sentence is None:
        return detail["msg"].removeprefix("Value error, ")
    return sentence.format(**detail.get("ctx", {}))


def _unknown(kind: Any, loc: Sequence[str]) -> str:
    """What to do about a field that is not known: it may be meant for another place or choice."""
    *path, name = loc
    models = _reached(kind, path[:-1])
    options = _options(models)
    if path and len(models) > 1 and path[-1] in options:
        return _no_option(path[-1], name, options)
    beside = {(field, field) for model in _reached(kind, path) for field in model.model_fields}
    for known in (beside, set(_places(kind))):
        if near := difflib.get_close_matches(name, sorted({field for field, _ in known}), n=1):
            places = sorted(place for field, place in known if field == near[0])
            return f"is not a known field; did you mean {' or '.join(places)}?"
    return "is not a known field; remove it"


def _no_option(chosen: str, name: str, options: Mapping[str, Sequence[str]]) -> str:
    """The same for an option of a union's model, which its tag names."""
    owners = ", ".join(tag for tag, names in sorted(options.items()) if name in names)
    if owners:
        return f"is not an option of {chosen} but of {owners}; choose that or remove it"
    if near := difflib.get_close_matches(name, options[chosen], n=1):
        return f"is not an option of {chosen}; did you mean {near[0]}?"
    known = ", ".join(options[chosen]) or "none"
    return f"is not an option of {chosen}, which has {known}; remove it"


def _options(models: Sequence[type[BaseModel]]) -> dict[str, list[str]]:
    """The fields of each model, without that of its tag, by the tag."""
    return {
        tag: sorted({*model.model_fields} - {field})
        for model in models
        for tag, field in _tags(model)
    }


def _reached(kind: Any, path: Sequence[str]) -> list[type[BaseModel]]:
    """The models at the end of a path of fields, of keys between them, and of tags of unions."""
    models = _models(kind)
    for part in path:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        models = [inner for field in fields for inner in _models(field.annotation)] or models
    return models


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that a value of this type may be, or consist of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _tags(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """What tells a model of a union from the others: the one value of a field, and its name."""
    for name, field in model.model_fields.items():
        values = get_args(field.annotation)
        if get_origin(field.annotation) is Literal and len(values) == 1:
            yield str(values[0]), name


def _places(
    kind: Any, prefix: str = "", above: tuple[type[BaseModel], ...] = ()
) -> Iterator[tuple[str, str]]:
    """All fields of a type's models and of the models inside them, each with where it stands."""
    for model in _models(kind):
        for name, field in model.model_fields.items() if model not in above else ():
            yield name, prefix + name
            key = ".NAME" if get_origin(field.annotation) is dict else ""
            yield from _places(field.annotation, f"{prefix}{name}{key}.", (*above, model))


def _short(value: object) -> str:
    if isinstance(value, timedelta):
        value = TypeAdapter(timedelta).dump_python(value, mode="json")
    try:
        text = _repr.repr(value)
    except ValueError:
        return "a number of too many digits"
    return text if len(text) <= _GIVEN else f"{text[: _GIVEN - 3]}..."
