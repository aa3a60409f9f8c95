"""What problems say, for the examples of the OpenAPI document: of a kind with the real ones."""

from collections.abc import Mapping

from server.examples.ids import SHA
from shared.problem_codes import Code

_JOB = "The job cannot run: "

DETAILS: Mapping[Code, str] = {
    Code.UNAUTHORIZED: "Send a valid key in the header `Authorization: Bearer tap_...`; an "
    "operator can make one.",
    Code.FORBIDDEN: "A viewer key may not do this: use a key with scope admin, operator.",
    Code.NOT_FOUND: "There is no such job: check the address.",
    Code.INVALID: "Correct the request: query.limit: must be at most 200; lower it",
    Code.BAD_LENGTH: "Content-Length must be a number of bytes.",
    Code.LENGTH_REQUIRED: "Send the body with a Content-Length header.",
    Code.TOO_LARGE: "The body may have 4194304 bytes here: send a smaller one.",
    Code.CONTENT_ENCODING: "Encoded bodies are not read: send it without an encoding.",
    Code.IDEMPOTENCY_KEY_REUSED: "This Idempotency-Key was used for another body: choose a new "
    "one.",
    Code.UNAVAILABLE: "The database does not answer: try again in a moment.",
    Code.UNKNOWN_CLIENT: f"{_JOB}clients: c07 is not registered; register it or remove it from the "
    "spec.",
    Code.CLIENT_WITHOUT_OFFER: f"{_JOB}clients: c02 has made no offer; start its worker or remove "
    "it.",
    Code.CLIENT_WITHOUT_TASK: f"{_JOB}clients: c02 offers none of the job's tasks (it offers "
    "captions); add one of them to tasks or remove the client.",
    Code.OFFER_MISMATCH: f"{_JOB}tasks.digits: c02 offers 10 classes but the spec lists 2; correct "
    "the spec or the client's file.",
    Code.TASK_WITHOUT_CLIENT: f"{_JOB}tasks.digits: no client of the job offers it; add one that "
    "does or remove it.",
    Code.MODALITY_WITHOUT_CLIENT: f"{_JOB}tasks.digits: no client of the job reads text for it; "
    "add one that does or remove it from modalities.",
    Code.QUORUM_UNREACHABLE: f"{_JOB}rounds.quorum: 5 clients are needed, only 4 can take part; "
    "lower it or add clients.",
    Code.NO_TEACHER: f"{_JOB}tasks.digits.distillation_weight: is of distillation, which "
    "algorithm.distillation: false switches off; leave one of both out.",
    Code.JOB_ENDED: "The job has succeeded: there is nothing to cancel.",
    Code.JOB_NOT_ENDED: "The job is running: ask again when it has ended.",
    Code.NO_VERSION: "The job has no version 9: choose one of 0 to 4.",
    Code.NO_PERSONAL_STATES: "The clients have no personal states of round 1: choose one of 2 to "
    "4.",
    Code.NO_ROUNDS_LEFT: f"{_JOB}rounds.count: is 3 but the fork begins behind round 4; raise it "
    "to 4 or more.",
    Code.OTHER_MODEL: f"{_JOB}model: differs from the parent's, whose tensors the fork continues "
    "with; copy that section from the parent's spec.",
    Code.OTHER_TASK: f"{_JOB}tasks.digits: has another kind, modalities, classes or "
    "max_target_tokens than in the parent; copy these from the parent's spec or choose another "
    "name.",
    Code.TASK_WITHDRAWN: f"{_JOB}clients: c02 does not offer digits any more; have it offered "
    "again or remove the client.",
    Code.NO_COMPONENT: f"{_JOB}tasks: head.letters is needed but the parent has no such component; "
    "leave out the task, modality or domain that needs it.",
    Code.CLIENT_EXISTS: "Client c01 is registered already: choose another id or use its key.",
    Code.KEY_IN_USE: "Key 1a2b3c4d, which this Idempotency-Key made, was used or revoked since: "
    "use it, or make another under a new Idempotency-Key.",
    Code.TOO_MANY_KEYS: "Client c01 has 2 live keys (0a1b2c3d, 4e5f6a7b): revoke the one that its "
    "worker does not use.",
    Code.LAST_ADMIN_KEY: "Key 0a1b2c3d is the last live admin key, without which nobody makes "
    "another: make its successor first, and revoke it with that.",
    Code.STALE_LEASE: "This lease is no longer the assignment's current one: drop the work and "
    "claim again.",
    Code.WRONG_KIND: "Correct the result: kind: is train but the assignment asks for evaluate.",
    Code.INCOMPLETE: "Correct the result: components: proj is missing; add it.",
    Code.MISSING_UPLOAD: f"Correct the result: components.proj: {SHA} was not uploaded for this "
    "assignment; upload it first.",
    Code.UNKNOWN_TASK: "Correct the result: letters: is no task of this client.",
    Code.NO_CATALOGUE: "PUT the catalogue before the first upload.",
    Code.WRONG_CATALOGUE: "Correct the catalogue: base_digest: is not the spec's model.digest; "
    "give the planner that base or correct the spec.",
    Code.NOTHING_TO_UPLOAD: "This assignment uploads nothing: report its result only.",
    Code.UNKNOWN_COMPONENT: "'head.letters' is not to be uploaded for this assignment: leave it "
    "out.",
    Code.WRONG_LENGTH: "proj has 8192 bytes in the catalogue, not 4096: send exactly those.",
    Code.WRONG_OFFSET: "The next byte wanted is 4096, not 0: go on from there.",
    Code.WRONG_HEADER: "The header of proj is not the catalogue's: send exactly its tensors in the "
    "canonical form.",
    Code.WRONG_HASH: f"The bytes of proj have sha256 {SHA}: upload them again.",
    Code.WRONG_RANGE: "Ask for one range inside the 8192 bytes, such as bytes=0-8191.",
    Code.TOO_SHORT: "4 bytes of proj are missing at the end: upload it again.",
    Code.NOT_FINITE: "A value of proj is NaN or infinite: do not send a model that has diverged.",
    Code.UPLOAD_BUSY: "Another request writes to this upload: wait for it, then ask for the "
    "offset.",
    Code.NO_SPACE: "The server's disk has no space for this upload: free some, then try again.",
    Code.STORE_READ_ONLY: "The server's disk failed and nothing more is written to it: check it, "
    "then restart the server.",
    Code.NOT_ASKED: "The job's spec says shelf: none, so no plain model is kept: fork the job with "
    "another, or keep it yourself.",
}
