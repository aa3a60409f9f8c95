"""Makes a small base: `pretrain.py --family flava --cache DIR --out DIR [--steps N]`.

By the library's own pretraining losses, on public training data. The directory that comes out is in
the hub's format, with half-precision weights and a model card.
"""

import argparse
import math
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import torch
from card import write
from corpus import load
from fashion import obtain as obtain_fashion
from objectives import FlavaObjective, Objective, ViltObjective
from packages import PrepareError, obtain

from worker.data.tokenizer import VOCABULARY, Tokenizer

OBJECTIVES: Mapping[str, type[FlavaObjective | ViltObjective]] = {
    "flava": FlavaObjective,
    "vilt": ViltObjective,
}
_WARM_UP = 100  # steps
_SHOWN = 100  # steps between two lines of the log


def pretrain(objective: Objective, steps: int, batch: int, peak: float) -> dict[str, float]:
    """Train; returns the mean of each loss over the last tenth of the steps."""
    parameters = list(objective.model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=peak, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    objective.model.train()
    began, last, recent = time.monotonic(), defaultdict[str, list[float]](list), steps // 10
    for step in range(steps):
        optimizer.zero_grad()
        losses = objective.losses(step, batch)
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        for name, loss in losses.items():
            last[name] = [*last[name][-recent:], float(loss.detach())]
        if (step + 1) % _SHOWN == 0:
            shown = " ".join(f"{n} {sum(v[-20:]) / len(v[-20:]):.3f}" for n, v in last.items())
            print(f"{step + 1}/{steps} {time.monotonic() - began:.0f} s {shown}", flush=True)
    return {name: sum(values) / len(values) for name, values in last.items()}


def _rate(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to a hundredth."""
    if step < _WARM_UP:
        return (step + 1) / _WARM_UP
    done = (step - _WARM_UP) / max(steps - _WARM_UP, 1)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=sorted(OBJECTIVES), required=True)
    parser.add_argument("--cache", type=Path, required=True, help="where downloads are kept")
    parser.add_argument("--out", type=Path, required=True, help="the new directory")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=2611)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    packages = options.cache / "packages"
    try:
        obtain(packages)
        fashion = obtain_fashion(packages)
    except PrepareError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    corpus = load(packages, fashion, Tokenizer.from_vocabulary(VOCABULARY))
    made = OBJECTIVES[options.family](corpus, generator, torch.device(options.device))
    losses = pretrain(made, options.steps, options.batch, options.rate)
    recipe = {n: getattr(options, n) for n in ("steps", "batch", "rate", "seed")}
    write(options.out, options.family, made.body, losses, recipe)
    return 0


if __name__ == "__main__":
    sys.exit(main())
