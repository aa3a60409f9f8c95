"""Settings of the server's processes, from the environment (prefix TAPESTRY_)."""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.secret_files import from_files, with_password

S = TypeVar("S", bound="DatabaseSettings")


class DatabaseSettings(BaseSettings):
    """What a process needs that only talks to Postgres."""

    # Compose hands on what is empty: it is not given.
    model_config = SettingsConfigDict(env_prefix="TAPESTRY_", env_ignore_empty=True, extra="ignore")

    database_password: SecretStr | None = Field(
        default=None, description="Of Postgres, where the address has none."
    )
    database_url: str = Field(
        description="Of Postgres: postgresql+psycopg://USER:PASSWORD@HOST:PORT/NAME."
    )

    @field_validator("database_url")
    @classmethod
    def _psycopg(cls, url: str, info: ValidationInfo) -> str:
        if not url.startswith("postgresql+psycopg://"):
            raise ValueError("must start with postgresql+psycopg://")
        return with_password(url, info.data.get("database_password"))


class BrokerSettings(DatabaseSettings):
    """What a process needs that talks to Postgres and Redis."""

    redis_password: SecretStr | None = Field(
        default=None, description="Of Redis, where the address has none."
    )
    redis_url: str = Field(pattern=r"^rediss?://", description="Of Redis or Valkey.")

    @field_validator("redis_url")
    @classmethod
    def _whole(cls, url: str, info: ValidationInfo) -> str:
        return with_password(url, info.data.get("redis_password"))


class ServerSettings(BrokerSettings):
    """What the API and the coordinator need."""

    log: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or one JSON object in each."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Where the coordinator's metrics are read; the API has a route for its own.",
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address of that port.")
    artifacts_dir: Path = Field(
        description="Where artifacts lie: one directory for all of the server's processes; beside "
        "a bucket, uploads under way and copies."
    )
    artifacts_url: str | None = Field(
        default=None,
        pattern=r"^s3://[^/]+",
        description="A bucket for artifacts that all hosts share, s3://BUCKET or s3://BUCKET/PREFIX.",
    )
    artifacts_copies_bytes: int = Field(
        default=10 << 30, ge=0, description="Copies of a bucket's artifacts kept on this disk."
    )

    host: str = Field(default="127.0.0.1", description="Address on which the API listens.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port on which the API listens.")
    lease: timedelta = Field(
        default=timedelta(seconds=60), description="How long a claim lasts without a heartbeat."
    )
    aggregation_lease: timedelta = Field(
        default=timedelta(seconds=30),
        description="How long a dead coordinator holds a round that it aggregated; one that lives "
        "renews this.",
    )
    aggregation_limit: timedelta = Field(
        default=timedelta(minutes=10), description="Longest time for averaging one component."
    )
    aggregation_attempts: int = Field(
        default=5, ge=1, description="How often averaging a round may fail before its job does."
    )
    aggregation_memory_bytes: int = Field(
        default=256 << 20, ge=32 << 20, description="Memory that averaging a component may take."
    )
    retry_delay: timedelta = Field(
        default=timedelta(seconds=2), description="First wait after a retryable failure; doubles."
    )
    timer: timedelta = Field(
        default=timedelta(seconds=0.25),
        description="Period of the timer: what a step of a round waits at most without Redis.",
    )
    sweep: timedelta = Field(
        default=timedelta(minutes=1), description="Period of the watchdog and of upkeep."
    )
    reserve_bytes: int = Field(
        default=64 << 20, ge=0, description="Disk space that uploads must leave free."
    )
    unreferenced_kept: timedelta = Field(
        default=timedelta(days=1), description="How old a file that nobody needs must be to go."
    )
    late_uploads_kept: timedelta = Field(
        default=timedelta(days=7), description="How long uploads outlive the end of their round."
    )
    shelf_model_bytes: int = Field(
        default=8 << 30, ge=1, description="How large one personal model on the shelf may be."
    )
    scrub_bytes: int = Field(
        default=64 << 20, ge=0, description="Bytes of artifacts that are read again each minute."
    )


def load(kind: type[S]) -> S:
    """Settings from the environment; ends the process with one sentence where they are wrong."""
    try:
        from_files(os.environ)
        return kind()
    except ValidationError as error:
        problems = "; ".join(
            f"TAPESTRY_{str(detail['loc'][0]).upper()}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_input=False)
        )
        sys.exit(f"The settings are wrong ({problems}): set these environment variables.")
    except ValueError as error:
        sys.exit(f"The settings are wrong: {error}.")
