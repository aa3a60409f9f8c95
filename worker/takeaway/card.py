"""The model card: what an exported model is, what it is worth, and where it comes from.

Numbers and names only: no sample, and no path of the machine, so that it may be published.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from shared.components import TaskKind
from shared.job_spec import JobSpec
from shared.readiness import Card
from shared.results import Variant
from shared.states import JOB_TERMINAL
from shared.takeaway import TakeawayView
from worker.takeaway.form import BASE, Config, TakenTask
from worker.takeaway.gather import Whole
from worker.takeaway.tables import code, plain, readiness, table

_WHAT = {
    Variant.GUARDED: "for each task the best of the client's models by its validation loss, as the "
    "table of tasks says: one of them answers",
    Variant.DISTILLED: "the personal model after distillation, the last step of the method",
    Variant.PERSONAL: "the personal model, which stayed with the client",
    Variant.POST_TRAINED: "the model after local post-training at the client",
    Variant.ENGAGED: "the server's averaged components as the client was given them last: the "
    "engaged model, not a personal one",
}
_PIPELINES = {
    TaskKind.IMAGE_CLASSIFICATION: "image-classification",
    TaskKind.TEXT_CLASSIFICATION: "text-classification",
    TaskKind.IMAGE_GENERATION: "image-to-image",
    TaskKind.TEXT_GENERATION: "text-generation",
}
_LIMITS = """\
- It was made for one client's data and measured on that client's test splits only; elsewhere
  nothing is known about it.
- It may tell about its training data: nobody has tested what can be drawn out of it. Treat it as
  private unless the data are public.
- Probabilities are the softmax of the logits and are not calibrated.
- An image is scaled to a square; a generated one has 64x64 pixels."""
_QUESTIONS = "visual-question-answering"


@dataclass(frozen=True)
class Story:
    """All that the card tells."""

    config: Config
    view: TakeawayView
    readiness: Card
    models: Mapping[Variant, Whole]
    with_base: bool


def written(story: Story) -> str:
    """The card, in the hub's form: YAML, then Markdown."""
    front = yaml.safe_dump(_front(story), sort_keys=False, allow_unicode=True)
    config, view = story.config, story.view
    parts = [
        f"---\n{front}---",
        f"# {plain(view.name)}: the {config.variant} model of client {plain(config.client)}",
        *_what_it_is(story),
        "## How to load it",
        *_loading(story),
        "## Tasks",
        _tasks(config),
        "## Data readiness",
        *readiness(story.readiness),
        "## Metrics",
        *_metrics(story),
        "## Lineage",
        *_lineage(story),
        "## Limits",
        *_limits(story),
    ]
    return "\n\n".join(parts) + "\n"


def spec_digest(spec: JobSpec) -> str:
    """The sha256 of a spec in one canonical form."""
    text = json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _front(story: Story) -> dict[str, Any]:
    config = story.config
    tags = ["federated-learning", "personalized", "tapestry", config.model.family]
    front: dict[str, Any] = {"library_name": "tapestry", "tags": tags}
    kinds = {_pipeline(taken) for taken in config.tasks.values()}
    if len(kinds) == 1:
        front["pipeline_tag"] = min(kinds)
    else:
        tags += sorted(kinds)
    if config.base not in {None, "random"}:
        front["base_model"] = config.base
    results = list(_results(story))
    if results:
        name = f"{story.view.name}, {config.client}, {config.variant}"
        front["model-index"] = [{"name": name, "results": results}]
    return front


def _pipeline(taken: TakenTask) -> str:
    both = taken.task.kind is TaskKind.TEXT_GENERATION and len(taken.task.modalities) > 1
    return _QUESTIONS if both else _PIPELINES[taken.task.kind]


def _results(story: Story) -> Iterator[dict[str, Any]]:
    """The exported variant's scores on the client's own test splits, as the hub has them."""
    for row in story.view.scores:
        taken = story.config.tasks.get(row.task)
        if row.variant is story.config.variant and taken is not None:
            score = row.score
            values = {score.metric: score.value, "skill": score.skill}
            yield {
                "task": {"type": _pipeline(taken), "name": row.task},
                "dataset": {
                    "type": "private",
                    "name": f"{row.client}'s own {row.task}",
                    "split": "test",
                },
                "metrics": [{"type": name, "value": value} for name, value in values.items()],
            }


def _what_it_is(story: Story) -> Iterator[str]:
    config, view = story.config, story.view
    yield (
        f"This is {_WHAT[config.variant]}, of client {plain(config.client)} in the federated job "
        f"{plain(view.name)} ({view.spec.algorithm.name}, {view.rounds} rounds published). It "
        f"stands on a frozen {config.model.family} base, of which {_trained(config)}."
    )
    if view.state not in JOB_TERMINAL:
        yield (
            f"**The job had not ended when this was exported: it was {view.state}.** The model is "
            "what the server had accepted last; it is not measured yet and a later export differs."
        )


def _trained(config: Config) -> str:
    full = config.model.trainable == "full"
    return "copies were trained in full" if full else "low-rank changes (LoRA) were trained"


