"""The kinds of columns that the tables are made of, and the base of all tables."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, ColumnElement, DateTime, Enum, ForeignKey, Text, func, literal, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, mapped_column

from shared.messages import AssignmentKind
from shared.shelf_spec import ShelfForm
from shared.states import AssignmentState, JobState, RoundState

NEVER = text("'epoch'::timestamptz")

Id = Annotated[UUID, mapped_column(primary_key=True, default=uuid4)]
Now = Annotated[datetime, mapped_column(server_default=func.now())]
JobRef = Annotated[UUID, mapped_column(ForeignKey("jobs.id"))]
ClientRef = Annotated[str, mapped_column(ForeignKey("clients.id"))]
ArtifactRef = Annotated[str, mapped_column(ForeignKey("artifacts.sha256"))]
Count = Annotated[int, mapped_column(server_default="0")]


class Scope(StrEnum):
    """What a key may do; viewer < operator < admin, and two for workers."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    CLIENT = "client"
    PLANNER = "planner"


def _words(kind: type[StrEnum]) -> Enum:
    """A text column that holds one of the enum's values, and nothing else."""
    return Enum(
        kind,
        name=f"{kind.__name__.lower()}_known",
        native_enum=False,
        create_constraint=True,
        length=20,
        values_callable=lambda members: [str(member.value) for member in members],
    )


class Table(DeclarativeBase):
    """The base of all tables."""

    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy's own form
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSON,
        list[dict[str, Any]]: JSON,
        list[str]: ARRAY(Text),
        AssignmentKind: _words(AssignmentKind),
        JobState: _words(JobState),
        RoundState: _words(RoundState),
        AssignmentState: _words(AssignmentState),
        Scope: _words(Scope),
        ShelfForm: _words(ShelfForm),
    }


def among(column: InstrumentedAttribute[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Whether the column is one of the values, however many: they are bound as one array.

    `in_` binds each, and a statement has at most 65,535 of them. For columns with an index: in a
    plan for any array each row is compared with one value after the other.
    """
    return column == func.any(literal(list(values), ARRAY(column.type)))
