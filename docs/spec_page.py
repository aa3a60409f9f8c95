"""The page of the job spec and the client file, made of their models."""

from collections.abc import Iterator

from docs.markdown import table
from docs.schemas import Document, first_paragraph
from shared.job_spec import JobSpec
from shared.presets import PRESETS
from worker.data.client_file import ClientFile

_HEAD = """\
# Job spec and client file

Both are YAML or JSON; a field that is not here is refused. In what follows a *name* has up to 64
lower-case letters, digits, `-` and `_`, with a letter or digit at both ends; a *duration* is a
number of seconds or ISO 8601, such as `PT5M`. Every hyper-parameter of a job stands in its spec;
[settings](settings.md) say only where processes run.

Worked examples: `examples/jobs/own-data.yaml` with `examples/clients`, `examples/jobs/demo.yaml`
with `tapestry up --demo`.
[The tutorial](../tutorial.md) begins with nothing, [the algorithm](../algorithm.md) says what
options do.

- [The job spec](#the-job-spec): what `tapestry submit` takes
- [The client file](#the-client-file): what a worker reads beside its data

# The job spec
"""
_PRESETS = """
## Presets

`model.preset` fills these in; what the spec gives beside it counts.

"""
_CLIENT = """
# The client file

Paths are relative to the file and stay below its directory. Nothing of what they name leaves the
machine. [Your own data](../how-to/own-data.md) explains formats, columns and labels.

"""


def page() -> str:
    """All fields of both."""
    job, client = Document(JobSpec), Document(ClientFile, " of the client file")
    return "".join(
        [
            _HEAD,
            "\n" + job.table(job.schema),
            *_parts(job),
            _PRESETS,
            table(("preset", "sets"), _presets()),
            _CLIENT,
            client.table(client.schema),
            *_parts(client),
        ]
    )


def _parts(document: Document) -> Iterator[str]:
    for part in document.parts:
        yield f"\n## {part.heading}\n\n{first_paragraph(part.schema)}\n"
        if len(part.schema["properties"]) > ("name" in part.schema["properties"]):
            yield "\n" + document.table(part.schema)


def _presets() -> Iterator[tuple[str, str]]:
    for name, values in PRESETS.items():
        yield f"`{name}`", ", ".join(f"`{path}: {value}`" for path, value in _paths(values))


def _paths(values: object, place: str = "") -> Iterator[tuple[str, object]]:
    if not isinstance(values, dict):
        yield place, values
        return
    for name, value in values.items():
        yield from _paths(value, f"{place}.{name}".lstrip("."))
