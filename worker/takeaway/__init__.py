"""A client's model as a directory of its own: three lines of Python load it.

from worker.takeaway import load
model = load("my-model")
print(model.predict("vqa", image="photo.png", text="what colour is it?").text)
"""

from worker.takeaway.answers import Answer, Classified, Drawn, Written
from worker.takeaway.form import TakeawayError
from worker.takeaway.model import Model, load
from worker.takeaway.samples import Sample

__all__ = [
    "Answer",
    "Classified",
    "Drawn",
    "Model",
    "Sample",
    "TakeawayError",
    "Written",
    "load",
]
