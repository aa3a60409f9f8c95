"""A WordNet of one set of synonyms, in the files that nltk reads."""

from pathlib import Path

_KINDS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_HEAD = "  1 A WordNet made for a test  \n"


def write(root: Path, nouns: tuple[str, ...]) -> None:
    """Below corpora/wordnet of the directory; the nouns mean the same."""
    folder = root / "corpora" / "wordnet"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lexnames").write_text("00\tnoun.artifact\t1\n")
    for kind in _KINDS:
        for name in (f"data.{kind}", f"index.{kind}"):
            (folder / name).write_text(_HEAD)
        (folder / f"{kind}.exc").write_text("")
    lemmas = " ".join(f"{noun} 0" for noun in nouns)
    offset = len(_HEAD)
    with (folder / "data.noun").open("a") as data:
        data.write(f"{offset:08d} 00 n {len(nouns):02x} {lemmas} 000 | a thing\n")
    with (folder / "index.noun").open("a") as index:
        index.writelines(f"{noun} n 1 0 1 0 {offset:08d}\n" for noun in sorted(nouns))
    for path in folder.iterdir():
        path.chmod(0o644)  # nltk reads no file that others may write to
