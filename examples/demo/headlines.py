"""Real text targets: what the headline of an earnings report announces, given its table.

A Reuters report of results or dividends begins with the company, then announces (`th qtr loss`,
`sets quarterly`), then gives the table. The announcement can be told from the table: `six mths`
belongs to the second quarter, `shr loss` to a loss.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sources import MAX_WORDS, Article

_MONTH_NAMES = """
    jan feb march april may june july aug sept oct nov dec
    january february august september october november december
"""
_PERIODS = "st nd rd th first second third fourth qtr quarter year fiscal mths months half six nine"
_RESULTS = "net loss profit oper results"
_DIVIDENDS = """
    sets declares raises hikes increases ups boosts cuts regular quarterly qtly qtrly monthly
    dividend div payout
"""
_MONTHS = frozenset(_MONTH_NAMES.split())
_ANNOUNCES = _MONTHS | set(f"{_PERIODS} {_RESULTS} {_DIVIDENDS}".split())
_QUALIFIES = frozenset({"oper", "group", "primary", "diluted"})
_LATEST_START = 20  # words; a table that starts later belongs to an article, not to a report
_LONGEST = 5  # words
_COMMON = 5  # an announcement that is rarer is mostly a wrong cut


@dataclass(frozen=True, slots=True)
class Report:
    """A report's table, and what its headline announces."""

    origin: str
    table: str
    announces: str

    @property
    def about(self) -> str:
        """What is reported: a quarter, a dividend, or results of a year or of no named period."""
        words = set(self.announces.split())
        if words & {"qtr", "quarter"}:
            return "quarter"
        return "results" if words & {"net", "loss", "profit", "year", "results"} else "dividend"


def reports(articles: Iterable[Article]) -> list[Report]:
    """The reports among the articles, each table once, with announcements that are common.

    Announcements that name a month are left out: the table does not tell it.
    """
    found = {r.table: r for a in articles if a.topic == "earn" and (r := _report(a))}
    counts = Counter(report.announces for report in found.values())
    return [report for report in found.values() if counts[report.announces] >= _COMMON]


def _report(article: Article) -> Report | None:
    words = article.words
    table = _table_start(words)
    start = table
    while start and words[start - 1] in _ANNOUNCES:
        start -= 1
    announced = words[start:table]
    if not start or not 0 < len(announced) <= _LONGEST or _MONTHS & set(announced):
        return None
    body = [word for word in words[table : table + MAX_WORDS] if word != "reuter"]
    return Report(article.origin, " ".join(body), " ".join(announced))


def _table_start(words: tuple[str, ...]) -> int:
    """Where the table starts, 0 if there is none."""
    for number, word in enumerate(words[:_LATEST_START]):
        if word == "shr" or words[number : number + 2] in {("qtly", "div"), ("qtrly", "div")}:
            while number and words[number - 1] in _QUALIFIES:
                number -= 1  # noqa: PLW2901 - steps back over `oper shr`
            return number
    return 0
