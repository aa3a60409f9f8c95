"""Tables of jobs, clients, rounds and reports."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.table import Table

from shared.attendance import AttendanceRow, OfferChangeRow
from shared.keys import KeyView
from shared.readiness import PublishedCard
from shared.reports import ReportView
from shared.results import TaskScore, Variant
from shared.shelf import ShelfRow
from shared.views import ALIVE, ClientView, ForkOrigin, JobView

_AFTER = (Variant.GUARDED, Variant.DISTILLED, Variant.POST_TRAINED)  # what stage two comes to


def jobs_table(jobs: Sequence[JobView]) -> Table:
    """Jobs, in the order given."""
    shown = Table(box=None, pad_edge=False)
    forks = any(job.forked_from for job in jobs)
    titles = ("id", "name", "algorithm", "state", "round", "created")
    for title in (*titles, *(["forked from"] if forks else [])):
        shown.add_column(title, no_wrap=title == "id")
    for job in jobs:
        created = _minute(job.created_at)
        round_ = f"{job.round} of {job.rounds}"
        cells = (str(job.id), job.name, job.algorithm, str(job.state), round_, created)
        shown.add_row(*cells, *([_short(job.forked_from)] if forks else []))
    return shown


def origin(fork: ForkOrigin) -> str:
    """Which job and round a fork comes from."""
    other = fork.personal_round
    states = "" if other is None else f" with the personal states of round {other}"
    return f"forked from {fork.job}, round {fork.round}{states}"


def _short(fork: ForkOrigin | None) -> str:
    """The same beside the column of ids: their first digits tell jobs apart."""
    return f"{str(fork.job)[:8]}, round {fork.round}" if fork else "-"


def is_there(seen_at: datetime | None, now: datetime) -> bool:
    """Whether a worker speaks for the client now; the page says so by the same measure."""
    return seen_at is not None and now - seen_at < ALIVE


def clients_table(clients: Sequence[ClientView], now: datetime) -> Table:
    """Clients and what they have: training samples of each task; whether they are there."""
    shown = Table(box=None, pad_edge=False)
    cards = any(client.offer and client.offer.card for client in clients)
    for title in (
        "client",
        "tasks (training samples)",
        "seen",
        "now",
        *(["card"] if cards else []),
    ):
        shown.add_column(title)
    for client in clients:
        tasks = client.offer.tasks if client.offer else {}
        offered = ", ".join(f"{name} ({offer.n_train})" for name, offer in tasks.items())
        seen = client.seen_at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if client.seen_at else "-"
        card = client.offer.card if client.offer else None
        now_ = "there" if is_there(client.seen_at, now) else "silent" if client.seen_at else "-"
        shown.add_row(client.id, offered or "-", seen, now_, *([_card(card)] if cards else []))
    return shown


def keys_table(keys: Sequence[KeyView]) -> Table:
    """Keys by their prefixes, in the order given."""
    shown = Table(box=None, pad_edge=False)
    for title in ("prefix", "scope", "client", "state", "created", "first used", "expires"):
        shown.add_column(title)
    for key in keys:
        times = (_minute(at) for at in (key.created_at, key.used_at, key.expires_at))
        shown.add_row(key.prefix, key.scope, key.client or "-", str(key.state), *times)
    return shown


def _minute(at: datetime | None) -> str:
    return "-" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M")


def _card(card: PublishedCard | None) -> str:
    """What a published card says in short."""
    return "-" if card is None else f"{card.errors} errors, {card.warnings} warnings"


def rounds_table(rounds: tuple[AttendanceRow, ...]) -> Table:
    """Who delivered in each round, who was missing and why, and what was not delivered."""
    shown = Table(box=None, pad_edge=False)
    for title in ("round", "phase", "state", "delivered", "missing", "components not delivered"):
        shown.add_column(title, overflow="fold")
    for row in rounds:
        delivered = f"{len(row.accepted)} of {len(row.asked)}"
        missing = "; ".join(f"{absent.client}: {absent.reason}" for absent in row.missing)
        lacking = "; ".join(
            f"{name} ({', '.join(clients)})" for name, clients in row.not_delivered.items()
        )
        shown.add_row(
            str(row.round),
            str(row.phase),
            str(row.state),
            delivered,
            missing or "-",
            lacking or "-",
        )
    return shown


def shelf_table(rows: Sequence[ShelfRow]) -> Table:
    """Whose personal model is on the server, and how."""
    shown = Table(box=None, pad_edge=False)
    for title in ("client", "since", "personal model on the server"):
        shown.add_column(title, overflow="fold")
    for row in rows:
        shown.add_row(row.client, _minute(row.item.put_at if row.item else None), row.sentence)
    return shown


def offer_changes(report: ReportView) -> list[str]:
    """What clients lost in the middle of the job, or had again: a line for each."""
    return [_offer_change(row) for row in report.offer_changes]


def _offer_change(row: OfferChangeRow) -> str:
    what = f"task {row.task}" if row.modality is None else f"{row.modality} of task {row.task}"
    again = "has lost" if row.lost else "has again"
    return f"{row.client} {again} {what} from round {row.round} ({row.phase}) on"


def verdicts(report: ReportView) -> list[str]:
    """What stage two alone gave to each client, where the job is a fork without rounds."""
    if report.forked_from is None or report.rounds:
        return []
    found: dict[tuple[str, str], dict[Variant, TaskScore]] = {}
    for row in report.scores:
        found.setdefault((row.client, row.task), {})[row.variant] = row.score
    steps = report.optimizer_steps["post_training"]
    return [
        f"{client} {task} ({after.metric}): {_before(scores)}, after stage two's {steps} steps "
        f"{after.value:.3f}; {_against(after)}"
        for (client, task), scores in found.items()
        if (after := next((scores[each] for each in _AFTER if each in scores), None))
    ]


def _before(scores: Mapping[Variant, TaskScore]) -> str:
    """What there was without: the server's model, where the client keeps no part of it to itself"""
    if server := scores.get(Variant.ENGAGED):
        return f"the server's model {server.value:.3f}"
    personal = scores.get(Variant.PERSONAL)
    return f"its model before {personal.value:.3f}" if personal else "nothing measured before"


def _against(score: TaskScore) -> str:
    """How a model compares with what needs no model."""
    word = "better" if score.skill > 0 else "no better"
    return f"{word} than the best constant answer ({score.reference:.3f})"


def report_table(report: ReportView) -> Table:
    """What each of a job's models scored on the clients' test splits."""
    fork = origin(report.forked_from) if report.forked_from else None
    shown = Table(title=f"{report.name} ({report.algorithm}): {report.state}", caption=fork)
    for title in ("client", "task", "model", "metric", "value", "skill", "samples"):
        shown.add_column(
            title, justify="right" if title in {"value", "skill", "samples"} else "left"
        )
    for row in report.scores:
        score = row.score
        numbers = (f"{score.value:.3f}", f"{score.skill:.3f}", str(score.n))
        shown.add_row(row.client, row.task, row.label, score.metric, *numbers)
    return shown
