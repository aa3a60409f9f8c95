"""Jobs, their specs, events and waits."""

from server.examples.ids import ASSIGNMENT_ID, AT, FORK_ID, JOB_ID, PARENT_ID, SHA, Example

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
    "shelf": "encrypted",
}
_WAITING: Example = {
    "cause": "waits_for_results",
    "owner": "c02",
    "since": AT,
    "until": "2026-01-31T12:10:00Z",
    "then": "The round closes with the results that are here; the others are superseded.",
    "sentence": (
        "Round 2 (train) has 5 of 6 results, needs 5, and waits for c02 "
        "until 2026-01-31 12:10:00 UTC."
    ),
}
JOB: Example = {
    "id": JOB_ID,
    "name": JOB_SPEC["name"],
    "algorithm": "tap",
    "state": "running",
    "round": 2,
    "rounds": 4,
    "clients": JOB_SPEC["clients"],
    "created_at": AT,
    "updated_at": AT,
    "failure": None,
    "waiting": _WAITING,
    "forked_from": None,
}
PAUSED_JOB: Example = {**JOB, "state": "paused"}
_FORKS: list[Example] = [{"id": FORK_ID, "name": "digits, with a larger margin", "round": 1}]
JOB_DETAIL: Example = {**JOB, "spec": JOB_SPEC, "forks": [], "last_event": 17}
PARENT_JOB: Example = {**JOB_DETAIL, "forks": _FORKS}
_ORIGIN: Example = {"job": PARENT_ID, "round": 2, "personal_round": None}
_FORKED_FROM: Example = {**_ORIGIN, "personal_round": 1, "personal_states": {"c01": SHA}}
FORK: Example = {"round": 2, "spec": JOB_SPEC, "personal_states": "parent", "personal_round": 1}
FORKED_JOB: Example = {**JOB_DETAIL, "forked_from": _FORKED_FROM}
JOBS: Example = {"items": [{**JOB, "forked_from": _ORIGIN}], "next": None}
EVENTS: Example = {
    "items": [
        {
            "id": 17,
            "at": AT,
            "kind": "round.open",
            "job_id": JOB_ID,
            "data": {"phase": "train", "round": 2, "quorum": 5, "deadline_s": 600.0},
        }
    ]
}
WAITING: Example = {
    "items": [
        {"kind": "job", "id": JOB_ID, "name": JOB_SPEC["name"], "waiting": _WAITING},
        {
            "kind": "assignment",
            "id": ASSIGNMENT_ID,
            "name": "c02",
            "waiting": {
                "cause": "not_claimed",
                "owner": "c02",
                "since": AT,
                "until": "2026-01-31T12:00:05Z",
                "then": "c02 is hinted again.",
                "sentence": "c02 has not claimed the assignment yet.",
            },
        },
    ]
}
