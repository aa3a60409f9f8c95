"""The algorithms that a job may name: a file here for what each is asked for, found by itself.

What each does at a client is the file of the same name in worker/algorithm/methods.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, Literal, Union, get_args, get_origin

from pydantic import Field

from shared.algorithms.spec import AlgorithmSpec


def _found() -> tuple[type[AlgorithmSpec], ...]:
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return tuple(sorted(_named(AlgorithmSpec), key=lambda each: each.__name__))


def _named(kind: type[AlgorithmSpec]) -> Iterator[type[AlgorithmSpec]]:
    """The kinds below this one that a job can name: several may share their options."""
    for each in kind.__subclasses__():
        if get_origin(each.model_fields["name"].annotation) is Literal:
            yield each
        yield from _named(each)


if TYPE_CHECKING:
    Algorithm = AlgorithmSpec
else:
    Algorithm = Annotated[Union[_found()], Field(discriminator="name")]  # noqa: UP007 - of a tuple

NAMES: tuple[str, ...] = tuple(
    get_args(each.model_fields["name"].annotation)[0] for each in _found()
)

__all__ = ["NAMES", "Algorithm", "AlgorithmSpec"]
