"""The stable codes of problems, which programs act on; `make reference` makes a page of them."""

from enum import StrEnum


class Code(StrEnum):
    """What is wrong with a request; the problem's `detail` says what to do about it."""

    # of every request
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BAD_REQUEST = "bad_request"
    INVALID = "invalid"
    BAD_LENGTH = "bad_length"
    LENGTH_REQUIRED = "length_required"
    TOO_LARGE = "too_large"
    CONTENT_ENCODING = "content_encoding"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"

    # of jobs
    UNKNOWN_CLIENT = "unknown_client"
    CLIENT_WITHOUT_OFFER = "client_without_offer"
    CLIENT_WITHOUT_TASK = "client_without_task"
    OFFER_MISMATCH = "offer_mismatch"
    TASK_WITHOUT_CLIENT = "task_without_client"
    MODALITY_WITHOUT_CLIENT = "modality_without_client"
    QUORUM_UNREACHABLE = "quorum_unreachable"
    NO_TEACHER = "no_teacher"
    JOB_ENDED = "job_ended"
    JOB_NOT_ENDED = "job_not_ended"

    # of forks
    NO_VERSION = "no_version"
    NO_PERSONAL_STATES = "no_personal_states"
    NO_ROUNDS_LEFT = "no_rounds_left"
    OTHER_MODEL = "other_model"
    OTHER_TASK = "other_task"
    TASK_WITHDRAWN = "task_withdrawn"
    NO_COMPONENT = "no_component"

    # of clients
    CLIENT_EXISTS = "client_exists"
    KEY_IN_USE = "key_in_use"

    # of keys
    TOO_MANY_KEYS = "too_many_keys"
    LAST_ADMIN_KEY = "last_admin_key"

    # of assignments
    STALE_LEASE = "stale_lease"
    WRONG_KIND = "wrong_kind"
    INCOMPLETE = "incomplete"
    MISSING_UPLOAD = "missing_upload"
    UNKNOWN_TASK = "unknown_task"
    NO_CATALOGUE = "no_catalogue"
    WRONG_CATALOGUE = "wrong_catalogue"

    # of uploads and artifacts
    NOTHING_TO_UPLOAD = "nothing_to_upload"
    UNKNOWN_COMPONENT = "unknown_component"
    WRONG_LENGTH = "wrong_length"
    WRONG_OFFSET = "wrong_offset"
    WRONG_HEADER = "wrong_header"
    WRONG_HASH = "wrong_hash"
    WRONG_RANGE = "wrong_range"
    TOO_SHORT = "too_short"
    NOT_FINITE = "not_finite"
    UPLOAD_BUSY = "upload_busy"
    NO_SPACE = "no_space"
    STORE_READ_ONLY = "store_read_only"

    # of the personal-model shelf
    NOT_ASKED = "not_asked"


