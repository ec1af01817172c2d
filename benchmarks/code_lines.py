"""Count lines of code by room at several commits, and by duty of preprocessing: decision 226.

A line of code is one that is neither blank nor comment nor part of a docstring. With two commits or more, the files of
the last are told apart from those of the one before: a file is new where less than half of its lines of code were
anywhere in the tree before, letter for letter, so that a file that was divided or moved is no new one.

    python benchmarks/code_lines.py 0635adcb be03221a 31b35d39 18793883
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tarfile
import tokenize
from collections import Counter

DUTIES = {
    "how a text file is written: encoding, delimiter, quotes, header, line ends": "dialect delimited",
    "packed files, workbooks, Parquet, JSON, folders, patterns, addresses": "open_files workbooks files base",
    "which column is what; fields inside the interactions": "columns one_table",
    "ids and numbers as they are written": "values",
    "times as they are written": "times time_numbers",
    "raw tables to one form; tables of users and items": "raw entities tables",
    "frames and databases": "frames sql",
    "matrices, sequences, impressions": "matrix sequences impressions",
    "public data sets by name": "public movielens",
    "several catalogues in one; data converted before": "catalogues converted",
    "cleaning and its report, numbering, returns, load": "prepare cleaning cleaning_report numbering returns loading",
    "scaling": "scaling",
    "splits": "splits entity_splits one_fold",
}
SKIPPED = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def files_at(commit: str) -> dict[str, str]:
    """Read the Python files of the package at a commit: path below `src/genre` -> text."""
    done = subprocess.run(["git", "archive", commit, "src/genre"], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        members = [one for one in archive.getmembers() if one.name.endswith(".py")]
        streams = {one.name.removeprefix("src/genre/"): archive.extractfile(one) for one in members}
        return {name: stream.read().decode() for name, stream in streams.items() if stream is not None}


def code_of(text: str) -> list[str]:
    """Return the lines of code of a file, without what is around them."""
    documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            prose |= {*range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)}
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SKIPPED:
            held |= {*range(token.start[0], token.end[0] + 1)}
    lines = text.splitlines()
    return [lines[at - 1].strip() for at in sorted(held - prose)]


def room_of(path: str) -> str:
    """Name the folder of a file."""
    return path.partition("/")[0] if "/" in path else "(top)"


def main() -> None:
    commits = sys.argv[1:] or ["HEAD"]
    trees = [{path: code_of(text) for path, text in files_at(commit).items()} for commit in commits]
    rooms = sorted({room_of(path) for tree in trees for path in tree})
    columns = [Counter[str]() for _ in trees]
    for column, tree in zip(columns, trees, strict=True):
        for path, code in tree.items():
            column[room_of(path)] += len(code)
    new = Counter[str]()
    if len(trees) > 1:
        before = {line for code in trees[-2].values() for line in code}
        for path, code in trees[-1].items():
            known = path in trees[-2] or 2 * sum(line in before for line in code) >= len(code)
            new[room_of(path)] += 0 if known else len(code)
    print(f"| room | {' | '.join(commits)} | of it in new files |")
    print(f"|---|{'--:|' * (len(commits) + 1)}")
    for room in [*rooms, "all"]:
        counts = [column.total() if room == "all" else column[room] for column in columns]
        own = new.total() if room == "all" else new[room]
        print(f"| {room} | {' | '.join(f'{count:,}' for count in counts)} | {own:,} |")
    print("\n| duty of preprocessing | lines |\n|---|--:|")
    of_file = {
        path.rpartition("/")[2].removesuffix(".py"): len(code)
        for path, code in trees[-1].items()
        if room_of(path) == "preprocessing"
    }
    for duty, names in DUTIES.items():
        print(f"| {duty} | {sum(of_file.pop(name, 0) for name in names.split()):,} |")
    print(
        f"| others: {', '.join(name for name, count in of_file.items() if count) or 'none'} | {sum(of_file.values()):,} |"
    )


if __name__ == "__main__":
    main()
