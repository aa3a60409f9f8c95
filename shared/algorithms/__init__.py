"""The algorithms that a job may name: a file here for what each is asked for, found by itself.

What each does at a client is the file of the same name in worker/algorithm/methods.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from shared.algorithms.spec import AlgorithmSpec


def _found() -> tuple[type[AlgorithmSpec], ...]:
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return tuple(sorted(AlgorithmSpec.__subclasses__(), key=lambda each: each.__name__))


if TYPE_CHECKING:
    Algorithm = AlgorithmSpec
else:
    Algorithm = Annotated[Union[_found()], Field(discriminator="name")]  # noqa: UP007 - of a tuple

__all__ = ["Algorithm", "AlgorithmSpec"]
