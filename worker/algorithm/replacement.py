"""Stage one's decision: where the engaged model is better by the margin, copy from it.

TAP (arXiv 2509.26524), stage one: if h_X[o] + m_o < h_Z[o], copy C(o) from X into Z.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from shared.results import Decision
from worker.models.network import State

Shared = Literal["any", "all", "never"]


def decide(
    engaged: Mapping[str, float], personal: Mapping[str, float], margins: Mapping[str, float]
) -> tuple[Decision, ...]:
    """One decision for each task of `engaged`, in its order.

    engaged, personal: mean loss of each sample by task (h_X, h_Z); a task that `personal` lacks has
    never been trained there: its loss counts as infinite.
    """
    return tuple(
        Decision(
            task=task,
            engaged_loss=loss,
            personal_loss=personal.get(task),
            margin=margins[task],
            replaced=task not in personal or loss + margins[task] < personal[task],
        )
        for task, loss in engaged.items()
    )


def replace(
    personal: State | None,
    engaged: State,
    decisions: Iterable[Decision],
    components: Mapping[str, Collection[str]],
    shared: Shared = "any",
) -> State:
    """The personal model with the component sets C(o) of the replaced tasks taken from X.

    `components[o]` names C(o), for all tasks of the client; `shared` is for those that stand in
    several. Without a personal model X itself is the start. Never changes its arguments.
    """
    if personal is None:
        return dict(engaged)
    replaced = {decision.task for decision in decisions if decision.replaced}
    taken = {
        name
        for task in replaced
        for name in components[task]
        if _taken(name, replaced, components, shared)
    }
    return {name: engaged[name] if name in taken else personal[name] for name in personal}


def _taken(
    name: str, replaced: Collection[str], components: Mapping[str, Collection[str]], shared: Shared
) -> bool:
    """Whether a component of a replaced task is copied."""
    users = {task for task, names in components.items() if name in names}
    match shared:
        case "any":
            return True
        case "all":
            return users <= set(replaced)
        case "never":
            return len(users) == 1
