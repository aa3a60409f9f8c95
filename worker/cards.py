"""The readiness card that a client publishes: made by the doctor, in a process of its own."""

import logging
import subprocess
import sys
import threading
from tempfile import TemporaryFile

from shared.readiness import MOST_CARD_BYTES, Cards, PublishedCard
from worker.data.client_file import ClientFile

log = logging.getLogger("tapestry.worker")
_TICK_S = 0.2


def published_card(file: ClientFile, stopping: threading.Event) -> PublishedCard | None:
    """A client's numbers; None where there are none, or the worker stops first."""
    found = _examined(file, stopping)
    if found is None:
        return None
    (card,) = found.cards
    classes = {name: task.classes for name, task in file.tasks.items()}
    published = PublishedCard.of(card, classes)
    if published.n_bytes > MOST_CARD_BYTES:
        log.warning(
            "the card of %s has %d bytes, and at most %d are published: it stays here",
            file.client,
            published.n_bytes,
            MOST_CARD_BYTES,
        )
        return None
    return published


def _examined(file: ClientFile, stopping: threading.Event) -> Cards | None:
    """What the doctor prints, who may load torch."""
    command = [sys.executable, "-m", "worker.doctor", "--", str(file.path)]
    with TemporaryFile() as said, TemporaryFile() as trouble:
        with subprocess.Popen(command, stdout=said, stderr=trouble) as doctor:
            while doctor.poll() is None:
                if stopping.wait(_TICK_S):
                    doctor.kill()
        said.seek(0)
        trouble.seek(0)
        if doctor.returncode == 0:
            return Cards.model_validate_json(said.read())
        if not stopping.is_set():
            lines = trouble.read().decode(errors="replace").strip().splitlines()
            log.warning("the doctor cannot examine %s: %s", file.client, lines[-1:])
    return None
