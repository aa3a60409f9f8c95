"""An exported model, loaded and asked: nothing of the job it comes from is needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from shared.artifacts import file_digest
from shared.components import TaskKind
from shared.results import Variant
from worker.artifacts import known
from worker.models.base import Base, BaseError, load_base
from worker.models.network import Batch, Network
from worker.takeaway.answers import Answer, Written, classified, drawn
from worker.takeaway.form import (
    BASE,
    Config,
    NotThereError,
    TakeawayError,
    TakenTask,
    Weights,
    one_of,
)
from worker.takeaway.samples import ImageLike, Reader, Sample

_BATCH = 64  # samples at once, as many as in an evaluation: the same samples give the same bits


@dataclass(frozen=True)
class Model:
    """A client's model. Its networks are those of training, in evaluation mode.

    There is one for each variant that answers a task; they share the frozen base.
    """

    config: Config
    networks: Mapping[Variant, Network]

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it can be asked."""
        return tuple(self.config.tasks)

    def predict(
        self,
        task: str,
        *,
        image: ImageLike | None = None,
        text: str | None = None,
        domain: str | None = None,
        beams: int = 1,
    ) -> Answer:
        """Answer one sample; its image by a path, bytes, or as Pillow's. Raises TakeawayError."""
        [answer] = self.predict_all(task, [Sample(image, text, domain)], beams)
        return answer

    def predict_all(self, task: str, samples: Sequence[Sample], beams: int = 1) -> list[Answer]:
        """Answer samples, the text of a generation by so many beams. Raises TakeawayError."""
        reader = self.reader(task)
        generates = reader.taken.task.kind is TaskKind.TEXT_GENERATION
        if beams < 1 or (beams > 1 and not generates):
            raise TakeawayError(
                f"task {task!r} cannot be answered by {beams} beams: leave them out"
                if beams > 1
                else f"{beams} beams are too few: ask for 1 or more"
            )
        answers: list[Answer] = []
        for part in self._batches(reader, samples):
            answers += self._answers(task, part, beams)
        return answers

    def network(self, task: str) -> Network:
        """The network that answers a task. Raises TakeawayError."""
        return self.networks[self._taken(task).variant]

    def batch(self, task: str, samples: Sequence[Sample]) -> Batch:
        """All samples as the network reads them. Raises TakeawayError."""
        return _batch(self.reader(task), samples)

    def reader(self, task: str) -> Reader:
        """What reads a task's samples. Raises TakeawayError."""
        base, length = self.network(task).base, self.config.model.max_text_tokens
        return Reader(task, self._taken(task), base, length)

    def _taken(self, task: str) -> TakenTask:
        taken = self.config.tasks.get(task)
        if taken is None:
            raise TakeawayError(
                f"there is no task {task!r} in this model: choose {one_of(self.tasks)}"
            )
        return taken

    def _batches(self, reader: Reader, samples: Sequence[Sample]) -> list[Batch]:
        if not samples:
            return []
        whole = _batch(reader, samples)
        return [whole.part(slice(n, n + _BATCH)) for n in range(0, len(samples), _BATCH)]

    def _answers(self, task: str, batch: Batch, beams: int) -> list[Answer]:
        spec, network = self._taken(task).task, self.network(task)
        batch = batch.to(network.device)
        with torch.no_grad():
            match spec.kind:
                case TaskKind.IMAGE_CLASSIFICATION | TaskKind.TEXT_CLASSIFICATION:
                    logits = network(task, batch).cpu()
                    return [classified(each, spec.classes) for each in logits]
                case TaskKind.IMAGE_GENERATION:
                    return [drawn(each) for each in network(task, batch).cpu()]
                case TaskKind.TEXT_GENERATION:
                    words = network.base.tokenizer
                    found = network.generate(task, batch, beams)
                    return [Written(words.decode(ids[1:].tolist())) for ids in found]


def _batch(reader: Reader, samples: Sequence[Sample]) -> Batch:
    for sample in samples:
        reader.check(sample)
    return Batch(
        images=reader.images(samples),
        tokens=reader.tokens(samples),
        labels=None,
        targets=None,
        domains=reader.domains(samples),
    )


def load(directory: str | Path, base: str | Path | None = None, device: str = "cpu") -> Model:
    """The model of an exported directory, with its own base unless another place of it is named.

    Nothing is fetched over the network but a base that is left out and named by a hub name.
    Raises TakeawayError.
    """
    place = Path(directory)
    config = Config.read(place)
    spec = config.job_spec(_base_of(place, config, base))
    found = _checked_base(config, spec.model.weights, device)
    networks = {
        variant: _network(Network(spec, found, known(config.components)), place, weights)
        for variant, weights in config.weights.items()
    }
    return Model(config, {v: network.to(device).eval() for v, network in networks.items()})


def _network(network: Network, place: Path, weights: Weights) -> Network:
    """The network with a file's tensors. Raises TakeawayError."""
    path = place / weights.file
    try:
        network.load(_state(path, weights.sha256))
    except ValueError as error:
        raise TakeawayError(f"{path}: {error}; export the model again") from error
    return network


def _base_of(place: Path, config: Config, base: str | Path | None) -> str:
    """Where the base is."""
    if base is not None:
        return str(base)
    if (place / BASE).is_dir():
        return str(place / BASE)
    if config.base is None:
        raise TakeawayError(
            f"{place} was exported without its base: name the directory of the "
            f"{config.model.family} with digest {config.base_digest}"
        )
    return config.base


def _checked_base(config: Config, weights: str, device: str) -> Base:
    try:
        found = load_base(config.job_spec(weights).model, device)
    except BaseError as error:
        raise NotThereError(str(error)) from error
    if found.digest != config.base_digest:
        raise TakeawayError(
            f"the base {weights!r} has digest {found.digest}, but the model was trained on "
            f"{config.base_digest}: restore that base, or export the model again"
        )
    return found


def _state(path: Path, sha256: str) -> Mapping[str, Mapping[str, Tensor]]:
    """The components' tensors. Raises TakeawayError, ValueError."""
    try:
        if file_digest(path) != sha256:
            raise TakeawayError(f"{path} is damaged or of another export: export the model again")
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise TakeawayError(f"{path} cannot be read ({error}): export the model again") from error
    return parted(tensors)


def parted(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """`component/tensor` -> values, by component. Raises ValueError for another type of values."""
    state: dict[str, dict[str, Tensor]] = {}
    for name, values in tensors.items():
        if values.dtype != torch.float32:
            raise ValueError(f"tensor {name!r} is {values.dtype} and not float32")
        component, _, tensor = name.partition("/")
        state.setdefault(component, {})[tensor] = values
    return state


def joined(state: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The other way round."""
    return {f"{c}/{t}": values for c, tensors in state.items() for t, values in tensors.items()}
