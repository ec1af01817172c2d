"""The page on language models runs as it is printed, on the toy world and with a model without a model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from genre.config.reading import parse_config
from genre.features.base import item_features
from genre.features.tfidf import TfIdf
from genre.testing import FakeLanguageModel, toy_dataset

PAGE = (Path(__file__).parents[2] / "docs" / "language-models.md").read_text(encoding="utf-8")


def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = TfIdf()
    data = toy_dataset()
    data = data.where(data.liked())  # the last one of each user is a like
    world = {"dataset": data.with_features(items=item_features(data, encoder)), "encoder": encoder}
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    code = code.replace("from genre.llm.llamacpp import LlamaCpp", "")
    exec(compile(code, "language-models.md", "exec"), {**world, "LlamaCpp": FakeLanguageModel})


def test_the_yaml_of_the_page_is_legal() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    recommenders = next(block for block in blocks if block.startswith("recommenders"))
    whole = next(block for block in blocks if block.startswith("llm:"))
    providers = re.findall(r"^provider: (\{.*?\})", blocks[0], re.MULTILINE)
    assert len(providers) == 3
    for provider in map(yaml.safe_load, providers):
        entry = yaml.safe_load(recommenders)
        entry["recommenders"][0]["llm"]["provider"] = provider
        page = yaml.safe_load(whole)
        page["llm"]["provider"] = provider
        for sections in (entry, page):
            parse_config(yaml.safe_dump({"name": "page", "data": {"kind": "movielens-100k"}, **sections}), "page")
