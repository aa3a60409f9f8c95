"""TLS before a port of this machine, as a proxy on a server's host does it: for checks alone."""

import contextlib
import functools
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import trustme
from anyio import (
    BrokenResourceError,
    CancelScope,
    ClosedResourceError,
    connect_tcp,
    create_task_group,
    create_tcp_listener,
)
from anyio.abc import ByteStream, SocketAttribute, TaskStatus
from anyio.from_thread import start_blocking_portal
from anyio.streams.tls import TLSListener

_HERE = "127.0.0.1"


def certified(authority: Path, *names: str) -> ssl.SSLContext:
    """A server's side for these names; the certificate of who signed it is put into the file."""
    signer = trustme.CA()
    signer.cert_pem.write_to_path(str(authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signer.issue_cert(*names).configure_cert(context)
    return context


@contextlib.contextmanager
def tls_before(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """A port on all addresses, from which connections go on to the given one of 127.0.0.1."""
    with start_blocking_portal() as portal:
        serving, front = portal.start_task(_serve, port, context)
        try:
            yield front
        finally:
            serving.cancel()


async def _serve(port: int, context: ssl.SSLContext, *, task_status: TaskStatus[int]) -> None:
    async with await create_tcp_listener(family=socket.AF_INET) as tcp:
        task_status.started(tcp.extra(SocketAttribute.local_port))  # noqa: S610 - no Django here
        listener = TLSListener(tcp, context, standard_compatible=False)
        await listener.serve(functools.partial(_relay, port))


async def _relay(port: int, outer: ByteStream) -> None:
    """One connection, until either side ends it."""
    with contextlib.suppress(OSError):
        async with outer, await connect_tcp(_HERE, port) as inner, create_task_group() as both:
            both.start_soon(_copy, outer, inner, both.cancel_scope)
            both.start_soon(_copy, inner, outer, both.cancel_scope)


async def _copy(source: ByteStream, sink: ByteStream, scope: CancelScope) -> None:
    with contextlib.suppress(BrokenResourceError, ClosedResourceError):
        async for chunk in source:
            await sink.send(chunk)
    scope.cancel()
