"""Faults of one link between two processes."""

from collections.abc import Callable
from random import Random

from tests.chaos.proxy import ANSWERS, REQUESTS, Link
from tests.chaos.stack import Disturbed

Heal = Callable[[], bool]  # ends a fault; whether it has hit anything


def cut(stack: Disturbed, link: Link, _: Random) -> Heal | None:
    """End all connections."""
    return (lambda: True) if stack.proxy.cut(link) else None


def hole(stack: Disturbed, link: Link, _: Random) -> Heal:
    """Nothing passes and nobody hears of it; in the end all is lost."""
    return _held(stack, link, REQUESTS, ANSWERS, lost=True)


def deaf(stack: Disturbed, link: Link, _: Random) -> Heal:
    """Requests are done, their answers lost."""
    return _held(stack, link, ANSWERS, lost=True)


def late(stack: Disturbed, link: Link, _: Random) -> Heal:
    """Nothing passes for a while; then everything arrives, wanted or not."""
    return _held(stack, link, REQUESTS, ANSWERS, lost=False)


def _held(stack: Disturbed, link: Link, *ways: str, lost: bool) -> Heal:
    before = stack.proxy.hold(link, *ways)

    def heal() -> bool:
        during = stack.proxy.cut(link) if lost else len(link.wires)
        stack.proxy.hold(link)
        return before + during > 0

    return heal


def slow(_: Disturbed, link: Link, draw: Random) -> Heal:
    """Each piece takes longer."""
    link.delay_s = draw.uniform(0.05, 0.2)

    def heal() -> bool:
        link.delay_s = 0.0
        return bool(link.wires)

    return heal


def tear(_: Disturbed, link: Link, draw: Random) -> Heal:
    """Some bytes of requests pass, then the connection is cut."""
    before, link.tear_after = link.hits, draw.randint(200, 4000)

    def heal() -> bool:
        link.tear_after = None
        return link.hits > before

    return heal


def cut_commit(_: Disturbed, link: Link, __: Random) -> Heal:
    """The next COMMIT of something written is done, but its caller never hears of it."""
    before, link.cut_commit = link.hits, True

    def heal() -> bool:
        link.cut_commit = False
        return link.hits > before

    return heal
