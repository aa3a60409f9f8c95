"""Clients, what they offer, and their cards."""

from server.examples.ids import AT, Example

OFFER: Example = {
    "tasks": {
        "digits": {
            "kind": "image_classification",
            "modalities": ["image"],
            "n_classes": 2,
            "train": {"general": 240},
            "validation": 60,
            "test": 60,
        }
    },
    "shelf": "encrypted",
}
_PIXELS = {"least": 28, "median": 28, "most": 28}
_SPLIT: Example = {"samples": 60, "widths": _PIXELS, "heights": _PIXELS, "per_class": [31, 29]}
_CARD: Example = {
    "tasks": {
        "digits": {
            "kind": "image_classification",
            "skipped": 1,
            "train": {**_SPLIT, "samples": 240, "per_class": [130, 110]},
            "validation": _SPLIT,
            "test": _SPLIT,
        }
    },
    "errors": 0,
    "warnings": 1,
}
WHO: Example = {"scope": "client", "client": "c01"}
CLIENT_CREATE: Example = {"id": "c01", "description": "radiology, north wing"}
_OFFERED: Example = {**OFFER, "card": _CARD}
CLIENT: Example = {**CLIENT_CREATE, "created_at": AT, "seen_at": AT, "offer": _OFFERED}
CLIENT_CREATED: Example = {**CLIENT, "seen_at": None, "offer": None, "key": "tap_1a2b3c4d_EXAMPLE"}
CLIENTS: Example = {"items": [CLIENT]}
KEY_CREATE: Example = {"scope": "viewer", "lifetime": "P90D"}
CLIENT_KEY_CREATE: Example = {"lifetime": None}
_KEY: Example = {
    "prefix": "1a2b3c4d",
    "scope": "viewer",
    "client": None,
    "state": "live",
    "created_at": AT,
    "used_at": None,
    "expires_at": "2026-05-01T12:00:00Z",
    "revoked_at": None,
}
KEY_CREATED: Example = {**_KEY, "key": "tap_1a2b3c4d_EXAMPLE"}
_CLIENT_KEY: Example = {
    **_KEY, "prefix": "5e6f7a8b", "scope": "client", "client": "c01", "expires_at": None,
}  # fmt: skip
CLIENT_KEY_CREATED: Example = {**_CLIENT_KEY, "key": "tap_5e6f7a8b_EXAMPLE"}
KEY_REVOKED: Example = {**_KEY, "state": "revoked", "revoked_at": AT}
KEYS: Example = {"items": [{**_KEY, "used_at": AT}, _CLIENT_KEY], "next": None}
