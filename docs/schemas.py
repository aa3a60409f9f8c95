"""Pydantic models as tables, a row for each field, made of the JSON schema of the models."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from docs.markdown import code, slug, table
from shared.components import NAME_PATTERN

Schema = Mapping[str, Any]
HEAD = ("field", "type", "default", "what")
_REFERENCE = "#/$defs/"
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
}
_WORDS = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
_FORMATS = {"duration": "duration", "path": "path", "password": "text"}
_PATTERNS = {f"^{NAME_PATTERN}$": "name", "^[0-9a-f]{64}$": "64 hex digits"}
_ENUM, _OBJECT = "enum", "properties"


@dataclass(frozen=True)
class Part:
    """A model with the places at which a spec has it; the spec itself has none."""

    name: str
    schema: Schema
    places: tuple[str, ...]
    of: str

    @property
    def heading(self) -> str:
        """What stands above its table."""
        return code(self.places) + self.of

    @property
    def link(self) -> str:
        """How a field's type leads there."""
        word = f"`{self.places[0].rpartition(': ')[2]}`" if len(self.places) == 1 else "below"
        return f"[{word}](#{slug(self.heading)})"


class Document:
    """A model with all that it is made of; `of` ends the headings of its parts."""

    def __init__(self, model: type[BaseModel], of: str = "") -> None:
        self.schema: Schema = model.model_json_schema()
        found: dict[str, list[str]] = {}
        self._collect(self.schema, "", found)
        self.parts = tuple(
            Part(name, self._defs[name], tuple(places), of) for name, places in found.items()
        )

    @property
    def _defs(self) -> Schema:
        found: Schema = self.schema.get("$defs", {})
        return found

    def _collect(self, schema: Schema, place: str, found: dict[str, list[str]]) -> None:
        """Note each model at its places, in the order of the fields, what is inside it behind."""
        for name, field in schema[_OBJECT].items():
            inside, below = f"{place}.{name}".lstrip("."), field
            if keyed := values_of(field):
                inside, below = f"{inside}.NAME", keyed
            for model in _references(below):
                if _OBJECT in self._defs[model]:
                    told = self._defs[model][_OBJECT].get("name", {}).get("const")
                    there = f"{inside}: {told}" if told else inside
                    found.setdefault(model, []).append(there)
                    self._collect(self._defs[model], there, found)

    def rows(
        self, schema: Schema, named: Callable[[str], str] = lambda name: name
    ) -> Iterator[tuple[str, str, str, str]]:
        """A row for each field, but for the word by which a model is chosen."""
        needed = schema.get("required", ())
        for name, field in schema[_OBJECT].items():
            if "const" not in field:
                default = "required" if name in needed else self._default(name, field)
                yield f"`{named(name)}`", self._type(field), default, self.says(field)

    def table(self, schema: Schema) -> str:
        """The model's fields."""
        return table(HEAD, self.rows(schema))

    def says(self, field: Schema) -> str:
        """What a field means: as it says itself, or as the model does that it holds."""
        own: str = field.get("description", "")
        models = _references(field)
        if own or len(models) != 1:
            return own
        return first_paragraph(self._defs[models[0]])

    def _default(self, name: str, field: Schema) -> str:
        if "default" not in field:
            return "see there"
        value = field["default"]
        if isinstance(value, dict) and value:
            part = self._defs[_references(field)[0]]
            return f"`{_flow(value)}`" if part.get("required") else "as below"
        if value is None:
            return "none"
        size = f" ({_size(value)})" if name.endswith("_bytes") else ""
        return f"`{_flow(value)}`{size}"

    def _type(self, field: Schema) -> str:
        for choices in (field.get("anyOf"), field.get("oneOf")):
            if choices:
                words = [self._type(each) for each in choices if each.get("type") != "null"]
                return (" or " if len(words) == 2 else ", ").join(words)
        if reference := field.get("$ref"):
            return self._referred(reference.removeprefix(_REFERENCE))
        if _ENUM in field:
            return f"one of {code(field[_ENUM])}"
        if field["type"] == "array":
            some = ", at least one" if field.get("minItems") else ""
            return f"list of {self._type(field['items'])}{some}"
        if field["type"] == "object":
            of, names = values_of(field), field.get("propertyNames", {}).get(_ENUM)
            by = code(names) if names else "name"
            return f"by {by}: {self._type(of) if of else 'anything'}"
        return _plain(field)

    def _referred(self, name: str) -> str:
        if _ENUM in self._defs[name]:
            return f"one of {code(self._defs[name][_ENUM])}"
        return next(part.link for part in self.parts if part.name == name)


def values_of(field: Schema) -> Schema | None:
    """What a mapping holds, if the field is one."""
    patterns: Schema = field.get("patternProperties", {})
    found: Schema | None = next(iter(patterns.values()), field.get("additionalProperties"))
    return found or None


def first_paragraph(schema: Schema) -> str:
    """The model's docstring up to its first empty line."""
    text: str = schema.get("description", "")
    return " ".join(text.partition("\n\n")[0].split())


def _references(field: Schema) -> list[str]:
    """The models that a field may hold."""
    choices = field.get("anyOf") or field.get("oneOf") or [field]
    return [each["$ref"].removeprefix(_REFERENCE) for each in choices if "$ref" in each]


def _plain(field: Schema) -> str:
    """The words for a number, a text, a path or a duration, with its bounds."""
    if field["type"] == "string":
        special = field.get("format", field.get("pattern", ""))
        most = field.get("maxLength")
        text = f"text, at most {most} characters" if most else "text"
        return _FORMATS.get(special) or _PATTERNS.get(special) or text
    bounds = [words.format(field[key]) for key, words in _BOUNDS.items() if key in field]
    return ", ".join([_WORDS[field["type"]], *bounds])


def _size(value: int) -> str:
    """Bytes in the largest unit that divides them."""
    units = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1, "bytes"))
    return next(f"{value // unit} {name}" for unit, name in units if value % unit == 0)


def _flow(value: object) -> str:
    """A value as YAML in one line has it."""
    match value:
        case dict():
            return "{" + ", ".join(f"{name}: {_flow(each)}" for name, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str():
            return value
        case _:
            return json.dumps(value)
