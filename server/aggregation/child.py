"""`python -m server.aggregation.child BYTES`: averages components for a coordinator.

When it is ready it prints an empty line. A request and its answer are a line of JSON each
(server.aggregation.process writes the one and reads the other). The process takes at most BYTES
beyond what it begins with, and ends with its coordinator, even within an average.
"""

import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from server.aggregation.average import aggregate
from server.aggregation.files import Contribution
from shared.artifacts import ArtifactStore
from shared.messages import ComponentSpec


def main(cap_bytes: int) -> None:
    """Answer requests until the coordinator has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the coordinator
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    _cap_memory(cap_bytes)
    print(flush=True)  # noqa: T201  # it is ready
    while True:
        print(json.dumps(_answer(requests.get())), flush=True)  # noqa: T201  # it is read


def _listen(requests: "SimpleQueue[bytes]") -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


def _cap_memory(cap_bytes: int) -> None:
    """Let all of the process take this much more than now; only Linux says how much that is."""
    if sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + cap_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _answer(line: bytes) -> dict[str, object]:
    try:
        request = json.loads(line)
        return _average(request, ArtifactStore(Path(request["root"])))
    except MemoryError:
        return {
            "failure": "an average needs more memory than it may take: raise "
            "TAPESTRY_AGGREGATION_MEMORY_BYTES"
        }
    except Exception as error:  # noqa: BLE001  # whatever it is, the coordinator records it
        return {"failure": f"{type(error).__name__}: {error}"}


def _average(request: Mapping[str, Any], store: ArtifactStore) -> dict[str, object]:
    shares = [Contribution(*share) for share in request["contributions"]]
    spec = ComponentSpec.model_validate(request["spec"])
    try:
        return asdict(aggregate(shares, spec, store, request["low_rank"]))
    except OSError as error:
        return {
            "failure": error.strerror or str(error),
            "errno": error.errno,
            "read_only": store.read_only,
        }


if __name__ == "__main__":
    main(int(sys.argv[1]))
