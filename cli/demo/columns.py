"""What the demonstration puts side by side: which models of its three jobs, and what travelled."""

from collections.abc import Mapping

from rich.table import Table

from cli.comparison import Column
from shared.reports import ReportView
from shared.results import Variant
from shared.sizes import size

COLUMNS = (
    Column("local", "local", Variant.POST_TRAINED),
    Column("fedavg", "fedavg", Variant.ENGAGED),
    Column("fedavg + post", "fedavg", Variant.POST_TRAINED),
    Column("tap before distillation", "tap", Variant.PERSONAL),
    Column("tap", "tap", Variant.DISTILLED),
)
TRAFFIC = (
    "the engaged models of tap and fedavg are equal bit for bit: the job that comes second finds "
    "the components in the workers' caches and downloads nothing"
)


def traffic_table(reports: Mapping[str, ReportView]) -> Table:
    """Bytes per round, and what full state dicts would have cost."""
    shown = Table(title="What travelled, per round", caption=TRAFFIC, caption_justify="left")
    for title in ("job", "rounds", "down", "up", "full state dicts instead", "saved"):
        shown.add_column(title, justify="left" if title == "job" else "right")
    for report in reports.values():
        sent, full = report.bytes_down + report.bytes_up, report.bytes_full_exchange
        per_round = [n / max(report.rounds, 1) for n in (report.bytes_down, report.bytes_up, full)]
        down, up, instead = map(size, per_round)
        saved = f"{1 - sent / full:.1%}" if full else "-"
        if report.algorithm == "local":  # nothing is exchanged, so that nothing is saved
            instead, saved = "-", "-"
        shown.add_row(report.name, str(report.rounds), down, up, instead, saved)
    return shown
