"""The evaluation of a job spec: which figures beside each task's own, and how sure they are."""

from typing import Annotated, Self

from pydantic import Field, FiniteFloat, model_validator

from shared.spec import LayerCount, Spec, Title


class IntervalsSpec(Spec):
    """Bootstrap percentile intervals over the samples of a client's split."""

    confidence: Annotated[FiniteFloat, Field(gt=0, lt=1)] = Field(
        default=0.95, description="Share of the resampled values that lie within an interval."
    )
    resamples: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=1000, description="How often a split is drawn anew; with 0 there are no intervals."
    )


class EvaluationSpec(Spec):
    """What is measured beside what each kind of task has by itself."""

    bert_score: Title | None = Field(
        default=None,
        description="Encoder of bert_score_f1 for generated texts: a directory on each client's "
        "machine in the hub's format, or a hub name. Without it there is no bert_score_f1.",
    )
    bert_score_layers: LayerCount | None = Field(
        default=None,
        description="How many of the encoder's layers a text goes through; default: all.",
    )
    wordnet: Title | None = Field(
        default=None,
        description="Directory on each client's machine that holds nltk's corpora/wordnet; with it "
        "meteor knows synonyms, without it there is meteor_exact_stem.",
    )
    intervals: IntervalsSpec = IntervalsSpec()

    @model_validator(mode="after")
    def _layers_need_an_encoder(self) -> Self:
        if self.bert_score_layers and not self.bert_score:
            raise ValueError("bert_score_layers needs bert_score: name an encoder, or leave it out")
        return self
