"""The examples of the OpenAPI document; a test reads each as the message that it is."""

from typing import Any

Example = dict[str, Any]

_JOB_ID = "4e0c1b5e-3a36-4f0b-9d6e-0f6b2f6d7c11"
_PARENT_ID = "7b9a2c4d-6e1f-4a3b-8c5d-9e0f1a2b3c55"
_FORK_ID = "9d8e7f6a-5b4c-4d3e-a2f1-0b1c2d3e4f66"
_ASSIGNMENT_ID = "b1f6f0a2-7f0f-4f6f-8a37-3d6b1a0e9c22"
_LEASE_ID = "5d4c3b2a-1f0e-4d9c-8b7a-6f5e4d3c2b33"
_UPLOAD_ID = "0a1b2c3d-4e5f-4a6b-9c8d-7e6f5a4b3c44"
_SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_AT = "2026-01-31T12:00:00Z"

JOB_SPEC: Example = {
    "name": "digits, six clients",
    "algorithm": {"name": "tap"},
    "rounds": {"count": 4, "quorum": 5, "deadline": "PT10M"},
    "tasks": {
        "digits": {
            "kind": "image_classification",
            "modalities": ["image"],
            "classes": ["zero", "one"],
            "margin": 0.01,
        }
    },
    "clients": ["c01", "c02", "c03", "c04", "c05", "c06"],
}
_WAITING: Example = {
    "cause": "waits_for_results",
    "owner": "c02",
    "since": _AT,
    "until": "2026-01-31T12:10:00Z",
    "then": "The round closes with the results that are here; the others are superseded.",
    "sentence": (
        "Round 2 (train) has 5 of 6 results, needs 5, and waits for c02 "
        "until 2026-01-31 12:10:00 UTC."
    ),
}
JOB: Example = {
    "id": _JOB_ID,
    "name": JOB_SPEC["name"],
    "algorithm": "tap",
    "state": "running",
    "round": 2,
    "rounds": 4,
    "clients": JOB_SPEC["clients"],
    "created_at": _AT,
    "updated_at": _AT,
    "failure": None,
    "waiting": _WAITING,
    "forked_from": None,
}
PAUSED_JOB: Example = {**JOB, "state": "paused"}
_FORKS: list[Example] = [{"id": _FORK_ID, "name": "digits, with a larger margin", "round": 1}]
JOB_DETAIL: Example = {**JOB, "spec": JOB_SPEC, "forks": []}
PARENT_JOB: Example = {**JOB_DETAIL, "forks": _FORKS}
_ORIGIN: Example = {"job": _PARENT_ID, "round": 2}
_FORKED_FROM: Example = {**_ORIGIN, "personal_states": {"c01": _SHA}}
FORK: Example = {"round": 2, "spec": JOB_SPEC}
FORKED_JOB: Example = {**JOB_DETAIL, "forked_from": _FORKED_FROM}
JOBS: Example = {"items": [{**JOB, "forked_from": _ORIGIN}], "next": None}
EVENTS: Example = {
    "items": [
        {
            "id": 17,
            "at": _AT,
            "kind": "round.open",
            "job_id": _JOB_ID,
            "data": {"phase": "train", "round": 2, "quorum": 5, "deadline_s": 600.0},
        }
    ]
}
WAITING: Example = {
    "items": [
        {"kind": "job", "id": _JOB_ID, "name": JOB_SPEC["name"], "waiting": _WAITING},
        {
            "kind": "assignment",
            "id": _ASSIGNMENT_ID,
            "name": "c02",
            "waiting": {
                "cause": "not_claimed",
                "owner": "c02",
                "since": _AT,
                "until": "2026-01-31T12:00:05Z",
                "then": "c02 is hinted again.",
                "sentence": "c02 has not claimed the assignment yet.",
            },
        },
    ]
}

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
    }
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
CLIENT: Example = {**CLIENT_CREATE, "created_at": _AT, "seen_at": _AT, "offer": _OFFERED}
CLIENT_CREATED: Example = {**CLIENT, "seen_at": None, "offer": None, "key": "tap_1a2b3c4d_EXAMPLE"}
CLIENTS: Example = {"items": [CLIENT]}

