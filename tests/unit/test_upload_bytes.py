"""Whatever bytes come as a component, they are kept only if they are one; nothing else happens."""

import hashlib
import io
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.updates.validation import RefusedError, validate
from shared.messages import ComponentSpec, TensorSpec
from shared.tensor_file import component_layout
from tests.support.scripted import component_bytes, component_spec

pytestmark = pytest.mark.unit

SPEC: ComponentSpec = component_spec()
GOOD = component_bytes(1, 2, 3)
N_VALUES = 3
HEADER = GOOD[: -4 * N_VALUES]
FLOATS = st.floats(width=32)


def refusal(data: bytes, sha256: str) -> str:
    """Why the bytes are refused; empty where they are not."""
    try:
        validate(io.BytesIO(data), "proj", SPEC, sha256)
    except RefusedError as error:
        return error.code
    return ""


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@given(st.binary(max_size=2 * len(GOOD)))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert refusal(data, sha(data)) == "wrong_header"


def test_a_worker_of_another_version_is_named_as_a_likely_cause() -> None:
    other = component_layout(ComponentSpec(tensors={"w": TensorSpec(shape=(4,))})).header
    with pytest.raises(RefusedError) as caught:
        validate(io.BytesIO(other), "proj", SPEC, sha(other))
    assert str(caught.value) == (
        "The header of proj is not the catalogue's: send exactly its tensors in the canonical "
        "form, or bring a worker of another version to the coordinator's."
    )


@given(st.lists(FLOATS, min_size=N_VALUES, max_size=N_VALUES))
def test_any_values_are_taken_if_all_are_finite(values: list[float]) -> None:
    data = HEADER + struct.pack(f"<{N_VALUES}f", *values)
    assert refusal(data, sha(data)) == ("" if all(map(math.isfinite, values)) else "not_finite")


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.booleans())
def test_a_changed_byte_is_noticed_wherever_it_is(place: int, change: int, honest: bool) -> None:
    data = bytearray(GOOD)
    data[place] ^= change
    found = refusal(bytes(data), sha(bytes(data)) if honest else sha(GOOD))
    if place < len(HEADER):
        assert found == "wrong_header"
    elif honest:
        assert found in {"", "not_finite"}  # it says that these are its values
    else:
        assert found in {"wrong_hash", "not_finite"}


@given(st.integers(0, len(GOOD) - 1), st.booleans())
def test_a_stream_that_ends_too_early_is_refused(length: int, honest: bool) -> None:
    data = GOOD[:length]
    assert refusal(data, sha(data if honest else GOOD)) in {"wrong_header", "too_short"}
