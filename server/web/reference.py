"""The API's reference page, made of the OpenAPI document: it needs no script and no other host."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup, escape

from server.web.site import render

Schema = Mapping[str, Any]
Row = tuple[str, str, bool, Schema, str]  # name, where it stands, whether needed, values, meaning
_REFERENCE = "#/components/schemas/"
_BOUNDS = ("format", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minLength")
_CODE = re.compile(r"`([^`]+)`")


def reference(document: Mapping[str, Any]) -> str:
    """The page."""
    values = {
        "document": document,
        "groups": [(tag, list(_operations(document, tag["name"]))) for tag in document["tags"]],
        "kind": kind,
        "prose": prose,
        "pretty": pretty,
        "samples": samples,
        "fields": fields,
        "parameters": parameters,
    }
    return render("reference.html", values)


def _operations(document: Mapping[str, Any], tag: str) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def parameters(operation: Schema) -> list[Row]:
    """What stands in an operation's address and headers."""
    return [
        (each["name"], each["in"], each["required"], each["schema"], each.get("description", ""))
        for each in operation.get("parameters", ())
    ]


def fields(schema: Schema) -> list[Row]:
    """What a message holds."""
    needed = schema.get("required", ())
    return [
        (name, "", name in needed, each, each.get("description", ""))
        for name, each in schema.get("properties", {}).items()
    ]


def kind(schema: Schema) -> Markup:
    """What values a schema describes, with links to the schemas that have names."""
    for choices in (schema.get("anyOf"), schema.get("oneOf")):
        if choices:
            return Markup(" or ").join(kind(each) for each in choices)
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if words := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return Markup(", ").join(Markup("<code>{}</code>").format(word) for word in words)
    if "items" in schema:
        return Markup("list of {}").format(kind(schema["items"]))
    if values := _values(schema):
        return Markup("by name: {}").format(kind(values))
    bounds = [f"{name} {schema[name]}" for name in _BOUNDS if name in schema]
    return escape(", ".join((schema.get("type", "anything"), *bounds)))


def _values(schema: Schema) -> Schema | None:
    """What a mapping holds, if the schema is of one."""
    patterns: Schema = schema.get("patternProperties", {})
    found = next(iter(patterns.values()), schema.get("additionalProperties"))
    return found if isinstance(found, Mapping) and found else None


def prose(text: str) -> Markup:
    """A description: its paragraphs, with what stands in backticks as code."""
    paragraphs = (str(escape(" ".join(each.split()))) for each in text.split("\n\n"))
    coded = (_CODE.sub(r"<code>\1</code>", each) for each in paragraphs)
    return Markup("".join(f"<p>{each}</p>" for each in coded))  # noqa: S704 - escaped above


def pretty(value: object) -> str:
    """An example as one reads it."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def samples(content: Mapping[str, Any], schemas: Mapping[str, Schema]) -> list[Any]:
    """The examples of a body, wherever OpenAPI has them."""
    if "example" in content:
        return [content["example"]]
    if "examples" in content:
        return [each["value"] for each in content["examples"].values()]
    schema = content.get("schema", {})
    named = schemas.get(schema.get("$ref", "").removeprefix(_REFERENCE), schema)
    return list(schema.get("examples", named.get("examples", ())))
