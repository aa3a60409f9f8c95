"""How pages say numbers and times."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from markupsafe import Markup, escape

from shared.sizes import size

NONE = "-"
_SAID = "%Y-%m-%d %H:%M:%S UTC"
_IN_WORDS = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)")


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
    said = value.astimezone(UTC).strftime(_SAID)
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), said)


def moments(sentence: str) -> Markup:
    """A sentence; the times in it as `moment` says them."""
    parts = _IN_WORDS.split(sentence)  # every other one is a time
    return Markup().join(_told(each) if n % 2 else escape(each) for n, each in enumerate(parts))


def _told(said: str) -> str | Markup:
    try:
        return moment(datetime.strptime(said, _SAID).replace(tzinfo=UTC))
    except ValueError:  # the 99th of a month: somebody's own words
        return said


def details(data: Mapping[str, object]) -> str:
    """What an event says besides its kind."""
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in data.items()
    )


FILTERS: Mapping[str, Callable[..., str]] = {
    "details": details,
    "bytes": n_bytes,
    "number": number,
    "percent": percent,
    "seconds": seconds,
    "moment": moment,
    "moments": moments,
}
