"""What the baselines' own parameters are chosen by: `python bench/paper/tuning.py RESULTS`.

Of each run of the scale `tune` the mean skill of its best models on validation samples, over
clients and tasks.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from page import read

HERE = Path(__file__).resolve().parent
Json = Mapping[str, Any]


def best(result: Json) -> tuple[str, float]:
    """The variant of a run's models that is best on validation samples, and its skill."""
    skills = defaultdict(list)
    for score in result["scores"]:
        if score["on"] == "validation" and score["client"].startswith("c"):
            skills[score["variant"]].append(score["skill"])
    means = {variant: fmean(each) for variant, each in skills.items()}
    found = max(means, key=means.__getitem__)
    return found, means[found]


def table(results: Iterable[Json]) -> Iterator[str]:
    """A line for each run."""
    yield "| run | best models | skill |"
    yield "|---|---|---|"
    for result in sorted(results, key=lambda each: str(each["run"]["method"])):
        variant, skill = best(result)
        yield f"| {result['run']['method']} | {variant} | {skill:.3f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=HERE / "results" / "tune")
    print("\n".join(table(read([parser.parse_args().results]))))


if __name__ == "__main__":
    main()