def _loading(story: Story) -> Iterator[str]:
    name, taken = next(iter(story.config.tasks.items()))
    given = {"image": 'image="photo.png"', "text": 'text="..."'}
    words = [given[modality] for modality in taken.task.modalities]
    if len(taken.known_domains) > 1:
        words.append(f'domain="{taken.known_domains[0]}"')
    yield (
        "    from worker.takeaway import load\n"
        '    model = load("PATH OF THIS DIRECTORY")\n'
        f'    print(model.predict("{name}", {", ".join(words)}))'
    )
    options = [word.replace("=", " ", 1) for word in words]
    yield f"or `tapestry predict DIRECTORY --task {name} --{' --'.join(options)}`."
    if story.with_base:
        yield f"The base lies in `{BASE}/`, in the hub's format: nothing is fetched."
    else:
        where = "a directory" if story.config.base is None else code(story.config.base)
        yield (
            f"The base is left out. It is {where} (family {story.config.model.family}) with digest "
            f"`{story.config.base_digest}`; name another place of it by `load(..., base=...)`."
        )


def _tasks(config: Config) -> str:
    rows = [
        (
            name,
            taken.task.kind,
            " and ".join(taken.task.modalities),
            ", ".join(taken.task.classes),
            ", ".join(taken.known_domains),
            taken.variant,
        )
        for name, taken in config.tasks.items()
    ]
    return table(("task", "kind", "reads", "classes", "domains", "model"), rows)


def _metrics(story: Story) -> Iterator[str]:
    scores = story.view.scores
    if not scores:
        yield "No model of this job has been measured at this client."
        return
    rows = []
    for row in sorted(scores, key=lambda row: (row.task, row.variant)):
        score, held_out = row.score, row.validation
        exported = row.variant is story.config.variant
        rows.append(
            (
                row.task,
                f"{row.label} (this one)" if exported else row.label,
                score.metric,
                f"{score.value:.4f}",
                f"{score.reference:.4f}",
                f"{score.skill:.4f}",
                score.n,
                "" if held_out is None else f"{held_out.value:.4f}",
                "" if held_out is None else held_out.n,
            )
        )
    yield (
        "Measured on the client's own held-out splits. The reference is the best constant answer "
        "learnt from its training split; skill is 0 there and 1 for a perfect model."
    )
    titles = ("task", "model", "metric", "test", "reference", "skill", "n", "validation", "n")
    yield table(titles, rows)


def _lineage(story: Story) -> Iterator[str]:
    view, config = story.view, story.config
    own = ", ".join(map(str, view.took_part)) or "none"
    yield table(("what", "is"), [
        ("job", f"{view.job_id} ({view.name}), {view.state}"),
        ("forked from", _origin(view)),
        ("spec, sha256", spec_digest(view.spec)),
        ("algorithm", view.spec.algorithm.name),
        ("rounds", f"{view.rounds} published of {view.spec.rounds.count}"),
        ("rounds with this client", own),
        ("personal state, sha256", view.state_digest or "none"),
        ("server's version", view.version),
        ("base, digest", config.base_digest),
        *((f"{weights.file}, sha256", weights.sha256) for weights in config.weights.values()),
    ])  # fmt: skip
    for variant, weights in config.weights.items():
        yield (
            f"Components of `{weights.file}`: the artifact that is exported, and the server's in "
            "that version."
        )
        yield _components(view, story.models[variant])
    yield from _replacements(view)


def _components(view: TakeawayView, model: Whole) -> str:
    parts = [
        (name, sha, view.manifest[name].sha256, view.manifest[name].made_in)
        for name, sha in sorted(model.artifacts.items())
        if name in view.manifest
    ]
    return table(("component", "exported, sha256", "server's, sha256", "made in"), parts)


def _origin(view: TakeawayView) -> str:
    if view.forked_from is None:
        return "no other job"
    began = view.parent_state_digest
    state = f"with personal state {began}" if began else "without a personal state"
    origin = view.forked_from
    other = f" of round {origin.personal_round}" if began and origin.personal_round else ""
    return f"{origin.job}, round {origin.round}, {state}{other}"


def _replacements(view: TakeawayView) -> Iterator[str]:
    if not view.replacements:
        yield "No component was copied from the engaged into the personal model by TAP's rule."
        return
    yield (
        "Replacements: whether the engaged model's components of a task were copied into the "
        "personal one, by their training losses and the margin."
    )
    rows = [
        (
            row.round,
            row.decision.task,
            "yes" if row.decision.replaced else "no",
            f"{row.decision.engaged_loss:.4f}",
            "" if row.decision.personal_loss is None else f"{row.decision.personal_loss:.4f}",
            row.decision.margin,
        )
        for row in view.replacements
    ]
    yield table(("round", "task", "replaced", "engaged loss", "personal loss", "margin"), rows)


def _limits(story: Story) -> Iterator[str]:
    lines = [
        _LIMITS,
        f"- A text loses what is beyond {story.config.model.max_text_tokens} tokens.",
    ]
    if story.config.base == "random":
        lines.append("- Its base has random weights: this is no pretrained model's quality.")
    yield "\n".join(lines)