HELD: Example = {"lease_id": _LEASE_ID, "attempt": 1}
CLAIM_REQUEST: Example = {"held": {**HELD, "assignment_id": _ASSIGNMENT_ID}}
CLAIM: Example = {
    "assignment_id": _ASSIGNMENT_ID,
    "kind": "train",
    "job_id": _JOB_ID,
    "spec": JOB_SPEC,
    "lease": {"id": _LEASE_ID, "attempt": 1, "seconds": 60.0},
    "round": 2,
    "components": ["head.digits", "proj"],
    "tasks": {"digits": ["image"]},
    "version": 1,
    "manifest": {"head.digits": _SHA, "proj": _SHA},
    "sizes": {"head.digits": 4096, "proj": 4096},
    "base_digest": _SHA,
    "state_digest": None,
}
HEARTBEAT: Example = {**HELD, "progress": 0.4}
HEARTBEAT_REPLY: Example = {"instruction": "continue", "lease_seconds": 60.0}
_LOSSES = {"digits": {"engaged": 0.61, "personal": 0.58}}
_DECISION = {
    "task": "digits",
    "engaged_loss": 0.61,
    "personal_loss": 0.66,
    "margin": 0.01,
    "replaced": True,
}
_TRAFFIC = {"bytes_down": 8192, "bytes_up": 8192, "seconds": 3.5}
RESULT: Example = {
    **HELD,
    "kind": "train",
    "components": {"head.digits": _SHA, "proj": _SHA},
    "losses": _LOSSES,
    "decisions": [_DECISION],
    "state_digest": _SHA,
    "traffic": _TRAFFIC,
}
FAILURE: Example = {
    **HELD,
    "code": "out_of_memory",
    "message": "The GPU has 8 GiB: use a smaller batch.",
}
ASSIGNMENT: Example = {
    "id": _ASSIGNMENT_ID,
    "client": "c01",
    "kind": "train",
    "state": "accepted",
    "attempt": 1,
    "progress": 1.0,
    "losses": _LOSSES,
    "decisions": [_DECISION],
    "traffic": _TRAFFIC,
    "failure": None,
    "waiting": None,
}
FAILED_ASSIGNMENT: Example = {
    **ASSIGNMENT,
    "state": "queued",
    "losses": {},
    "decisions": [],
    "traffic": None,
    "failure": {"code": FAILURE["code"], "message": FAILURE["message"]},
}
RELEASED_ASSIGNMENT: Example = {**FAILED_ASSIGNMENT, "progress": 0.0, "failure": None}
CATALOGUE: Example = {
    "base_digest": _SHA,
    "components": {
        "proj": {
            "tensors": {"weight": {"shape": [64, 64]}, "bias": {"shape": [64]}},
            "frozen_bytes": 0,
        }
    },
}
UPLOAD_CREATE: Example = {
    **HELD,
    "assignment_id": _ASSIGNMENT_ID,
    "components": {"proj": {"sha256": _SHA, "n_bytes": 4096}},
}
UPLOAD: Example = {
    "id": _UPLOAD_ID,
    "components": ["proj"],
    "offset": 0,
    "n_bytes": 4096,
    "complete": False,
}

BUNDLE: Example = {"sha256": [_SHA]}