MEANINGS: dict[Code, tuple[str, str]] = {  # the statuses, and what is the case
    Code.UNAUTHORIZED: ("401", "There is no key in the request, or none that is valid."),
    Code.FORBIDDEN: ("403", "The key's scope does not allow it."),
    Code.NOT_FOUND: ("404", "It does not exist, or is not the caller's to see."),
    Code.METHOD_NOT_ALLOWED: ("405", "The address is there, and not for this method."),
    Code.BAD_REQUEST: ("400", "The request cannot be read."),
    Code.INVALID: ("422", "The request does not fit the contract; `errors` names each field."),
    Code.BAD_LENGTH: ("400", "Content-Length is no number."),
    Code.LENGTH_REQUIRED: ("411", "The body's length is not declared."),
    Code.TOO_LARGE: ("413", "The body is larger than the route takes, or than what was announced."),
    Code.CONTENT_ENCODING: ("415", "The body is compressed or otherwise encoded."),
    Code.IDEMPOTENCY_KEY_REUSED: ("422", "The Idempotency-Key stood beside another body before."),
    Code.UNAVAILABLE: ("503", "Postgres does not answer: again after Retry-After seconds."),
    Code.INTERNAL: ("500", "A fault of the server; its log has the cause."),
    Code.UNKNOWN_CLIENT: ("422", "The job names a client that is not registered."),
    Code.CLIENT_WITHOUT_OFFER: ("422", "A client has not said yet what it has: start its worker."),
    Code.CLIENT_WITHOUT_TASK: ("422", "A client offers none of the job's tasks."),
    Code.OFFER_MISMATCH: (
        "422",
        "A client offers a task of another kind or number of classes.",
    ),
    Code.TASK_WITHOUT_CLIENT: ("422", "Nobody offers one of the job's tasks."),
    Code.MODALITY_WITHOUT_CLIENT: ("422", "Nobody reads one of a task's modalities."),
    Code.QUORUM_UNREACHABLE: ("422", "The rounds need more clients than the job can have."),
    Code.NO_TEACHER: ("422", "A weight or temperature of a distillation that does not take place."),
    Code.JOB_ENDED: ("409", "The job has ended, and what has ended does not change."),
    Code.JOB_NOT_ENDED: ("409", "The job has not ended: there is no report yet."),
    Code.NO_VERSION: ("409", "The parent has no such version."),
    Code.NO_PERSONAL_STATES: ("409", "The parent's clients hold no personal states of that round."),
    Code.NO_ROUNDS_LEFT: ("422", "The fork begins where its spec already ends."),
    Code.OTHER_MODEL: ("422", "The fork's model or factors are not its parent's."),
    Code.OTHER_TASK: ("422", "A task of the fork has its parent's name and is another."),
    Code.TASK_WITHDRAWN: ("422", "The parent has learnt a task that the fork's clients lack."),
    Code.NO_COMPONENT: (
        "422",
        "The fork needs a component that the version does not have.",
    ),
    Code.CLIENT_EXISTS: ("409", "A client of that name is registered."),
    Code.KEY_IN_USE: ("409", "The key has been used or revoked: it is not handed out again."),
    Code.TOO_MANY_KEYS: ("409", "The client has two live keys: revoke one before another is made."),
    Code.LAST_ADMIN_KEY: ("409", "It is the last live admin key: make its successor first."),
    Code.STALE_LEASE: (
        "409",
        "The assignment was given to another, or has been decided about.",
    ),
    Code.WRONG_KIND: ("422", "The result is of another kind than the assignment."),
    Code.INCOMPLETE: ("422", "The result lacks components."),
    Code.MISSING_UPLOAD: ("422", "The result names bytes that were not uploaded for it."),
    Code.UNKNOWN_TASK: ("422", "The result speaks of a task that is not the client's."),
    Code.NO_CATALOGUE: ("409, 422", "The planner has not said yet what the components are."),
    Code.WRONG_CATALOGUE: ("422", "The catalogue does not fit the assignment."),
    Code.NOTHING_TO_UPLOAD: ("422", "The assignment uploads nothing."),
    Code.UNKNOWN_COMPONENT: ("422", "The assignment has no such component."),
    Code.WRONG_LENGTH: ("422", "A component's length is not the catalogue's."),
    Code.WRONG_OFFSET: ("409", "The server has more or fewer bytes: go on from where it says."),
    Code.WRONG_HEADER: ("422", "A component's tensors are not the catalogue's."),
    Code.WRONG_HASH: ("422", "The bytes are not those that were announced."),
    Code.WRONG_RANGE: ("416", "The range lies outside the artifact."),
    Code.TOO_SHORT: ("422", "Bytes are missing at the end."),
    Code.NOT_FINITE: ("422", "A value is NaN or infinite: the model has diverged."),
    Code.UPLOAD_BUSY: ("409", "An earlier request still writes to this upload: again in a moment."),
    Code.NO_SPACE: ("507", "The server's disk has no space: again after Retry-After seconds."),
    Code.STORE_READ_ONLY: (
        "507",
        "The server's disk has failed: check it and restart the server.",
    ),
    Code.NOT_ASKED: (
        "409",
        "The job's spec does not ask for personal models in that form.",
    ),
}
