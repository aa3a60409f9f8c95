"""`python -m worker.doctor FILE...`: prints the readiness cards of client files as JSON."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from shared import spec_files
from shared.job_spec import JobSpec
from shared.model_spec import ModelSpec
from shared.readiness import Cards
from shared.spec_files import SpecError
from worker.data.client_file import ClientFile
from worker.data.tokenizer import VOCABULARY, Tokenizer
from worker.doctor.examine import Reading, examine
from worker.ending import end


def main() -> None:
    """Examine all files; ends with a sentence where one of them, or the job, is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--job", type=Path)
    asked = parser.parse_args()
    try:
        cards = look(asked.files, asked.job)
    except SpecError as error:
        end(error)
    sys.stdout.buffer.write(cards.model_dump_json().encode() + b"\n")


def look(files: Sequence[Path], job: Path | None) -> Cards:
    """The cards, read as the job's own base reads. Raises SpecError."""
    spec = None if job is None else spec_files.load(JobSpec, job)
    clients = [ClientFile.read(path) for path in files]
    reading = _of_no_job() if spec is None else _of_the_job(spec.model)
    return Cards(cards=tuple(examine(client, spec, reading) for client in clients))


def _of_no_job() -> Reading:
    """With the vocabulary that comes with Tapestry: no base is loaded, which takes seconds."""
    return Reading(Tokenizer.from_vocabulary(VOCABULARY), ModelSpec().max_text_tokens)


def _of_the_job(model: ModelSpec) -> Reading:
    """With the job's base, which is loaded and so checked, too."""
    from worker.models.base import BaseError, load_base  # noqa: PLC0415 - takes seconds

    try:
        return Reading(load_base(model).tokenizer, model.max_text_tokens)
    except BaseError as error:
        end(error)


if __name__ == "__main__":
    main()
