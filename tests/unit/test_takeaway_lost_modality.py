"""A client that lost its images takes away a model that reads texts alone."""

from pathlib import Path

import pytest

from shared.components import Modality
from tests.support import small
from tests.support.takeaway import home
from worker.takeaway import TakeawayError, Written, load
from worker.takeaway.export import export

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("family", ["flava", "vilt"])
def test_what_is_left_is_what_it_reads(family: str, tmp_path: Path) -> None:
    spec = small.family_spec(family, "lora")
    spec = spec.model_copy(update={"tasks": {"vqa": spec.tasks["vqa"]}, "clients": ("c01",)})
    there = home(tmp_path, spec)
    left = {"vqa": (Modality.TEXT,)}
    components = spec.read_with(left).tasks["vqa"].components("vqa", spec.model.layers)
    there.view_again(tasks=left, components=tuple(sorted(map(str, components))))
    config = export(there.wish(tmp_path / "model"), there.source)
    assert config.tasks["vqa"].task.modalities == (Modality.TEXT,)
    assert not any("image" in name for name in config.components)
    model = load(tmp_path / "model")
    assert isinstance(model.predict("vqa", text="what shape?"), Written)
    with pytest.raises(TakeawayError, match="image"):
        model.predict("vqa", image=tmp_path / "no.png", text="what shape?")
