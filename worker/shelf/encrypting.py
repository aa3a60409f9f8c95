"""Encrypts and decrypts a stream with a shelf key, in pieces: memory is flat.

libsodium's secretstream (XChaCha20-Poly1305) does it: each piece is bound to all before it and to
what the stream is about, and the last one is marked. So pieces that were changed, swapped, left
out or added, an end that is missing, and a stream about something else are all noticed.
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_ABYTES,
    crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    crypto_secretstream_xchacha20poly1305_init_pull,
    crypto_secretstream_xchacha20poly1305_init_push,
    crypto_secretstream_xchacha20poly1305_pull,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_state,
    crypto_secretstream_xchacha20poly1305_TAG_FINAL,
    crypto_secretstream_xchacha20poly1305_TAG_MESSAGE,
)
from nacl.exceptions import CryptoError

from worker.shelf.errors import ShelfError, ShelfKeyError
from worker.shelf.keys import ID_BYTES, ShelfKey

PIECE_BYTES = 1 << 20
_SEALED_BYTES = PIECE_BYTES + crypto_secretstream_xchacha20poly1305_ABYTES
_FINAL = crypto_secretstream_xchacha20poly1305_TAG_FINAL
_MESSAGE = crypto_secretstream_xchacha20poly1305_TAG_MESSAGE


def encrypted(chunks: Iterable[bytes], key: ShelfKey, about: bytes) -> Iterator[bytes]:
    """The stream under the key; `about` must be given again to read it."""
    state = crypto_secretstream_xchacha20poly1305_state()
    yield key.id + crypto_secretstream_xchacha20poly1305_init_push(state, key.secret)
    pieces = _pieces(chunks)
    last = next(pieces, b"")
    for piece in pieces:
        yield crypto_secretstream_xchacha20poly1305_push(state, last, about, _MESSAGE)
        last = piece
    yield crypto_secretstream_xchacha20poly1305_push(state, last, about, _FINAL)


def decrypted(file: BinaryIO, key: ShelfKey, about: bytes) -> Iterator[bytes]:
    """What was encrypted, to the end of the file: each piece is genuine, the whole at the end.

    Raises ShelfError.
    """
    _check_key(file.read(ID_BYTES), key)
    header = file.read(crypto_secretstream_xchacha20poly1305_HEADERBYTES)
    state = crypto_secretstream_xchacha20poly1305_state()
    tag = _MESSAGE
    try:
        crypto_secretstream_xchacha20poly1305_init_pull(state, header, key.secret)
        while tag != _FINAL:
            sealed = file.read(_SEALED_BYTES)
            piece, tag = crypto_secretstream_xchacha20poly1305_pull(state, sealed, about)
            yield piece
    except CryptoError as error:  # also of a length that cannot be, such as none
        raise _damaged() from error
    if file.read(1):
        raise _damaged()


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of one length but for the last."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= PIECE_BYTES:
            yield bytes(held[:PIECE_BYTES])
            del held[:PIECE_BYTES]
    if held:
        yield bytes(held)


def _check_key(wanted: bytes, key: ShelfKey) -> None:
    if len(wanted) < ID_BYTES:
        raise _damaged()
    if wanted != key.id:
        raise ShelfKeyError(
            f"the model was encrypted with shelf key {wanted.hex()}, and {key.path} holds "
            f"{key.id.hex()}: name the right file by --shelf-key"
        )


def _damaged() -> ShelfError:
    return ShelfError(
        "the model on the shelf is damaged, or was put there for another job or client: have the "
        "operator restore it from a backup, or put it there again"
    )
