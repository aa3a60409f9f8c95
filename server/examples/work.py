"""Assignments and uploads: what workers say and hear."""

from server.examples.ids import ASSIGNMENT_ID, JOB_ID, LEASE_ID, SHA, UPLOAD_ID, Example
from server.examples.jobs import JOB_SPEC

HELD: Example = {"lease_id": LEASE_ID, "attempt": 1}
CLAIM_REQUEST: Example = {"held": {**HELD, "assignment_id": ASSIGNMENT_ID}}
CLAIM: Example = {
    "assignment_id": ASSIGNMENT_ID,
    "kind": "train",
    "job_id": JOB_ID,
    "spec": JOB_SPEC,
    "lease": {"id": LEASE_ID, "attempt": 1, "seconds": 60.0},
    "round": 2,
    "components": ["head.digits", "proj"],
    "tasks": {"digits": ["image"]},
    "version": 1,
    "manifest": {"head.digits": SHA, "proj": SHA},
    "sizes": {"head.digits": 4096, "proj": 4096},
    "base_digest": SHA,
    "state_digest": None,
}
HEARTBEAT: Example = {**HELD, "progress": 0.4}
HEARTBEAT_REPLY: Example = {"instruction": "continue", "lease_seconds": 60.0}
_LOSSES = {"digits": {"engaged": 0.61, "personal": 0.58}}
DECISION = {
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
    "components": {"head.digits": SHA, "proj": SHA},
    "losses": _LOSSES,
    "decisions": [DECISION],
    "state_digest": SHA,
    "traffic": _TRAFFIC,
    "pace": {"steps": 40, "step_seconds": 0.07},
}
FAILURE: Example = {
    **HELD,
    "code": "out_of_memory",
    "message": "The GPU has 8 GiB: use a smaller batch.",
}
ASSIGNMENT: Example = {
    "id": ASSIGNMENT_ID,
    "client": "c01",
    "kind": "train",
    "state": "accepted",
    "attempt": 1,
    "progress": 1.0,
    "losses": _LOSSES,
    "decisions": [DECISION],
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
    "base_digest": SHA,
    "components": {
        "proj": {
            "tensors": {"weight": {"shape": [64, 64]}, "bias": {"shape": [64]}},
            "frozen_bytes": 0,
        }
    },
}
UPLOAD_CREATE: Example = {
    **HELD,
    "assignment_id": ASSIGNMENT_ID,
    "components": {"proj": {"sha256": SHA, "n_bytes": 4096}},
}
UPLOAD: Example = {
    "id": UPLOAD_ID,
    "components": ["proj"],
    "offset": 0,
    "n_bytes": 4096,
    "complete": False,
}

BUNDLE: Example = {"sha256": [SHA]}
