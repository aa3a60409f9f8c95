"""The personal-model shelf."""

from server.examples.ids import AT, JOB_ID, SHA, UPLOAD_ID, Example

SHELF_PUT: Example = {
    "form": "encrypted",
    "sha256": SHA,
    "n_bytes": 4096,
    "state_digest": SHA,
}
SHELF_UPLOAD: Example = {"id": UPLOAD_ID, "offset": 0, "n_bytes": 4096, "complete": False}
_ITEM: Example = {**SHELF_PUT, "id": UPLOAD_ID, "current": True, "put_at": AT}
SHELF_ROWS: list[Example] = [
    {"client": "c01", "agreed": "encrypted", "item": _ITEM},
    {"client": "c02", "agreed": "none", "item": None},
]
SHELF: Example = {"job_id": JOB_ID, "asked": "encrypted", "items": SHELF_ROWS}
SHELF_DELETED: Example = {"clients": ["c01"], "n_bytes": 4096}
