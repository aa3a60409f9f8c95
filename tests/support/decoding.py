"""Decoding as it is defined: without a cache, by whole passes of the network."""

from dataclasses import replace

import torch
from torch import Tensor

from worker.models.network import Batch, Network
from worker.training import seeds


def talkative(network: Network, task: str, samples: Batch, spread: float = 0.7) -> Network:
    """The network with a random head, whose texts differ and half of which end at once."""
    head, draw = network.part(f"head.{task}"), seeds.generator("spoken")
    end = network.base.tokenizer.end_id
    with torch.no_grad():
        for parameter in network.tensors(f"head.{task}").values():
            parameter.normal_(std=spread, generator=draw)
        first = network(task, samples)[:, 0]
        lead = first.max(1).values - first[:, end]
        head.get_parameter("decoder.lm_head.bias")[end] += lead.median()
    return network


def greedy(network: Network, task: str, samples: Batch) -> Tensor:
    """The likeliest word after the other. (B, T) with the start token, padded behind the end"""
    words = network.base.tokenizer
    said = torch.full((len(samples), 1), words.start_id)
    for _ in range(network.spec.tasks[task].max_target_tokens):
        ended = (said[:, 1:] == words.end_id).any(1)
        best = torch.where(ended, words.pad_id, _next(network, task, samples, said).argmax(-1))
        said = torch.cat([said, best[:, None]], dim=1)
    return said


def beams(network: Network, task: str, sample: Batch, n: int) -> list[int]:
    """The text of one sample that a search with `n` beams finds, from the start token on.

    Of the likeliest 2n continuations the first n may end; the n best that go on are the next beams.
    Texts count by their mean nats per token. No more are found once n have ended of which each is
    better than the best beam.
    """
    words, most = network.base.tokenizer, network.spec.tasks[task].max_target_tokens
    running, finished = [(0.0, [words.start_id])], list[tuple[float, list[int]]]()
    for step in range(1, most + 1):
        found = _continuations(network, task, sample, running)[: 2 * n]
        ends = [said[-1] == words.end_id or step == most for _, said in found]
        finished += [
            (score / step, said) for (score, said), e in zip(found[:n], ends, strict=False) if e
        ]
        finished = sorted(finished, key=lambda each: -each[0])[:n]
        running = [each for each, end in zip(found, ends, strict=True) if not end][:n]
        if not running or (len(finished) == n and running[0][0] / step <= finished[-1][0]):
            break
    return finished[0][1]


def _continuations(
    network: Network, task: str, sample: Batch, running: list[tuple[float, list[int]]]
) -> list[tuple[float, list[int]]]:
    """The likeliest of what each beam may say next, best first, with sums of nats."""
    said = torch.tensor([words for _, words in running])
    nats = _next(network, task, repeated(sample, len(running)), said).log_softmax(-1)
    sums = nats + torch.tensor([score for score, _ in running])[:, None]
    best = sums.flatten().topk(50)
    beams_of, words = best.indices // sums.shape[1], best.indices % sums.shape[1]
    return [
        (float(score), [*running[int(beam)][1], int(word)])
        for score, beam, word in zip(best.values, beams_of, words, strict=True)
    ]


def _next(network: Network, task: str, samples: Batch, said: Tensor) -> Tensor:
    """Logits of the next word. (B, V)"""
    nothing = torch.full((len(said), 1), network.base.tokenizer.pad_id)
    targets = torch.cat([said, nothing], dim=1)
    with torch.no_grad():
        logits: Tensor = network(task, replace(samples, targets=targets))[:, -1]
    return logits


def repeated(sample: Batch, n: int) -> Batch:
    """One sample `n` times."""
    return sample._each(lambda values: values.expand(n, *values.shape[1:]))
