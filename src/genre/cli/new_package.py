"""The verb new: a small package with one recommender, its test and a config, to start from. Knows no data.

The files are in `new_recommender/`.
"""

from __future__ import annotations

import argparse
import keyword
import re
from pathlib import Path
from typing import TYPE_CHECKING

from genre.cli.arguments import add_verb
from genre.cli.shell import commands_inside
from genre.errors import GenreError
from genre.version import __version__

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs

TEMPLATES = "new_recommender"
"""The folder of the files, with `$package`, `$cls` and the like in their texts, and `package` in their names."""
FILES = ("pyproject.toml", "package.py", "test_package.py", "package.yaml")


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
    from importlib import resources
    from string import Template

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
    for file in FILES:
        template = (resources.files("genre.cli") / TEMPLATES / f"{file}.txt").read_text(encoding="utf-8")
        made.append(folder / file.replace("package", name))
        made[-1].write_text(Template(template).substitute(values), encoding="utf-8")
    return made


def _new(args: argparse.Namespace) -> None:
    from importlib.util import find_spec

    folder = Path(args.name)
    for path in make_package(folder):
        print(f"wrote {path}")
    pytest = [] if find_spec("pytest") else [("python", "-m", "pip", "install", "pytest")]
    run = ("genre", "run", f"{folder.name}.yaml")
    print(f"next: {commands_inside(str(folder), *pytest, ('python', '-m', 'pytest'), run)}")
