"""What the code of a server process stands on: settings, sessions, the artifact store."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Depends, Request
from sqlalchemy import Engine

from server.aggregation import Average, Contribution, aggregate
from server.aggregation.beside import AtOnce, Averaging
from server.database import Sessions, make_sessions
from server.settings import ServerSettings
from server.watching.meters import Meters
from shared.aggregation_spec import LowRankAggregation
from shared.artifacts import ArtifactStore
from shared.messages import ComponentSpec

NO_BUCKETS = (
    "Artifacts cannot lie in a bucket ({}): run pip install '.[s3]' in Tapestry's checkout."
)


class Aggregate(Protocol):
    """As `server.aggregation.aggregate`, wherever it runs."""

    def __call__(
        self,
        contributions: Sequence[Contribution],
        spec: ComponentSpec,
        store: ArtifactStore,
        low_rank: LowRankAggregation = "factors",
    ) -> Average:
        """Aggregate one component."""


@dataclass(frozen=True, slots=True)
class Context:
    """One per process."""

    settings: ServerSettings
    sessions: Sessions
    store: ArtifactStore
    aggregate: Aggregate
    averaging: Averaging = field(default_factory=AtOnce)
    meters: Meters = field(default_factory=Meters)


def make_context(
    settings: ServerSettings, engine: Engine, average: Aggregate = aggregate
) -> Context:
    """A context on that engine.

    Raises OSError when the artifacts' directory cannot be used, ImportError when a bucket is named
    and its package is not installed.
    """
    return Context(settings, make_sessions(engine), make_store(settings), average)


def make_store(settings: ServerSettings) -> ArtifactStore:
    """The store of these settings. Raises OSError, ImportError."""
    if settings.artifacts_url is None:
        return ArtifactStore(settings.artifacts_dir)
    from server.bucket import BucketStore  # noqa: PLC0415 - its package is an extra

    most = settings.artifacts_copies_bytes
    return BucketStore(settings.artifacts_url, settings.artifacts_dir, most)


async def _of_app(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)  # noqa: S101  # create_app sets it
    return context


App = Annotated[Context, Depends(_of_app)]
