"""The page's sections on what does it: distillation, TAP's options; and who gains by it."""

from collections.abc import Mapping, Sequence

import plots
from comparison import ABOVE, all_differences, skills, to_tap
from intervals import Estimate
from parts import Cell, Figure, Part, Section, Table, in_words, kinds, source, waits
from tables import (
    BEFORE,
    FEDAVG,
    GUARDED,
    HURT,
    LOCAL,
    TAP,
    Json,
    chosen,
    gains,
    rows_of,
    verdicts,
)

PLAIN = "tap-plain"
_DRAWN = (f"{TAP} less local", "fedavg+post less local")  # a forest of more is none
_MORE = ("ditto", "fedavg-equal", "local-equal")  # who else is counted


def distillation(results: Sequence[Json], family: str) -> Section:
    """TAP beside what it is without distillation."""
    plain = chosen(results, family=family)
    others, rows = (PLAIN, BEFORE), rows_of(plain, "own", "c")
    used = [r for r in plain if r["run"]["method"] in {TAP, PLAIN}]
    shown = {name: rows[name] for name in (TAP, *others) if name in rows}
    key, parts = f"{family}-distillation", list[Part]()
    found = all_differences(rows, others)
    if found:
        less = {f"less {name}": each for name, each in found.items()}
        drawn = plots.forest(f"{key}-figure", less, "TAP's skill less the other's")
        title = f"What distillation adds on each task. {ABOVE}"
        parts.append(Figure(f"{key}-figure", title, in_words(less, "+.3f"), drawn))
    if shown:
        title = "Skill on own data."
        parts.append(skills(f"{key}-skill", title, shown, kinds(used), ranked=False))
    difference = to_tap(f"{key}-difference", "TAP's skill less the row's.", rows, others)
    parts += [difference] if difference else []
    absent = [method for method in (TAP, PLAIN) if method not in rows]
    parts += [waits(" and of ".join(absent), family)] if absent else []
    text = (
        "Claim 2: distillation helps text generation most, and images little. tap-plain spends the "
        "same steps without it; the other row is TAP's own model before stage two."
    )
    return Section(key, "Distillation", text, parts, source(used))


def options(results: Sequence[Json], family: str) -> Section:
    """TAP's controls and options, each beside TAP."""
    plain = [r for r in chosen(results, family=family) if r["run"]["method"].startswith(TAP)]
    rows, key = rows_of(plain, "own", "c"), f"{family}-options"
    others = [name for name in rows if name.startswith("tap-") or name == GUARDED]
    parts: list[Part] = []
    found = all_differences(rows, others)
    if found:
        every = {"TAP less the row": {name: each["all"] for name, each in found.items()}}
        drawn = plots.forest(f"{key}-figure", every, "TAP's skill less the row's, mean over tasks")
        title, said = f"Options over all tasks. {ABOVE}", in_words(every, "+.3f")
        parts.append(Figure(f"{key}-figure", title, said, drawn))
    table = to_tap(f"{key}-difference", "TAP's skill less the row's, own data.", rows, others)
    parts += [table] if table else [waits("tap and of one of its options", family)]
    text = "Controls and options of TAP, each with all else as it is: what is above 0 is worse."
    return Section(key, "Options of TAP", text, parts, source(plain))


def benefits(results: Sequence[Json], family: str) -> Section:
    """What each client gains over training alone."""
    plain = chosen(results, family=family)
    rows, key = rows_of(plain, "own", "c"), f"{family}-benefits"
    used = [r for r in plain if r["run"]["method"] in {LOCAL, FEDAVG, TAP, *_MORE}]
    found = {
        name: gained
        for name in (TAP, "fedavg+post", GUARDED, *_MORE)
        if name in rows and (gained := gains(rows[name], rows.get(LOCAL, {})))
    }
    text = (
        "Each client and task: skill on own data less that of training alone, mean over seeds. "
        f"A change within {HURT} is called neither."
    )
    parts: list[Part] = [*_gained(key, found)] if found else []
    absent = [name for name in (LOCAL, TAP, FEDAVG) if name not in rows]
    parts += [waits(", ".join(absent), family)] if absent else []
    return Section(key, "Who benefits, who is hurt", text, parts, source(used))


def _gained(key: str, found: Mapping[str, Mapping[tuple[str, str], Estimate]]) -> list[Part]:
    named = {
        f"{name} less local": {f"{client} {task}": each for (client, task), each in gained.items()}
        for name, gained in found.items()
    }
    counted = {name: verdicts(gained.values()) for name, gained in named.items()}
    heads = ["difference", "helped", "hurt", "neither", "hurt most"]
    body: list[list[Cell]] = []
    for name, gained in named.items():
        worst, least = list(gained.items())[-1]
        most = f"{worst}: {least.mean:+.3f}" if least.mean < 0 else "none"
        body.append([name, *counted[name].values(), most])
    said = "; ".join(f"{n}: {c['helped']} helped, {c['hurt']} hurt" for n, c in counted.items())
    drawn = {name: each for name, each in named.items() if name in _DRAWN}
    forest = plots.forest(f"{key}-figure", drawn, "skill less that of training alone", HURT)
    places = list(dict.fromkeys(place for gained in named.values() for place in gained))
    each = [[place, *(gained.get(place) for gained in named.values())] for place in places]
    title = "Clients and tasks from the most helped to the most hurt; lines: least to greatest seed"
    return [
        Table(f"{key}-counts", "How many clients and tasks are helped.", heads, body),
        Figure(f"{key}-figure", f"{title}.", said, forest),
        Table(f"{key}-each", f"{title}.", ["client, task", *named], each, folded=True),
    ]
