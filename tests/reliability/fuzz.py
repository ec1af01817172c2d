"""Fuzz a loader, guided by coverage: `python tests/reliability/fuzz.py config|data|artifact [flags of libFuzzer]`.

`make fuzz` gives each a minute. Any exception but the one the loader declares ends it with the input in a file.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["genre"]):
    from genre import storage
    from genre.config.reading import parse_config
    from genre.errors import ArtifactError, ConfigError, DataError
    from genre.preprocessing.loading import load
    from genre.recommenders.als import ALS
    from genre.recommenders.base import Recommender
    from genre.testing import toy_dataset

FOLDER = Path(tempfile.mkdtemp())


def config(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        parse_config(data.decode("utf-8", "replace"), "fuzz.yaml")


def data(content: bytes) -> None:
    path = FOLDER / "data.csv"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        load(path)


def artifact(content: bytes) -> None:
    """The first byte chooses the file that the rest is written to; the hashes are right."""
    folder = FOLDER / "model"
    if not folder.exists():
        ALS(factors=2, iterations=1).fit(toy_dataset()).save(folder)
    names = sorted(path.name for path in folder.iterdir() if path.name != storage.MANIFEST)
    path = folder / names[content[0] % len(names) if content else 0]
    before = path.read_bytes()
    path.write_bytes(content[1:])
    storage.write_manifest(folder)
    try:
        Recommender.load(folder)
    except ArtifactError:
        pass
    finally:
        path.write_bytes(before)


SEEDS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "config": (config, [b"name: x\nseed: 7\ndata: {kind: movielens-100k}\nrecommenders: [{kind: ease}, als]\n"]),
    "data": (
        data,
        [b"user,item,rating,timestamp\n1,a,4.5,1000000000\n2,b,3,1000000060\n", b"1\t2\t3\t4\n5\t6\t7\t8\n"],
    ),
    "artifact": (
        artifact,
        [
            b'\x00{"class": "genre.recommenders.als:ALS", "factors": 2}',
            b'\x01{"a_": {"ids": 2}}',
            b"\x02\x08" + b"\0" * 9,
        ],
    ),
}


def main() -> None:
    target, seeds = SEEDS[sys.argv[1]]
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for at, seed in enumerate(seeds):
        (corpus / str(at)).write_bytes(seed)
    target(seeds[0])  # imports and compilation are no work of the first input
    atheris.Setup([sys.argv[0], *sys.argv[2:], str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
