"""Do the small presets learn? `python -m bench.learning [TASK...]`: one client with all the data.

easy-VQA, Reuters R8 and Fashion-MNIST, their public training parts against their public test
parts, each in at most half an hour on two cores. Ends with an error where one learns too little.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from cli.signals import Stopped, ending_on_signals

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("bench/learning", "examples/demo", "examples/pretraining")
sys.path[:0] = [str(ROOT / scripts) for scripts in SCRIPTS]


def learn(task: str, settings: dict[str, Any], client: Path, threads: int) -> float:
    """Train and measure; returns the primary metric on the test part."""
    import torch

    from shared.job_spec import JobSpec
    from worker.data.client_file import ClientFile
    from worker.data.loader import Decoding, load_task
    from worker.models.base import load_base
    from worker.models.network import Network, State
    from worker.training.evaluation import evaluate
    from worker.training.trainer import Trainer

    torch.set_num_threads(threads)
    file = ClientFile.read(client)
    spec = JobSpec.model_validate(
        {
            "name": task,
            "algorithm": {"name": "local"},
            "model": settings["model"],
            "training": settings["training"],
            "rounds": {"count": settings["rounds"]},
            "tasks": {task: {**settings["task"], "classes": file.tasks[task].classes}},
            "clients": ["all"],
        }
    )
    base = load_base(spec.model)
    decoding = Decoding(base.tokenizer, base.image_size, spec.model.max_text_tokens, client.parent)
    data = {task: load_task(file, task, spec.tasks[task], decoding)}
    network = Network(spec, base, spec.tasks[task].components(task, spec.model.layers))
    trainer = Trainer("all", spec, network, data)
    n_values = sum(p.numel() for c in network.components for p in network.tensors(c).values())
    print(f"{task}: {len(data[task].train)} samples train, {n_values:,} values train", flush=True)
    state: State = network.state()
    began = time.monotonic()
    for number in range(1, spec.rounds.count + 1):
        state, losses = trainer.local_steps(state, number, "personal")
        print(f"  {number * spec.training.local_steps} steps, {time.monotonic() - began:.0f} s, "
              f"loss {losses[task]:.3f}", flush=True)  # fmt: skip
    score = evaluate(trainer, state, "test")[task]
    print(f"{task}: {score.metric} {score.value:.4f} (reference {score.reference:.4f}) "
          f"on {score.n} samples after {time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
    return score.value


def main() -> int:
    """The command line."""
    from data import write
    from packages import PrepareError

    wanted = yaml.safe_load((ROOT / "bench/learning/specs.yaml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", choices=[*sorted(wanted), []], metavar="TASK")
    parser.add_argument("--cache", type=Path, default=ROOT / ".tapestry/cache")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    short = []
    for task in options.tasks or sorted(wanted):
        with ending_on_signals(), tempfile.TemporaryDirectory() as directory:
            try:
                client = write(task, Path(directory), options.cache)
            except PrepareError as error:
                sys.exit(f"error: {error}")
            if learn(task, wanted[task], client, options.threads) < wanted[task]["least"]:
                short.append(task)
    if short:
        print(f"learnt too little: {', '.join(short)}", file=sys.stderr)
    return len(short)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Stopped as stopped:
        sys.exit(stopped.exit_code)
