"""CPU seconds and peak memory of GENRE and of other libraries, in one run on the same data.

    python benchmarks/speed.py --data ../shared/data [--venvs FOLDER] [--rows als bpr ...] [--output FILE]

Every side runs in a fresh process of one thread, GENRE in this Python, each peer in a virtual environment that the script
makes in `--venvs`; one that cannot be installed is named with the error. A row is chosen by the start of its name. The share
is GENRE's CPU seconds by those of the best peer; memory is the peak of the whole process, its libraries and data included.
Facts below the table show whether the sides did work of equal kind: ALS losses, ndcg, sums of similarities, weights and scores.

MovieLens 1M is the train part of `index.npz`, items of at least ten ratings; the other data is made here, with popular items
and busy users. `csv` is `benchmarks/ingest.py`. LensKit needs a Python of at least 3.12.5, named by `--newer-python`; RecBole
does not run with NumPy 2 and is installed with an older one, which needs this Python to be at most 3.11.

The rows `flat ...` measure GENRE, and implicit where it has the same, at 1, 3 and 10 million interactions: CPU time an
interaction, and how it grows.
Users and items grow in proportion, as they do where data grows, so histories stay some 90 long on average, and an item has
some 180 users. With them grows what no longer fits the cache (vectors, counts); the last column shows 10 million interactions
with as few items as one million has, which tells that apart.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

PEERS = {
    "implicit": ["implicit==0.7.3", "h5py"],
    "LensKit": ["lenskit==2026.4.0"],
    "RecTools": ["rectools[torch]==0.19.0"],
    "faiss": ["faiss-cpu==1.15.1", "scipy"],
    "RecBole": ["recbole==1.2.1", "torch==2.13.0", "numpy==1.26.4", "scipy==1.11.4", "pandas==2.1.4"],
    "skrecsys": ["skrecsys==0.9.0"],
    "kindling-rec": ["kindling-rec==1.0.4"],
    "ranx": ["ranx==0.3.21"],
}
LIMITS = {  # the largest acceptable share of the best peer's CPU seconds
    "als cg 64": 0.40,
    "als cg 128": 0.40,
    "als cg 64, 10 M": 0.40,
    "als exact 64": 0.90,
    "als exact 128": 0.75,
    "als to the best ndcg": 0.35,
    "bpr epoch": 0.30,
    "item_knn": 0.41,
    "ease 3,260": 0.33,
    "ease 10,000": 0.33,
    "top-10, ml-1m": 0.33,
    "top-10, 50,000 items": 0.55,
    "sasrec epoch": 0.50,
    "score, mlp": 0.25,
    "score, ncf": 0.25,
    "csv": 0.50,
}
GROWING = ("dataset", "popularity", "item_knn", "transitions", "als cg 64", "bpr epoch")
FLAT = tuple(
    f"flat {work}" for work in (*GROWING, *(f"{work}, implicit" for work in ("item_knn", "als cg 64", "bpr epoch")))
)
SIDE_BY_SIDE = ("implicit", "LensKit", "RecTools", "skrecsys", "kindling-rec", "faiss")
SIDES_HEAD = (
    f"| work | GENRE, CPU s | {' | '.join(SIDE_BY_SIDE)} | share of the best |",
    f"|---|{'--:|' * (len(SIDE_BY_SIDE) + 2)}",
)
FLOORS = ("LAPACK alone", "sgemm alone")  # what the arithmetic costs, no peers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--venvs", type=Path, default=Path.home() / ".cache" / "genre" / "benchmarks")
    parser.add_argument("--newer-python", default="python3.13")
    parser.add_argument("--rows", nargs="+", default=[*LIMITS, *FLAT], help="starts of the names of rows")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--profile", action="store_true", help="print instead where GENRE's CPU time goes, by function")
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(*options.side, profile=options.profile)
        return
    rows = [row for row in [*LIMITS, *FLAT] if any(row.startswith(start) for start in options.rows)]
    with tempfile.TemporaryDirectory() as folder:
        if options.profile:
            from speed_sides import SIDES

            for row in (row for row in rows if (row, "GENRE") in SIDES):
                prepare(row, Path(folder), options)
                print(
                    f"{row}\n{measure(sys.executable, row, 'GENRE', Path(folder), '--profile')['profile']}", flush=True
                )
            return
        text = report(rows, Path(folder), options)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def report(rows: list[str], folder: Path, options: argparse.Namespace) -> str:
    from datasets import machine
    from speed_sides import SIDES, SIZES

    table = [
        "| work | GENRE, CPU s | best peer, CPU s | share | at most | peak MiB, GENRE / peer | |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    grown = [
        f"| CPU ns an interaction | {' | '.join(SIZES)} | 10 M / 1 M | with 5,000 items | peak MiB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    sides, facts, versions = [], [], {}
    for row in rows:
        if row == "csv":
            ingest = [sys.executable, str(Path(__file__).with_name("ingest.py")), "--repeats", "1"]
            facts.append(f"csv: {subprocess.run(ingest, capture_output=True, text=True, check=True).stdout}")
            continue
        libraries = sorted((name for work, name in SIDES if work == row), key=lambda name: name == "GENRE")
        found = {}
        for name in libraries:  # GENRE last: it may have to reach what a peer did
            prepare(row, folder, options)
            try:
                python = interpreter("implicit" if row.endswith(", implicit") else name, options)
            except subprocess.CalledProcessError as error:
                facts.append(f"{row}: {name} could not be installed: {error.stderr.strip().splitlines()[-1]}")
                print(facts[-1], flush=True)
                continue
            found[name] = measure(python, row, name, folder)
            versions[name] = found[name].pop("version")
            rest = {key: value for key, value in found[name].items() if key not in ("cpu", "mib")}
            facts.append(
                f"{row}: {name} {found[name]['cpu']:.3f} s, {found[name]['mib']} MiB; "
                + ", ".join(f"{key} {value:.6g}" for key, value in rest.items())
            )
            print(facts[-1], flush=True)
        if row in FLAT:
            grown.append(flat_line(row, [found[size] for size in SIZES]))
        else:
            table.append(line(row, found))
            sides.append(line_of_sides(row, found))
    text = "\n".join(
        [
            machine(),
            ", ".join(version for version in versions.values() if version),
            "",
            *(table if len(table) > 2 else []),
            "",
            *([*SIDES_HEAD, *sides] if sides else []),
            "",
            *(grown if len(grown) > 2 else []),
            "",
            "```",
            *facts,
            "```",
        ]
    )
    print("\n" + text)
    return text


def line(row: str, found: dict[str, dict]) -> str:
    ours = found["GENRE"]
    peers = {name: made for name, made in found.items() if name != "GENRE" and name not in FLOORS}
    note = "; ".join(f"{ours['cpu'] / found[name]['cpu']:.2f} of {name}" for name in FLOORS if name in found)
    if not peers:
        return f"| {row} | {ours['cpu']:.3f} | - | - | {LIMITS[row]:.2f} | {ours['mib']} / - | {note} |"
    best = min(peers, key=lambda name: peers[name]["cpu"])
    share = ours["cpu"] / peers[best]["cpu"]
    missed = "" if share <= LIMITS[row] else "missed"
    remarks = "; ".join(part for part in (missed, note) if part)
    return f"| {row} | {ours['cpu']:.3f} | {best} {peers[best]['cpu']:.3f} | {share:.2f} | {LIMITS[row]:.2f} | {ours['mib']} / {peers[best]['mib']} | {remarks} |"


def line_of_sides(row: str, found: dict[str, dict]) -> str:
    """CPU seconds of every side, a dash where a library has no such work, and the share of the best peer."""
    seconds = {name: made["cpu"] for name, made in found.items() if name not in FLOORS}
    peers = [cpu for name, cpu in seconds.items() if name != "GENRE"]
    share = f"{seconds['GENRE'] / min(peers):.2f}" if peers else "-"
    cells = [f"{seconds[name]:.3f}" if name in seconds else "-" for name in ("GENRE", *SIDE_BY_SIDE)]
    return f"| {row} | {' | '.join(cells)} | {share} |"


def flat_line(row: str, found: list[dict]) -> str:
    """CPU nanoseconds an interaction at each of `SIZES`."""
    each = [1e9 * made["cpu"] / made["interactions"] for made in found]
    peak = ", ".join(str(made["mib"]) for made in found)
    ratios = f"{each[2] / each[0]:.2f} | {each[3] / each[0]:.2f}"
    return f"| {row} | {' | '.join(f'{value:.0f}' for value in each)} | {ratios} | {peak} |"


def measure(python: str, row: str, name: str, folder: Path, *words: str) -> dict:
    """One fresh process of one thread."""
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "LK_NUM_THREADS"), "1"
    )
    command = [python, __file__, "--side", row, name, str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads}, check=False)
    if done.returncode:
        raise SystemExit(f"{row}, {name} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_side(row: str, name: str, folder: str, *, profile: bool) -> None:
    from importlib.metadata import version

    import speed_sides

    seen = speed_sides.PROFILE = cProfile.Profile(time.process_time) if profile else None
    facts = speed_sides.SIDES[row, name](Path(folder))
    if seen is not None:
        seen.create_stats()
        print(json.dumps({"profile": profile_lines(seen.stats)}))
        return
    package = {"GENRE": "genre-rec", "faiss": "faiss-cpu"}.get(name, name)
    label = "" if name in FLOORS or row in FLAT else f"{name} {version(package)}"
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) >> 10  # getrusage would count the parent's, too
    print(json.dumps({**facts, "mib": peak, "version": label}))


def profile_lines(stats: dict[tuple, tuple], n: int = 6) -> str:
    """The functions with the most CPU time of their own, compiled code they call included, and their shares of all."""
    own = sorted(((row[2], row[1], where) for where, row in stats.items()), reverse=True)
    total = sum(seconds for seconds, _, _ in own)
    return "\n".join(
        f"  {seconds:.3f} s, {seconds / total:.0%}, {calls} calls: {Path(file).name} {function}"
        for seconds, calls, (file, _, function) in own[:n]
    )


def interpreter(name: str, options: argparse.Namespace) -> str:
    """The Python of a library, made on first use."""
    if name not in PEERS:
        return sys.executable
    python = options.venvs / name.lower() / "bin" / "python"
    if not python.exists():
        base = options.newer_python if name == "LensKit" else sys.executable
        subprocess.run([base, "-m", "venv", str(python.parent.parent)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *PEERS[name]]
        try:
            subprocess.run(install, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError:
            shutil.rmtree(options.venvs / name.lower())  # or the next run would take it for a whole one
            raise
    return str(python)


def prepare(row: str, folder: Path, options: argparse.Namespace) -> None:
    """Write the data that a row reads, where it is not there yet."""
    from speed_sides import SIZES

    if not (folder / "ml1m.npz").exists():
        reader = f"import h5py, numpy as np; f = h5py.File({str(options.data / 'ml-1m' / 'total_data.hdf5')!r}); np.savez({str(folder / 'all.npz')!r}, user=f['user'][:], item=f['item'][:])"
        subprocess.run([interpreter("implicit", options), "-c", reader], check=True)
        given, part = np.load(folder / "all.npz"), np.load(options.data / "ml-1m" / "index.npz")["data"]
        user, item = given["user"], np.unique(given["item"], return_inverse=True)[1]
        kept = np.bincount(item)[item] >= 10
        user, item, part = user[kept], np.unique(item[kept], return_inverse=True)[1], part[kept]
        for name, number in (("ml1m", 0), ("validation", 1)):
            save(folder, name, user[part == number], item[part == number], (user.max() + 1, item.max() + 1))
    for name, (start, n, n_users, n_items) in {
        "large": ("als cg 64, 10 M", 10_000_000, 100_000, 50_000),
        "wide": ("ease 10,000", 1_000_000, 20_000, 10_000),
        "many": ("top-10, 50,000", 1_000_000, 10_000, 50_000),
        **{f"flat {size}": ("flat", *shape) for size, shape in SIZES.items()},
    }.items():
        if row.startswith(start) and not (folder / f"{name}.npz").exists():
            rng = np.random.default_rng(0)
            share = np.cumsum(1 / np.arange(1, n_items + 1) ** 0.8)
            item = rng.permutation(n_items)[np.searchsorted(share / share[-1], rng.random(n)).clip(max=n_items - 1)]
            save(folder, name, (n_users * rng.random(n) ** 1.4).astype(np.int64), item, (n_users, n_items))
    if row.startswith("sasrec") and not (folder / "ordered.npz").exists():
        given = np.load(options.data / "ml-1m-ordered" / "split.npz")
        columns = {"user": "train_u", "item": "train_i", "timestamp": "train_t"}
        np.savez(folder / "ordered.npz", **{name: given[column].astype(np.int64) for name, column in columns.items()})


def save(folder: Path, name: str, user: np.ndarray, item: np.ndarray, shape: tuple[int, int]) -> None:
    rows = sp.csr_matrix((np.ones(len(user), np.float32), (user, item)), shape=shape)
    rows.data[:] = 1
    sp.save_npz(folder / f"{name}.npz", rows, compressed=False)


if __name__ == "__main__":
    main()
