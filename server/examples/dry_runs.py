"""Dry runs: what operators read, and what planners say."""

from server.examples.ids import AT, DRY_RUN_ID, PARENT_ID, SHA, Example
from server.examples.jobs import JOB_SPEC

_OTHER_SHA = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
_COMPONENTS: Example = {
    "head.digits": {
        "tensors": {"bias": {"shape": [2]}, "weight": {"shape": [2, 64]}},
        "frozen_bytes": 0,
    },
    "proj": {
        "tensors": {"bias": {"shape": [64]}, "weight": {"shape": [64, 64]}},
        "frozen_bytes": 0,
    },
}
_SHARES: Example = {
    client: {
        "train": 120,
        "domains": {"general": 120},
        "validation": 20,
        "test": 40,
        "modalities": ["image"],
        "lacking": [],
        "per_class": [64, 56],
    }
    for client in JOB_SPEC["clients"]
}
_HEAD: Example = {"n_values": 130, "n_bytes": 664, "frozen_bytes": 0}
_PROJ: Example = {"n_values": 4160, "n_bytes": 16784, "frozen_bytes": 0}
_BOTH: Example = {"n_values": 4290, "n_bytes": 17448, "frozen_bytes": 0}
_WEIGHTS: Example = dict.fromkeys(JOB_SPEC["clients"], 120)
_CLIENT: Example = {
    "seen_at": AT,
    "tasks": ["digits"],
    "components": ["head.digits", "proj"],
    "size": _BOTH,
    "traffic": {"first_down": 17448, "later_down": 17448, "up": 17448, "full_exchange": 34320},
    "time": {
        "round_s": 12.5,
        "stage_two_s": 8.0,
        "evaluation_s": 2.0,
        "stands_on": "medians of 4 training rounds, 1 times of stage two, 1 evaluations with a "
        "model of this size",
    },
}

DRY_RUN_CLAIM: Example = {
    "id": DRY_RUN_ID,
    "spec": JOB_SPEC,
    "components": ["head.digits", "proj"],
}
DRY_RUN_DESCRIPTION: Example = {
    "catalogue": {"base_digest": SHA, "components": _COMPONENTS},
    "version": {"head.digits": SHA, "proj": _OTHER_SHA},
}
DRY_RUN_FAILURE: Example = {
    "code": "base_mismatch",
    "message": "the base 'my-base' cannot be loaded: give a directory",
}
DRY_RUN: Example = {
    "id": DRY_RUN_ID,
    "created_at": AT,
    "forked_from": None,
    "verdict": "can_run",
    "complete": True,
    "reasons": [],
    "warnings": ["tasks.digits: c06 reads no text; what they lack they neither train nor use"],
    "waiting": None,
    "base_digest": SHA,
    "tasks": {"digits": {"clients": _SHARES, "train": 720}},
    "components": {
        "head.digits": {"contributors": _WEIGHTS, "size": _HEAD},
        "proj": {"contributors": _WEIGHTS, "size": _PROJ},
    },
    "clients": dict.fromkeys(JOB_SPEC["clients"], _CLIENT),
    "version": _BOTH,
    "round": {
        "asked": 6,
        "bytes_down_first": 104688,
        "bytes_down": 104688,
        "bytes_up": 104688,
        "bytes_full_exchange": 205920,
        "time": {"least_s": 12.5, "most_s": 75.0},
    },
    "job": {
        "rounds": 4,
        "bytes_down": 523440,
        "bytes_up": 418752,
        "bytes_full_exchange": 926640,
        "time": {"least_s": 60.0, "most_s": 360.0},
    },
}
FORK_DRY_RUN: Example = {
    **DRY_RUN,
    "forked_from": {"job": PARENT_ID, "round": 2, "personal_round": 1},
    "job": {
        "rounds": 2,
        "bytes_down": 314064,
        "bytes_up": 209376,
        "bytes_full_exchange": 514800,
        "time": {"least_s": 35.0, "most_s": 210.0},
    },
}