ROUND: Example = {
    "number": 2,
    "state": "published",
    "opened_at": _AT,
    "deadline_at": _AT,
    "closed_at": _AT,
    "quorum": 5,
    "target": 6,
    "quorum_at": _AT,
    "extensions": 0,
    "version": 2,
    "bytes_down": 8192,
    "bytes_up": 8192,
    "bytes_full_exchange": 1048576,
    "assignments": [ASSIGNMENT],
    "waiting": None,
}
ROUNDS: Example = {"items": [ROUND]}
VERSION: Example = {
    "number": 2,
    "round": 2,
    "created_at": _AT,
    "manifest": {
        "proj": {
            "sha256": _SHA,
            "n_bytes": 4096,
            "made_in": 2,
            "contributions": [{"client": "c01", "weight": 240.0}],
        }
    },
}
VERSIONS: Example = {
    "items": [
        {
            "number": 2,
            "round": 2,
            "created_at": _AT,
            "n_components": 2,
            "n_changed": 1,
            "n_bytes": 8192,
        }
    ]
}
_SCORE = {
    "metric": "accuracy",
    "value": 0.9,
    "reference": 0.5,
    "skill": 0.8,
    "n": 60,
    "metrics": {"accuracy": 0.9, "macro_f1": 0.88, "loss": 0.3},
    "intervals": {"accuracy": [0.82, 0.97], "macro_f1": [0.79, 0.96], "loss": [0.21, 0.41]},
    "encoder": None,
}
_AVERAGE = {"task": "digits", "variant": "distilled", "n": 60, "clients": 1}
_SCORES: list[Example] = [
    {
        "client": "c01",
        "task": "digits",
        "variant": "distilled",
        "score": _SCORE,
        "validation": None,
    }
]
_REPLACEMENTS: list[Example] = [{"client": "c01", "round": 1, "decision": _DECISION}]
_ATTENDANCE: list[Example] = [
    {
        "round": 1,
        "phase": "train",
        "state": "published",
        "asked": ["c01", "c02"],
        "accepted": ["c01"],
        "missing": [
            {
                "client": "c02",
                "state": "superseded",
                "reason": "the round closed without it",
                "components": ["head.digits", "proj"],
            }
        ],
        "contributors": {"head.digits": ["c01"]},
        "not_delivered": {"head.digits": ["c02"], "proj": ["c01", "c02"]},
        "carried_over": ["proj"],
    },
]
ATTENDANCE: Example = {"items": _ATTENDANCE}
REPORT: Example = {
    "job_id": _JOB_ID,
    "name": JOB_SPEC["name"],
    "algorithm": "tap",
    "state": "succeeded",
    "forked_from": None,
    "rounds": 4,
    "seconds": 83.2,
    "bytes_down": 393216,
    "bytes_up": 196608,
    "bytes_full_exchange": 6291456,
    "final_version": 4,
    "final_manifest": {"head.digits": _SHA, "proj": _SHA},
    "scores": _SCORES,
    "averages": [
        {**_AVERAGE, "metric": "accuracy", "value": 0.9},
        {**_AVERAGE, "metric": "loss", "value": 0.3},
        {**_AVERAGE, "metric": "macro_f1", "value": 0.88},
    ],
    "replacements": _REPLACEMENTS,
    "attendance": _ATTENDANCE,
    "offer_changes": [
        {
            "client": "c02",
            "task": "digits",
            "modality": None,
            "lost": True,
            "round": 2,
            "phase": "train",
        }
    ],
    "optimizer_steps": {"rounds": 80, "post_training": 13, "total": 93},
}
TAKEAWAY: Example = {
    "job_id": _JOB_ID,
    "name": JOB_SPEC["name"],
    "state": "succeeded",
    "spec": JOB_SPEC,
    "base_digest": _SHA,
    "forked_from": None,
    "parent_state_digest": None,
    "state_digest": _SHA,
    "rounds": 4,
    "took_part": [1, 2, 4],
    "tasks": {"digits": ["image"]},
    "components": ["head.digits", "proj"],
    "version": 4,
    "manifest": {
        "head.digits": {"sha256": _SHA, "n_bytes": 4096, "made_in": 4},
        "proj": {"sha256": _SHA, "n_bytes": 4096, "made_in": 2},
    },
    "scores": _SCORES,
    "replacements": _REPLACEMENTS,
}
