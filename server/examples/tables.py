"""A job's results as flat tables."""

from server.examples.ids import AT, Example

_WHERE: Example = {"round": 2, "client": "c01", "task": "digits"}
LOSS_TABLE: Example = {"items": [{**_WHERE, "engaged": 0.61, "personal": 0.58}], "next": None}
DECISION_TABLE: Example = {
    "items": [
        {
            **_WHERE,
            "engaged_loss": 0.61,
            "personal_loss": 0.66,
            "margin": 0.01,
            "replaced": True,
            "components": 12,
        }
    ],
    "next": None,
}
CONTRIBUTION_TABLE: Example = {
    "items": [
        {"version": 2, "component": "proj", "client": "c01", "weight": 240.0, "norm": 0.7},
        {"version": 2, "component": "proj", "client": "c02", "weight": 80.0, "norm": 0.4},
    ],
    "next": None,
}
COMPONENT_TABLE: Example = {
    "items": [
        {
            "component": "proj",
            "n_bytes": 4096,
            "n_changes": 2,
            "last_changed": 2,
            "last_contributors": ["c01", "c02"],
            "clients": ["c01", "c02", "c03"],
        }
    ],
    "next": None,
}
TRAFFIC_TABLE: Example = {
    "items": [
        {
            "phase": "train",
            "round": 2,
            "state": "published",
            "asked": 6,
            "accepted": 5,
            "bytes_down": 8192,
            "bytes_up": 8192,
            "bytes_full_exchange": 1048576,
            "opened_at": AT,
            "seconds": 83.2,
        }
    ],
    "next": None,
}
SCORE_TABLE: Example = {
    "items": [
        {
            "client": "c01",
            "task": "digits",
            "kind": "image_classification",
            "variant": "distilled",
            "metric": "accuracy",
            "value": 0.9,
            "lower": 0.82,
            "upper": 0.97,
            "skill": 0.8,
            "n": 60,
            "of": None,
        }
    ],
    "next": None,
}
