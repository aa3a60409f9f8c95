"""How a computation fails: what the coordinator hears, in a form that needs no torch."""

from shared.messages import FailureCode


class FailedError(Exception):
    """An assignment cannot be done: the code and the sentence that the coordinator hears."""

    def __init__(self, code: FailureCode, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"
