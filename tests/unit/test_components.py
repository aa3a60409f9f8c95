import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.components import (
    BRANCHES,
    STREAMS,
    Component,
    DomainExpert,
    Encoder,
    Head,
    Layers,
    Modality,
    MomeBlock,
    MomeExpert,
    MoteBlock,
    MoteExpert,
    Projection,
    TaskKind,
    parse,
    task_components,
)

pytestmark = pytest.mark.unit

_names = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,10}[a-z0-9])?", fullmatch=True)
_layers = st.integers(0, 99)
_streams = st.sampled_from(sorted(STREAMS))
_branches = st.sampled_from(sorted(BRANCHES))
components = st.one_of(
    st.sampled_from(sorted(Modality)).map(Encoder),
    st.just(Projection()),
    _streams.map(MoteBlock),
    _branches.map(MomeBlock),
    st.builds(DomainExpert, _streams, _layers, _names),
    st.builds(MoteExpert, _layers, _streams, _branches),
    st.builds(MomeExpert, _layers, _branches, _streams),
    _names.map(Head),
)


@given(components)
def test_a_name_says_all_of_a_component(component: Component) -> None:
    assert parse(str(component)) == component


@given(st.text(max_size=40))
def test_any_other_text_is_refused_or_means_itself(text: str) -> None:
    try:
        assert str(parse(text)) == text
    except ValueError as error:
        assert "is not a component" in str(error)  # noqa: PT017 - either answer is right


@pytest.mark.parametrize(
    "name",
    ["", "proj.", "encoder.audio", "mote.00.image.shared", "mote.-1.image.shared", "head.A",
     "head.a/../b", "block.mote.text_generation", "domain.mote.image.0.", "mome.0.image.shared"],
)  # fmt: skip
def test_near_misses_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a component"):
        parse(name)


def test_the_components_of_an_image_task() -> None:
    found = task_components(
        "digits", TaskKind.IMAGE_CLASSIFICATION, [Modality.IMAGE], ["general"], Layers(1, 1)
    )
    assert sorted(map(str, found)) == [
        "block.mome.image_classification",
        "block.mome.shared",
        "block.mote.image",
        "block.mote.shared",
        "domain.mote.image.0.general",
        "domain.mote.shared.0.general",
        "encoder.image",
        "head.digits",
        "mome.0.image_classification.image",
        "mome.0.image_classification.shared",
        "mome.0.shared.image",
        "mome.0.shared.shared",
        "mote.0.image.image_classification",
        "mote.0.image.shared",
        "mote.0.shared.image_classification",
        "mote.0.shared.shared",
        "proj",
    ]


def test_an_image_task_never_touches_text() -> None:
    found = task_components(
        "digits", TaskKind.IMAGE_CLASSIFICATION, [Modality.IMAGE], ["general"], Layers(2, 2)
    )
    assert not [name for name in map(str, found) if "text" in name]
