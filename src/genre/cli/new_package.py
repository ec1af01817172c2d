"""The verb new: a small package with one recommender, its test and a config, to start from. Knows no data."""

from __future__ import annotations

import argparse
import keyword
import re
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from genre.cli.arguments import add_verb
from genre.cli.shell import command
from genre.errors import GenreError
from genre.version import __version__

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs

FILES = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$distribution"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["genre-rec>=$version"]

[project.entry-points."genre.recommenders"]
$package = "$package:$cls"

[tool.setuptools]
py-modules = ["$package"]
""",
    "$package.py": '''\
"""$cls: a recommender of my own."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

import genre
from genre.options import Doc, Gt, Search


@dataclass(eq=False)
class $cls(genre.Recommender):
    """An item scores the number of its likes, to a power: replace this by an idea of yours.

    `_fit` sets attributes whose names end in `_`; `_score` gives every item a number for each history.
    """

    power: Annotated[float, Gt(0), Search(0.1, 2), Doc("Below 1, popular items weigh less.")] = 0.5

    def _fit(self, dataset, validation, log):
        likes = np.bincount(dataset.item, dataset.weight, dataset.n_items)
        self.scores_ = (likes**self.power).astype(np.float32)  # [n_items]

    def _score(self, history):
        return np.tile(self.scores_, (len(history), 1))  # float32 [n_histories, n_items], higher is better
''',
    "test_$package.py": '''\
"""The suite that every recommender of GENRE passes: python -m pytest."""

from genre.testing import check_recommender
from $package import $cls


def test_it_keeps_the_contract():
    check_recommender($cls, toy_world=False)  # True, once it is meant to tell apart what users like
''',
    "$package.yaml": """\
# genre run $package.yaml
name: $package
data: movielens-100k
recommenders:
  - {kind: popularity}
  - {kind: "$package:$cls", power: 0.5}  # once installed, also: kind: $package
evaluation: {metrics: [ndcg, recall, coverage]}
""",
}


def add_new_verb(verbs: Verbs) -> None:
    """Add the verb of this file.

    Args:
        verbs: the verbs of `genre`.
    """
    parser = add_verb(verbs, "new", _new, "Make a small package with a recommender of your own, its test and a config.")
    parser.add_argument("what", choices=["recommender"])
    parser.add_argument("name", help="name of the package and of its folder, such as recent_hits")


def make_package(folder: Path) -> list[Path]:
    """Write the files of a package; its folder's name is that of the module, in capitals that of the class.

    Args:
        folder: A folder that does not exist yet.

    Returns:
        The files.

    Raises:
        GenreError: The name is no name of a module, or the folder exists.
    """
    name = folder.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise GenreError(f"{name!r}: write small letters, digits and _, such as recent_hits")
    if folder.exists():
        raise GenreError(f"{folder} exists; choose another name")
    cls = "".join(word.capitalize() for word in name.split("_"))
    values = {"package": name, "cls": cls, "distribution": name.replace("_", "-"), "version": __version__}
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise GenreError(f"{folder}: cannot be made ({error.strerror}); choose another place") from error
    made = []
    for path, text in FILES.items():
        made.append(folder / Template(path).substitute(values))
        made[-1].write_text(Template(text).substitute(values), encoding="utf-8")
    return made


def _new(args: argparse.Namespace) -> None:
    folder = Path(args.name)
    for path in make_package(folder):
        print(f"wrote {path}")
    print(f"next: cd {command(str(folder))} && python -m pytest && {command('genre', 'run', f'{folder.name}.yaml')}")
