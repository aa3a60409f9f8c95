"""Reads a page of HTML as strictly as a test of it wants."""

from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that tags close in order, and keeps tables, ids, addresses and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.roles: list[dict[str, str | None]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.waits: list[str] = []
        self.heads_without_scope = 0
        self._table, self._waiting = "", False
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self._keep(given)
        self.heads_without_scope += tag == "th" and "scope" not in given
        if tag == "table":
            self._table = given["id"] or ""
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in {"td", "th"}:
            self.tables[self._table][-1].append("")
        elif tag == "p" and given.get("class") == "waits":
            self._waiting = True
            self.waits.append("")

    def handle_startendtag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        self._keep(dict(attrs))

    def _keep(self, given: dict[str, str | None]) -> None:
        self.ids += [given["id"] or ""] if "id" in given else []
        names = ("href", "src", "xlink:href", "action")
        self.addresses += [given[name] or "" for name in names if name in given]
        if given.get("role") == "img":
            self.roles.append(given)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "p":
            self._waiting = False

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.tables[self._table][-1][-1] += f"{data} " if "small" not in self.open else data
        if self._waiting:
            self.waits[-1] += data
