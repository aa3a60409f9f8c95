"""Traces, where OpenTelemetry's own environment variables ask for them; else nothing is imported.

An assignment is one trace: the claim's answer names it, and the worker names it in each request.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shared.logs import about

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

HEADER = "traceparent"  # W3C Trace Context
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_NOTHING_TO_DO = 204
_log = logging.getLogger(__name__)
_provider: "TracerProvider | None" = None


def set_up(process: str) -> None:
    """Send this process's spans by OTLP over HTTP, if that is asked for; once in each process."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or not any(os.environ.get(name) for name in _ENDPOINTS):
        return
    try:
        use(_exporting(process))
    except ImportError as error:
        _log.warning(
            "traces are asked for, but %s: run pip install '.[otel]' in Tapestry's checkout", error
        )


def use(provider: "TracerProvider | None") -> None:
    """Have spans made by it from now on; by none without one."""
    global _provider  # noqa: PLW0603  # a process sends its spans to one place
    _provider = provider


def provider() -> "TracerProvider | None":
    """What makes the process's spans, if it is traced."""
    return _provider


def _exporting(process: str) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    class Worthwhile(BatchSpanProcessor):
        """Leaves out that there was nothing to claim: idle workers ask again and again."""

        def on_end(self, span: "ReadableSpan") -> None:
            if is_worthwhile(span.attributes or {}):
                super().on_end(span)

    named = os.environ.get("OTEL_SERVICE_NAME", f"tapestry-{process}")
    made = TracerProvider(resource=Resource.create({SERVICE_NAME: named}))
    made.add_span_processor(Worthwhile(OTLPSpanExporter()))
    return made


def is_worthwhile(attributes: Mapping[str, Any]) -> bool:
    """Whether it is not a claim that the gate answered without a route, for there is nothing."""
    answered = attributes.get("http.response.status_code")
    return answered != _NOTHING_TO_DO or "http.route" in attributes


@contextmanager
def span(name: str, **attributes: object) -> Iterator[None]:
    """Trace the block, below what is traced around it; log lines in it name the trace."""
    if _provider is None:
        yield
        return
    known = {f"tapestry.{k}": str(v) for k, v in attributes.items() if v is not None}
    tracer = _provider.get_tracer("tapestry")
    with tracer.start_as_current_span(name, attributes=known), about(trace=trace_id()):
        yield


def past(name: str, began_ns: int, ended_ns: int) -> None:
    """Note what another process did meanwhile, by the clock of the wall."""
    if _provider is not None:
        made = _provider.get_tracer("tapestry").start_span(name, start_time=began_ns)
        made.end(ended_ns)


def headers() -> dict[str, str]:
    """What names the current span to whom is asked, or answered; nothing where there is none."""
    carrier: dict[str, str] = {}
    if _provider is not None:
        _propagator().inject(carrier)
    return carrier


@contextmanager
def continued(parent: str | None) -> Iterator[None]:
    """Have the block's spans below the one that this header names."""
    if _provider is None or parent is None:
        yield
        return
    from opentelemetry import context  # noqa: PLC0415

    token = context.attach(_propagator().extract({HEADER: parent}))
    try:
        yield
    finally:
        context.detach(token)


def trace_id() -> str | None:
    """The current trace's name in hexadecimal, as tools show it."""
    if _provider is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415

    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


def _propagator() -> Any:
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

    return tracecontext.TraceContextTextMapPropagator()
