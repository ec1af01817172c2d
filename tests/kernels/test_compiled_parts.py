"""Functions that only kernels may call are called by kernels only: from Python they would jump to address 0."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def decorated(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, set[str]]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node, {one.id for one in node.decorator_list if isinstance(one, ast.Name)}


def test_parts_of_kernels_are_called_by_kernels_only() -> None:
    texts = {path: path.read_text("utf-8") for top in ("src", "tests") for path in (ROOT / top).rglob("*.py")}
    trees = {path: ast.parse(text) for path, text in texts.items() if "genre.kernels" in text}
    parts = {path: {node.name for node, by in decorated(tree) if "compiled_part" in by} for path, tree in trees.items()}
    assert sum(map(len, parts.values())) > 10
    public = {name for names in parts.values() for name in names if not name.startswith("_")}
    for path, tree in trees.items():
        kernels = [node for node, by in decorated(tree) if by & {"compiled", "compiled_part"}]
        inside = {id(one) for node in kernels for one in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in public | parts[path]:
                assert id(node) in inside, f"{path}:{node.lineno} calls {node.func.id}, which has no form for Python"
