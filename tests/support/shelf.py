"""A client's personal states on a disk, made without a network."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from worker.personal_files import PersonalFiles, PersonalManifest
from worker.shelf.keys import ShelfKey
from worker.shelf.sealing import Owner

JOB = UUID(int=7)


def owner(root: Path, job: UUID = JOB, client: str = "c01") -> Owner:
    """A client with a shelf key of its own below the directory."""
    path = root / "keys" / f"{client}.key"
    ShelfKey.ensure(path)
    return Owner(job, client, path)


def state(files: PersonalFiles, models: Mapping[str, Mapping[str, bytes]], loss: float) -> str:
    """Save a state of these components, variant by variant; returns its digest."""
    written = {
        variant: {name: files.store.write([data]) for name, data in parts.items()}
        for variant, parts in models.items()
    }
    manifest = PersonalManifest.model_validate({"models": written, "losses": {"digits": loss}})
    text = json.dumps(manifest.model_dump(mode="json"), sort_keys=True)
    return files.store.write([text.encode()])


def two_states(root: Path, n_bytes: int = 3000) -> tuple[PersonalFiles, list[str]]:
    """The states of the last round and of stage two, accepted; the newest is the first."""
    files = PersonalFiles(root)
    z, head, distilled = (os.urandom(n_bytes) for _ in range(3))
    files.promote(state(files, {"personal": {"proj": z, "head.digits": head}}, 0.5))
    final = state(
        files,
        {
            "personal": {"proj": z, "head.digits": head},
            "distilled": {"proj": distilled, "head.digits": head},
        },
        0.5,
    )
    files.promote(final)
    return files, files.accepted()


def bytes_of(files: PersonalFiles) -> dict[str, bytes]:
    """All files of the states by their hash."""
    return {
        path.name: path.read_bytes()
        for path in files.store.root.rglob("*")
        if path.is_file() and len(path.name) == 64
    }
