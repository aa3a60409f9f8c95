"""Where a worker finds its coordinator, its clients and its disk."""

import os
from pathlib import Path
from typing import Annotated, Literal

from psutil import virtual_memory
from pydantic import ByteSize, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.secret_files import from_files, with_password
from shared.shelf_spec import key_file
from worker.personal_files import KEPT_BYTES


class WorkerSettings(BaseSettings):
    """From the environment, prefix TAPESTRY_. Hyper-parameters are in the job spec, never here."""

    # Compose hands on what is empty: it is not given.
    model_config = SettingsConfigDict(env_prefix="TAPESTRY_", env_ignore_empty=True, frozen=True)

    api_url: str = Field(description="Address of the API.")
    log: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or one JSON object in each."
    )
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Where its metrics are read, if anywhere."
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address of that port.")
    redis_password: SecretStr | None = Field(
        default=None, description="Of Redis, where the address has none."
    )
    redis_url: str | None = Field(default=None, description="Without it the worker polls.")
    work_dir: Path = Field(description="Artifact cache and personal states.")
    client_files: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description="The clients that it serves; separated by commas. None of a planner.",
    )
    keys_dir: Path | None = Field(
        default=None, description="Directory of NAME.key for each client; planner.key of a planner."
    )
    key: SecretStr | None = Field(default=None, description="When there is one client only.")
    poll_s: Annotated[float, Field(gt=0)] = Field(
        default=5.0, description="Seconds between asking for work unasked."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where clients' networks compute; auto takes a GPU if one is there.",
    )
    checkpoint_s: Annotated[float, Field(ge=0)] = Field(
        default=60.0, description="How often a training is written down, to go on after a kill."
    )
    states_kept_bytes: Annotated[int, Field(ge=0)] = Field(
        default=KEPT_BYTES,
        description="How much of a client's older personal states of a job is kept for forks.",
    )
    threads: Annotated[int, Field(ge=1)] = Field(
        default=1,
        description="Threads of torch; the same number on processors of one kind gives the same "
        "bits.",
    )
    trainer_assignments: Annotated[int, Field(ge=1)] = Field(
        default=200, description="After so many the training process is replaced by a fresh one."
    )
    trainer_bytes: ByteSize = Field(
        default_factory=lambda: ByteSize(virtual_memory().total // 2),
        description="Once the training process takes more memory than this, such as 8GiB, it is "
        "replaced by a fresh one; by default half of the machine's.",
    )
    cache_bytes: ByteSize = Field(
        default=ByteSize(10 << 30),
        description="What the artifact cache may take; the artifacts unused for longest go first.",
    )

    shelf_keys_dir: Path | None = Field(
        default=None,
        description="Where NAME.key of each client lies with which its personal models on the "
        "server are encrypted; by default beside the work directory.",
    )
    shelf_key_file: Path | None = Field(
        default=None, description="The same when there is one client only."
    )

    @field_validator("redis_url")
    @classmethod
    def _with_password(cls, url: str | None, info: ValidationInfo) -> str | None:
        return with_password(url, info.data.get("redis_password")) if url else None

    @field_validator("client_files", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(Path(part) for part in value.split(",") if part)
        return value

    def key_of(self, principal: str) -> str:
        """The API key of a client, or of `planner`. Raises ValueError with the remedy."""
        if self.key is not None:
            return self.key.get_secret_value()
        if self.keys_dir is None:
            raise ValueError("no key: set TAPESTRY_KEY or TAPESTRY_KEYS_DIR")
        path = self.keys_dir / f"{principal}.key"
        try:
            return path.read_text().strip()
        except OSError as error:
            raise ValueError(
                f"{path} cannot be read ({error.strerror}): put the key of {principal} there"
            ) from error

    def shelf_key_of(self, client: str) -> Path:
        """Where the client's shelf key is, or is to be made."""
        if self.shelf_key_file is not None:
            return self.shelf_key_file
        if self.shelf_keys_dir is not None:
            return self.shelf_keys_dir / f"{client}.key"
        return key_file(self.work_dir, client)


def read_settings() -> WorkerSettings:
    """Settings from the environment, and from the files it names. Raises ValueError."""
    from_files(os.environ)
    return WorkerSettings()
