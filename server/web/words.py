"""How pages say numbers and times."""

from collections.abc import Callable, Mapping
from datetime import datetime

from markupsafe import Markup

from shared.sizes import size

NONE = "-"


def n_bytes(value: float | None) -> str:
    """Bytes for people."""
    return NONE if value is None else size(value)


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many digits behind the point."""
    return NONE if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share."""
    return NONE if value is None else f"{value:.0%}"


def seconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return NONE
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def moment(value: datetime | None) -> str | Markup:
    """A time; in UTC, and in the reader's own zone once the page's script has run."""
    if value is None:
        return NONE
    said = value.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), said)


FILTERS: Mapping[str, Callable[..., str]] = {
    "bytes": n_bytes,
    "number": number,
    "percent": percent,
    "seconds": seconds,
    "moment": moment,
}
