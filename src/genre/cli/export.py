"""The verb export: a recommender of a run as files for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from genre.cli.arguments import add_trust, add_verb
from genre.log import printable

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs


def add_export_verb(verbs: Verbs) -> None:
    """Add the verb of this file.

    Args:
        verbs: the verbs of `genre`.
    """
    text = "Write a recommender of a run as a folder of GENRE or as ONNX, with a model card."
    parser = add_verb(verbs, "export", _export, text)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--to", choices=["folder", "onnx"], default="folder", help="the form (default: folder)")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--using", help="a recommender of the run (default: the best on validation)")
    add_trust(parser)


def _export(args: argparse.Namespace) -> None:
    from genre.model_export import export_model
    from genre.run_folder import read_run

    out = export_model(read_run(args.run, trust=args.trust), args.out, args.to, using=args.using)
    print(printable(f"wrote {out}: {', '.join(sorted(path.name for path in out.iterdir()))}"))
