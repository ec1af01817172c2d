"""The examples in the docstrings of public names run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

import genre

WITH_EXAMPLES = [name for name in genre.__all__ if ">>>" in (inspect.getdoc(getattr(genre, name)) or "")]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_example_runs(name: str) -> None:
    module = importlib.import_module(genre._HOMES[name])
    found = doctest.DocTestFinder(recurse=False).find(getattr(genre, name), name, module=module, globs={})
    report = list[str]()
    for example in found:
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=report.append)
    assert not report, "".join(report)
