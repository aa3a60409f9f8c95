"""How each kind of component is made from the base; seeded by its own name.

So a component starts with the same values whichever other components exist (version 0).
"""

import math

from torch import Tensor, nn

from shared.components import (
    Component,
    DomainExpert,
    Encoder,
    Head,
    Modality,
    MomeBlock,
    MomeExpert,
    MoteBlock,
    MoteExpert,
    Projection,
    TaskKind,
)
from shared.job_spec import JobSpec, TaskSpec
from shared.low_rank import pairs
from shared.model_spec import ModelSpec
from worker.models.backbone import trainable_copy
from worker.models.base import Base
from worker.models.blocks import Block, Expert
from worker.models.heads import ClassificationHead, DecoderSizes, ImageHead, TextHead
from worker.models.lora import DomainAdapter, adapt
from worker.training import seeds


def make_part(component: Component, spec: JobSpec, base: Base) -> nn.Module:
    """The module of one component: what of it trains is exactly the component's tensors."""
    with seeds.scope(spec.seed, "init", str(component)):
        part = _make(component, spec, base)
    if spec.aggregation.low_rank == "ffa":
        for a, _ in pairs(tensors(part)):
            part.get_parameter(a).requires_grad = False
    return part


def _make(component: Component, spec: JobSpec, base: Base) -> nn.Module:
    model = spec.model
    mote, mome = range(model.mote_layers), range(model.mote_layers, sum(_depths(model)))
    match component:
        case Encoder(modality):
            return _encoder(Modality(modality), model, base)
        case Projection():
            return _identity(base.width)
        case MoteBlock():
            return Block(base, model, mote, last_norm=False)
        case MomeBlock():
            return Block(base, model, mome, last_norm=True)
        case DomainExpert():
            return DomainAdapter(base.width, model.domain_rank)
        case MoteExpert(layer=layer):
            return Expert(base, model, mote[layer])
        case MomeExpert(layer=layer):
            return Expert(base, model, mome[layer])
        case Head(task):
            return _head(spec.tasks[task], model, base)


def _depths(model: ModelSpec) -> tuple[int, int]:
    return model.mote_layers, model.mome_layers


def _encoder(modality: Modality, spec: ModelSpec, base: Base) -> nn.Module:
    backbone = base.backbone
    source = backbone.encoder(modality, spec.max_text_tokens)
    encoder = adapt(source, spec, spec.lora.encoder, backbone.lora_targets(modality))
    if modality is Modality.TEXT and not spec.train_embeddings:
        words = encoder.get_submodule(backbone.words_path)
        words.register_parameter("weight", backbone.words)
    if spec.trainable == "lora":
        for path in backbone.norms(modality):
            encoder.set_submodule(path, trainable_copy(encoder.get_submodule(path)))
    return encoder


def _identity(width: int) -> nn.Module:
    projection = nn.Linear(width, width)
    nn.init.eye_(projection.weight)
    nn.init.zeros_(projection.bias)
    return projection


def _head(task: TaskSpec, spec: ModelSpec, base: Base) -> nn.Module:
    match task.kind:
        case TaskKind.IMAGE_CLASSIFICATION | TaskKind.TEXT_CLASSIFICATION:
            return ClassificationHead(base.width, len(task.classes))
        case TaskKind.IMAGE_GENERATION:
            return ImageHead(base.width)
        case TaskKind.TEXT_GENERATION:
            width = min(spec.decoder_width, base.width)
            heads, layers = math.gcd(base.heads, width), spec.decoder_layers
            sizes = DecoderSizes(width, heads, layers, task.max_target_tokens)
            return TextHead(base.unit_words, sizes)


def tensors(part: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable tensors of a component by name."""
    return {name: p for name, p in part.named_parameters() if p.requires_grad}


def frozen_bytes(part: nn.Module) -> int:
    """Bytes of the frozen weights that a component stands on."""
    frozen: list[Tensor] = [p for p in part.parameters() if not p.requires_grad]
    return sum(p.numel() * p.element_size() for p in frozen)
