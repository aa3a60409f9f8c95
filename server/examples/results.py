"""Rounds, versions, attendance, reports and what is taken away."""

from server.examples.ids import AT, JOB_ID, PARENT_ID, SHA, Example
from server.examples.jobs import JOB_SPEC
from server.examples.shelf import SHELF_ROWS
from server.examples.work import ASSIGNMENT, DECISION

ROUND: Example = {
    "number": 2,
    "state": "published",
    "opened_at": AT,
    "deadline_at": AT,
    "closed_at": AT,
    "quorum": 5,
    "target": 6,
    "quorum_at": AT,
    "extensions": 0,
    "version": 2,
    "bytes_down": 8192,
    "bytes_up": 8192,
    "bytes_full_exchange": 1048576,
    "assignments": [ASSIGNMENT],
    "waiting": None,
}
ROUND_DETAIL: Example = {**ROUND, "last_event": 17}
ROUNDS: Example = {"items": [ROUND], "last_event": 17}
TIMELINE: Example = {
    "items": [
        {
            "round": 2,
            "client": "c01",
            "attempt": 1,
            "claimed_at": AT,
            "ended_at": AT,
            "end": "accepted",
        }
    ]
}
VERSION: Example = {
    "number": 2,
    "round": 2,
    "created_at": AT,
    "manifest": {
        "proj": {
            "sha256": SHA,
            "n_bytes": 4096,
            "made_in": 2,
            "relative_error": 0.08,
            "contributions": [{"client": "c01", "weight": 240.0}],
        }
    },
}
VERSIONS: Example = {
    "items": [
        {
            "number": 2,
            "round": 2,
            "created_at": AT,
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
    "of": None,
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
_REPLACEMENTS: list[Example] = [{"client": "c01", "round": 1, "decision": DECISION}]
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
    "job_id": JOB_ID,
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
    "final_manifest": {"head.digits": SHA, "proj": SHA},
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
    "shelf": SHELF_ROWS,
    "optimizer_steps": {"rounds": 80, "post_training": 13, "total": 93},
}
_ALONE = {**_SCORE, "value": 0.7, "skill": 0.666667}
BENEFITS: Example = {
    "job_id": JOB_ID,
    "alone": PARENT_ID,
    "averaged": None,
    "sentence": "Federation helped 1 of 1; it hurt none.",
    "rows": [
        {
            "client": "c01",
            "task": "digits",
            "models": {"distilled": _SCORE},
            "last": "distilled",
            "alone": _ALONE,
            "averaged": None,
            "gain": 0.222222,
            "difference": [0.06, 0.34],
            "verdict": "helped",
        }
    ],
}
TAKEAWAY: Example = {
    "job_id": JOB_ID,
    "name": JOB_SPEC["name"],
    "state": "succeeded",
    "spec": JOB_SPEC,
    "base_digest": SHA,
    "forked_from": None,
    "parent_state_digest": None,
    "state_digest": SHA,
    "rounds": 4,
    "took_part": [1, 2, 4],
    "tasks": {"digits": ["image"]},
    "components": ["head.digits", "proj"],
    "version": 4,
    "manifest": {
        "head.digits": {"sha256": SHA, "n_bytes": 4096, "made_in": 4},
        "proj": {"sha256": SHA, "n_bytes": 4096, "made_in": 2},
    },
    "scores": _SCORES,
    "replacements": _REPLACEMENTS,
}
