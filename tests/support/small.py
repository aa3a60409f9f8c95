"""A job with a task of every kind over a tiny base, and made-up samples for it."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from shared.components import Component, Modality
from shared.job_spec import JobSpec
from worker.data.loader import Split, TaskData
from worker.models.base import load_base
from worker.models.network import Network
from worker.training import seeds

torch.set_num_threads(1)  # many threads on tiny tensors wait for each other

SPEC: Mapping[str, Any] = {
    "name": "small",
    "algorithm": {"name": "tap"},
    "model": {
        "random": {
            "hidden_size": 16, "heads": 2, "image_layers": 1, "text_layers": 1,
            "fusion_layers": 2, "image_size": 16, "patch_size": 8,
        },
        "trainable": "full",
        "max_text_tokens": 12,
    },
    "training": {
        "local_steps": 2, "batch_size": 8,
        "learning_rate": {"peak": 1e-2, "warmup_rounds": 0},
    },
    "post": {"steps": 2, "learning_rate": 1e-2},
    "rounds": {"count": 2},
    "tasks": {
        "digits": {"kind": "image_classification", "modalities": ["image"],
                   "classes": ["zero", "one", "two"]},
        "drawing": {"kind": "image_generation", "modalities": ["image"]},
        "reviews": {"kind": "text_classification", "modalities": ["text"],
                    "classes": ["bad", "good"], "domains": ["films", "tweets"]},
        "titles": {"kind": "text_generation", "modalities": ["text"], "max_target_tokens": 6},
        "vqa": {"kind": "text_generation", "modalities": ["image", "text"],
                "max_target_tokens": 6},
    },
    "clients": ["c01", "c02"],
}  # fmt: skip


# What an algorithm needs so that something moves within so few steps.
MOVING: Mapping[str, Mapping[str, Any]] = {"pfedme": {"inner_steps": 2}}


def spec(**changes: Any) -> JobSpec:
    """The small job, with some top-level fields changed."""
    return JobSpec.model_validate({**SPEC, **changes})


def family_spec(family: str, trainable: str, **model: Any) -> JobSpec:
    """The small job on that backbone, trained `full` or by `lora` without dropout."""
    sizes = dict(SPEC["model"]["random"])
    if family == "vilt":
        del sizes["image_layers"], sizes["text_layers"]
    lora = {"lora": {"dropout": 0}} if trainable == "lora" else {}
    chosen = {"family": family, "trainable": trainable, "random": sizes, **lora, **model}
    return spec(model={**SPEC["model"], **chosen})


def task_components(job: JobSpec, task: str) -> frozenset[Component]:
    """C(o) of a task of the job."""
    return job.tasks[task].components(task, job.model.layers)


def network(job: JobSpec, tasks: Iterable[str] | None = None) -> Network:
    """The network of some of the job's tasks; default all."""
    chosen = job.tasks if tasks is None else tasks
    union = frozenset().union(*(task_components(job, task) for task in chosen))
    return Network(job, load_base(job.model), union)


def split(job: JobSpec, task: str, n: int, seed: int = 0) -> Split:
    """`n` made-up samples of a task."""
    kind = job.tasks[task]
    base = load_base(job.model)
    draw = seeds.generator("samples", task, seed)
    words = base.tokenizer

    def texts(length: int) -> torch.Tensor:
        ids = torch.randint(5, words.vocab_size, (n, length), generator=draw)
        ids[:, 0], ids[:, -1] = words.start_id, words.end_id
        ids[::2, -2:] = torch.tensor([words.end_id, words.pad_id])
        return ids

    generates = kind.kind == "text_generation"
    return Split(
        images=torch.randint(0, 256, (n, 3, 16, 16), generator=draw, dtype=torch.uint8)
        if Modality.IMAGE in kind.modalities
        else None,
        tokens=texts(8) if Modality.TEXT in kind.modalities else None,
        labels=torch.arange(n) % len(kind.classes) if kind.classes else None,
        targets=texts(5) if generates else None,
        target_texts=("some text",) * n if generates else (),
        domains=torch.arange(n) % len(kind.domains),
    )


def data(job: JobSpec, tasks: Iterable[str], n: int = 12) -> dict[str, TaskData]:
    """Made-up data of some tasks."""
    return {t: TaskData(split(job, t, n), split(job, t, 6, 1), split(job, t, 6, 2)) for t in tasks}
