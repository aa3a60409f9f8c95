"""A task of the client file: which data are read, and how."""

import string
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.components import Modality, TaskKind
from shared.job_spec import GENERAL, TaskSpec
from shared.spec import Name, Spec, Title
from worker.data.rows import Needs, RowField

SplitName = Literal["train", "validation", "test"]
Share = Annotated[float, Field(gt=0, lt=1)]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class Shares(Spec):
    """Splits drawn from one source; what is neither validation nor test trains."""

    validation: Share = Field(default=0.1, description="Share of the samples.")
    test: Share = Field(default=0.1, description="Share of the samples.")
    seed: NonNegativeInt = Field(
        default=0, description="Of the draw; the same data and seed give the same splits."
    )
    by: Title | None = Field(
        default=None, description="Column whose equal values stay in one split, such as a patient."
    )

    @model_validator(mode="after")
    def _something_trains(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to train on: lower them")
        return self


class ClientTask(Spec):
    """One task of a client; paths are relative to the client file.

    Its samples lie in three sources, or in one of which splits are drawn. A source is a .jsonl,
    .csv, .tsv or .parquet file, a folder of images, or a saved Arrow data set.
    """

    kind: TaskKind = Field(description="As in the job.")
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)] = Field(
        description="What the client reads of the job's modalities."
    )
    classes: tuple[Title, ...] = Field(
        default=(), description="As in the job, in the same order; classification only."
    )
    domains: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        default=(GENERAL,), description="Those of the job's domains that the samples are of."
    )
    train: Path | None = Field(default=None, description="Source of what is trained on.")
    validation: Path | None = Field(
        default=None, description="Source of what margins and the guard look at."
    )
    test: Path | None = Field(
        default=None, description="Source of what the report's scores are measured on."
    )
    data: Path | None = Field(default=None, description="One source instead of three.")
    split: Shares = Shares()
    columns: dict[RowField, Title] = Field(
        default={},
        description="Where a field lies: a column's name, or a template such as "
        "`{title}. {body}`; the field's own name if absent.",
    )
    labels: dict[str, Title] = Field(
        default={}, description="Class names for labels that are written otherwise."
    )
    images: Path = Field(default=Path(), description="Where the paths of images start.")
    on_error: Literal["refuse", "skip"] = Field(
        default="refuse", description="What becomes of a sample that cannot be used."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            TaskSpec(
                kind=self.kind,
                modalities=self.modalities,
                classes=self.classes,
                domains=self.domains,
            )
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return self

    @field_validator("columns")
    @classmethod
    def _templates(cls, columns: dict[RowField, str]) -> dict[RowField, str]:
        for name, column in columns.items():
            try:
                list(string.Formatter().parse(column if "{" in column else ""))
            except ValueError as error:
                raise ValueError(
                    f"{name} is no template ({error}); write each column as {{name}}"
                ) from None
        return columns

    @model_validator(mode="after")
    def _one_source_or_three(self) -> Self:
        lacking = [split for split in SPLITS if getattr(self, split) is None]
        if self.data is None and lacking:
            raise ValueError(f"{lacking[0]} is missing; add it, or give one source as data")
        if self.data is not None and len(lacking) < len(SPLITS):
            raise ValueError("data is given beside train, validation or test; remove either")
        if self.data is None and "split" in self.model_fields_set:
            raise ValueError("split draws from data; give data, or remove split")
        unknown = sorted(set(self.labels.values()) - set(self.classes))
        if unknown:
            raise ValueError(f"labels names {unknown[0]!r}, which is no class; correct it")
        return self

    def source(self, split: SplitName) -> Path:
        """Where the samples of a split lie."""
        found = getattr(self, split) if self.data is None else self.data
        assert isinstance(found, Path)  # noqa: S101  # one of both is always there
        return found

    @property
    def needs(self) -> Needs:
        """What the task reads of each row."""
        fields = [str(modality) for modality in self.modalities]
        if self.classes:
            fields.append("label")
        if self.kind is TaskKind.TEXT_GENERATION:
            fields.append("target")
        return Needs(
            tuple(fields),
            self.classes,
            self.domains,
            self.columns,
            self.labels,
            self.images,
            self.split.by or "",
        )
