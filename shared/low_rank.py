"""Which tensors are the two factors of a low-rank pair: peft's LoRA, and the domain experts'."""

from collections.abc import Collection, Iterator


def pairs(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """The names (A, B) of the pairs among some tensors of one component, by A's name."""
    for a in sorted(names):
        b = _second(a)
        if b is not None and b in names:
            yield a, b


def _second(a: str) -> str | None:
    """What B would be called, of a name that may be A's."""
    if ".lora_A." in a:
        return a.replace(".lora_A.", ".lora_B.")
    return a.removesuffix(".a") + ".b" if a.endswith(".a") else None
