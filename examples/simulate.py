"""TAP in one process: no database, no broker, no HTTP. The executable specification of a job.

`python examples/simulate.py SPEC CLIENT.yaml...` runs a job over the same pure functions as the
service and prints its final component hashes, which the service reaches too, bit for bit.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from server.aggregation import (
    Average,
    Contribution,
    aggregate,
    client_components,
    component_weight,
    disclosed,
)
from server.jobs.admission import refusals
from server.rounds.sampling import sample
from shared.artifacts import ArtifactStore
from shared.components import parse
from shared.job_spec import JobSpec
from shared.messages import ClientOffer
from shared.results import Decision, TaskScore, Variant
from shared.spec_files import SpecError, load
from worker.algorithm.method import NOBODY, Method, Personal
from worker.algorithm.methods import method_of
from worker.artifacts import catalogue, load_server_state, save_state
from worker.data.client_file import ClientFile, offer
from worker.data.client_task import SplitName
from worker.data.loader import Decoding, load_task
from worker.data.sources import DataError
from worker.failures import of_disk
from worker.metrics.errors import MetricError
from worker.metrics.ready import check_metrics
from worker.models.base import Base, BaseError, load_base
from worker.models.network import Network, State
from worker.planner import initial_version
from worker.training.evaluation import evaluate_all
from worker.training.loop import DivergedError
from worker.training.trainer import Progress, Trainer

Scores = dict[str, dict[Variant, dict[str, TaskScore]]]  # client -> variant -> task -> score


@dataclass
class Client:
    """A client: its offer, its trainer, and what stays with it."""

    offer: ClientOffer
    trainer: Trainer
    personal: Personal = NOBODY

    @property
    def method(self) -> Method[Any]:
        """The job's algorithm at this client."""
        return method_of(self.trainer)


@dataclass
class Run:
    """A job: its clients, and what came of it."""

    clients: Mapping[str, Client]
    store: ArtifactStore
    manifests: list[Mapping[str, str]]  # one for each version, component -> sha256
    sent: list[tuple[int, str, Contribution]] = field(default_factory=list)  # round, component
    averages: list[Mapping[str, Average]] = field(default_factory=list)  # of each round
    decisions: list[tuple[int, str, Decision]] = field(default_factory=list)
    scores: Scores = field(default_factory=dict)
    validation: Scores = field(default_factory=dict)

    def server(self, client: Client) -> State:
        """The newest version, as far as the client uses it."""
        network = client.trainer.network
        paths = {n: self.store.path(self.manifests[-1][n]) for n in network.components}
        return load_server_state(paths, network)


def make_client(
    spec: JobSpec,
    file: ClientFile,
    base: Base,
    on_step: Progress = lambda _: None,
    device: str = "cpu",
) -> Client:
    """Decode a client's data and build its network."""
    offered = offer(file)
    read = spec.read_with(offered.modalities)
    decoding = Decoding(base.tokenizer, base.image_size, spec.model.max_text_tokens)
    data = {t: load_task(file, t, spec.tasks[t], decoding) for t in spec.tasks if t in file.tasks}
    check_metrics(spec, data)
    network = Network(read, base, client_components(spec, offered)).to(device)
    return Client(offered, Trainer(file.client, spec, network, data, on_step))


def run(spec: JobSpec, files: Iterable[ClientFile], store: ArtifactStore) -> Run:
    """A whole job: version 0, the rounds, stage two, evaluation."""
    base = load_base(spec.model)
    by_name = {file.client: file for file in files}
    job = federate(spec, {n: make_client(spec, by_name[n], base) for n in spec.clients}, store)
    for name, client in job.clients.items():
        models = client.method.final_models(job.server(client), client.personal)
        splits: Mapping[SplitName, Scores] = {"test": job.scores, "validation": job.validation}
        for split, scores in splits.items():
            chosen = client.personal.chosen
            scores[name] = evaluate_all(client.trainer, models, chosen, split)
    return job


def federate(spec: JobSpec, clients: Mapping[str, Client], store: ArtifactStore) -> Run:
    """A job but for its evaluation."""
    torch.set_num_threads(1)
    union = frozenset().union(*(client_components(spec, c.offer) for c in clients.values()))
    network = Network(spec, load_base(spec.model), union)
    specs = catalogue(network).components
    job = Run(clients, store, [initial_version(network, store)])
    for number in range(1, spec.rounds.count + 1):
        shares = disclosed(_trained(spec, job, number), spec, [c.offer for c in clients.values()])
        averages = {
            c: aggregate(given, specs[c], store, spec.aggregation.low_rank)
            for c, given in shares.items()
        }
        job.averages.append(averages)
        job.manifests.append({**job.manifests[-1], **{c: a.sha256 for c, a in averages.items()}})
        print(f"round {number} of {spec.rounds.count}", file=sys.stderr)
    if spec.algorithm.personalizes:
        for client in clients.values():
            client.personal = client.method.personalize(
                job.server(client), client.personal
            ).personal
    return job


def _trained(spec: JobSpec, job: Run, number: int) -> dict[str, list[Contribution]]:
    """A round at its clients: what each of them sends of each component."""
    contributions: dict[str, list[Contribution]] = {}
    for name in sample(spec.seed, number, spec.clients, spec.clients_per_round):
        client = job.clients[name]
        outcome = client.method.round(job.server(client), client.personal, number)
        client.personal = outcome.personal
        job.decisions += [(number, name, decision) for decision in outcome.decisions]
        for component, sha in save_state(job.store, outcome.engaged or {}).items():
            if sha != job.manifests[-1][component]:
                weight = component_weight(parse(component), spec, client.offer)
                given = Contribution(name, sha, weight)
                contributions.setdefault(component, []).append(given)
                job.sent.append((number, component, given))
    return contributions


def main() -> None:
    """Run the job that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("clients", type=Path, nargs="+")
    arguments = parser.parse_args()
    try:
        files = [ClientFile.read(path) for path in arguments.clients]
        if twice := [name for name, n in Counter(file.client for file in files).items() if n > 1]:
            sys.exit(f"several files are of client {twice[0]}: leave all but one out")
        spec = load(JobSpec, arguments.spec)
        if reasons := refusals(spec, {file.client: offer(file) for file in files}):
            sys.exit("\n".join(reason.sentence for reason in reasons))
        with tempfile.TemporaryDirectory() as directory:
            job = run(spec, files, ArtifactStore(Path(directory), durable=False))
    except (SpecError, DataError, MetricError, BaseError, DivergedError) as error:
        sys.exit(str(error))
    except OSError as error:
        remedy = ": free some space there, or name another place by TMPDIR"
        place = f"{tempfile.gettempdir()}: {error.strerror}{remedy}"
        sys.exit(place if of_disk(error) else str(error))
    print(json.dumps(dict(sorted(job.manifests[-1].items())), indent=2))
    for client, variants in job.scores.items():
        for variant, tasks in variants.items():
            for task, score in tasks.items():
                numbers = f"{score.metric} {score.value:.4f} skill {score.skill:.3f}"
                print(client, task, variant, numbers)


if __name__ == "__main__":
    main()
