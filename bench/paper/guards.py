"""The page's section on TAP's guard: what is worth choosing by, among a client's models."""

from collections.abc import Callable, Mapping, Sequence

from comparison import skills, to_tap
from parts import Cell, Part, Section, Table, kinds, source, waits
from tables import FEDAVG, TAP, Json, chosen, rows_of

_CANDIDATES = ("distilled", "personal", "post_trained")  # of equal ones the first
_By = Callable[[Json, Json], tuple[float, ...]]  # of validation and own scores; the greatest wins
_RULES: Mapping[str, _By] = {
    "guard by loss": lambda held_out, _: (-float(held_out["loss"]),),
    "guard by score": lambda held_out, _: (float(held_out["skill"]), -float(held_out["loss"])),
    "best in hindsight": lambda _, own: (float(own["skill"]),),
}
_WHO = {"c": "participants", "n": "clients that took no part"}


def guards(results: Sequence[Json], family: str) -> Section:
    """Choices by each rule, beside TAP and the server's post-trained model."""
    used, key = chosen(results, family=family, method=TAP), f"{family}-guards"
    parts: list[Part] = []
    for clients, who in _WHO.items():
        parts += _of(used, chosen(results, family=family), f"{key}-{clients}", clients, who)
    text = (
        "A guard keeps, for each task, the best of the distilled, the personal and the "
        "post-trained server's model by what the client's validation samples say: their mean "
        "loss, or the task's own metric and then the loss. Hindsight chooses by the test samples "
        "themselves: what no rule can exceed."
    )
    return Section(key, "Guards", text, parts or [waits("tap with a guard", family)], source(used))


def _of(
    used: Sequence[Json], every: Sequence[Json], key: str, clients: str, who: str
) -> list[Part]:
    picked = {name: _picked(used, clients, by) for name, by in _RULES.items()}
    if not any(picked.values()):
        return []
    rows = rows_of(every, "own", clients)
    shown = {name: rows[name] for name in (TAP, f"{FEDAVG}+post") if name in rows}
    for name, choices in picked.items():
        shown[name] = {place: float(own["skill"]) for place, own in choices.items()}
    title = f"Skill on own data, {who}."
    less = to_tap(f"{key}-difference", f"TAP's skill less the row's, {who}.", shown, list(picked))
    counts: list[list[Cell]] = [
        [name, *(sum(own["variant"] == v for own in choices.values()) for v in _CANDIDATES)]
        for name, choices in picked.items()
    ]
    return [
        skills(f"{key}-skill", title, shown, kinds(used), ranked=False),
        *([less] if less else []),
        Table(f"{key}-counts", f"What is chosen, {who}.", ["rule", *_CANDIDATES], counts),
    ]


def _picked(used: Sequence[Json], clients: str, by: _By) -> dict[tuple[str, str, int], Json]:
    """The own-data scores that a rule picks, for each task, client and seed."""
    found: dict[tuple[str, str, int], Json] = {}
    for result in used:
        at = {(s["on"], s["task"], s["client"], s["variant"]): s for s in result["scores"]}
        places = sorted({(task, client) for _, task, client, _ in at if client[0] == clients})
        for task, client in places:
            pairs = [
                (at["validation", task, client, v], at["own", task, client, v])
                for v in _CANDIDATES
                if ("validation", task, client, v) in at and ("own", task, client, v) in at
            ]
            if len(pairs) > 1:
                best = max(pairs, key=lambda pair: by(*pair))
                found[task, client, int(result["run"]["seed"])] = best[1]
    return found
