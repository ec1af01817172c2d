"""One of everything that a config can name by `module:Class`, each in under thirty lines, in one run."""

from __future__ import annotations

import dataclasses
import json
import re
import runpy
import sys
from pathlib import Path

import pytest

import genre
from genre.cli.main import main
from genre.cli.new_package import make_package
from genre.domains.packs import load_domain
from genre.errors import ConfigError, GenreError
from genre.features.augmentation_prompts import Augmentation

SOURCE = '''
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
import json
from genre.options import Doc
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.frames import Frames

@dataclass(eq=False)
class Baskets(Source):
    """Lines of JSON, a basket each."""
    path: Annotated[Path, Doc("The file.")]
    def load(self, engine, *, log=None):
        baskets = [json.loads(line) for line in self.path.read_text().splitlines()]
        rows = [{"user": one["who"], "item": item, "timestamp": one["day"]} for one in baskets for item in one["items"]]
        items = [{"item": name, "title": f"Ware {name}"} for name in sorted({row["item"] for row in rows})]
        return Frames(rows, items=items).load(engine)
'''
SPLIT = '''
from dataclasses import dataclass
from typing import Annotated
import numpy as np
from genre.data.folds import Fold, Split
from genre.options import Doc
from genre.preprocessing.splits import Splitter

@dataclass(eq=False)
class EveryFifth(Splitter):
    """Every fifth interaction is test, the one behind it validation."""
    start: Annotated[int, Doc("The first of them.")] = 0
    def split(self, dataset):
        at = (np.arange(len(dataset)) - self.start) % 5
        train, known = dataset.where(at > 1), dataset.where(at > 0)
        return Split(train, Fold(train, dataset.where(at == 1)), Fold(known, dataset.where(at == 0)))
'''
ENCODER = '''
from dataclasses import dataclass
import numpy as np
from genre import Encoder

@dataclass(eq=False)
class Letters(Encoder):
    """How often each letter is in a text."""
    def encode_texts(self, texts, *, log=None):
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        return np.array([[text.lower().count(letter) for letter in letters] for text in texts], np.float32)
'''
RECOMMENDER = '''
from dataclasses import dataclass
import numpy as np
import genre

@dataclass(eq=False)
class LastAgain(genre.Recommender):
    """Items are as near as the letters of their titles."""
    def _fit(self, dataset, validation, log):
        self.vectors_ = dataset.item_features.values
    def _score(self, history):
        return (history.matrix() @ self.vectors_ @ self.vectors_.T).astype(np.float32)
'''
METRIC = '''
from genre.evaluation.metrics import hit_rate

def misses(ranks):
    """The share of users without a hit."""
    return 1 - hit_rate(ranks)
'''
RULE = '''
from dataclasses import dataclass
from typing import Annotated, ClassVar
import numpy as np
from genre.options import Doc
from genre.rules.built_in import Hide

@dataclass(frozen=True, kw_only=True)
class HideEnding(Hide):
    """Items whose id ends with a letter are in no list."""
    ending: Annotated[str, Doc("The letter.")] = "x"
    kind: ClassVar[str] = "hide_ending"
    needs_items: ClassVar[bool] = False
    def holds_for(self, fields, row, now):
        hidden = np.zeros(fields.n_items, bool)
        hidden[[at for item, at in row.items() if item.endswith(self.ending)]] = True
        return hidden
'''
PROVIDER = '''
from dataclasses import dataclass
import json
from genre.llm.base import Completion, LanguageModel

@dataclass(eq=False)
class Parrot(LanguageModel):
    """Says one sentence."""
    @property
    def fingerprint(self):
        return "parrot 1"
    def _complete(self, prompt, schema):
        with open("heard.txt", "a") as file:
            file.write(prompt)
        return Completion(json.dumps({"sentence": "Polly sells biscuits on the moon"}), tokens_in=9, tokens_out=9)
'''
WORDS = """
words: {item: ware, items: wares, person: regular, took: carried home, topics: [tea, tin]}
columns: {item: [stockno]}
config:
  evaluation: {k: 3}
"""
PROMPT = """
<data>
{{fields}}
</data>
Between the marks is a {{item}} of our market, as data.
Say in one {{language}} sentence what it is, and its topics of {{topics}}.
Answer with JSON: {"summary": "{{opening}} ...", "topics": ["..."]}
"""
OWN = {"baskets": SOURCE, "fifths": SPLIT, "letters": ENCODER, "nearest_letters": RECOMMENDER}
OWN |= {"misses_metric": METRIC, "endings": RULE, "parrot": PROVIDER}
INSTALLED = {  # a package of data, as pip leaves it
    "market/words.yaml": WORDS,
    "market/prompts/item_summary.md": PROMPT,
    "market/__init__.py": "raise RuntimeError('data is read without running code')",
    "market-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: market\nVersion: 1.0\n",
    "market-1.0.dist-info/entry_points.txt": "[genre.domains]\nstalls = market:words.yaml\n"
    "[genre.prompts]\nstalls = market:prompts\n",
}
CONFIG = """
name: mine
domain: stalls
llm: {provider: {kind: "parrot:Parrot"}, ledger: ledger.sqlite, budget: {calls: 50}}
augmentation: {item_fields: [title], prompts: stalls, max_items: 2, repair: false}
data: {kind: "baskets:Baskets", path: baskets.jsonl}
split: {kind: "fifths:EveryFifth", start: 1}
features: {items: {kind: "letters:Letters"}}
recommenders: [{kind: "nearest_letters:LastAgain"}, {kind: popularity}]
rules: [{kind: "endings:HideEnding", ending: "7"}]
evaluation: {metrics: ["misses_metric:misses", hit_rate]}
output: {k: 3, explanations: {llm: {provider: {kind: "parrot:Parrot"}, ledger: ledger.sqlite, budget: {calls: 50}}}}
"""


@pytest.mark.parametrize("name", [*OWN, *INSTALLED])
def test_each_has_fewer_than_thirty_lines(name: str) -> None:
    assert len((OWN | INSTALLED)[name].strip().splitlines()) < 30


def install(folder: Path) -> None:
    for name, text in INSTALLED.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_run_of_nothing_but_own_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in OWN.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    (site := tmp_path / "site").mkdir()
    install(site)
    monkeypatch.syspath_prepend(str(site))
    baskets = [
        {
            "who": f"w{user}",
            "day": 1_600_000_000 + 86_400 * day,
            "items": [f"i{(user + 2 * day + at) % 18}" for at in (0, 5)],
        }
        for user in range(20)
        for day in range(4)
    ]
    (tmp_path / "baskets.jsonl").write_text("\n".join(map(json.dumps, baskets)))
    (tmp_path / "mine.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    run = genre.run("mine.yaml")
    rows = {row["name"]: row["values"] for row in run.report["leaderboard"]}
    assert set(rows) == {"LastAgain", "popularity"}
    for values in rows.values():
        assert values["misses_metric:misses@3"] == pytest.approx(1 - values["hit_rate@3"])
    listed = run.recommend([f"w{user}" for user in range(5)], k=17)
    assert "i1" in set(listed["item_id"])
    assert not {"i7", "i17"} & set(listed["item_id"]), "hidden by the rule"
    assert listed["title"][0] == f"Ware {listed['item_id'][0]}"
    worded = run.report["language_model"]["explanations"]
    assert worded["rejected"] > 0, "the provider answered, and its invention was not used"
    heard = (tmp_path / "heard.txt").read_text()
    assert "Between the marks is a ware of our market" in heard, "the own prompt, with a word of the own trade"
    assert "say why a ware is recommended to a regular" in heard, "the built-in one, with its words, too"
    assert "stalls" in (run.folder / "config.full.yaml").read_text()


def test_data_of_packages_is_named_or_what_is_wrong_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_domain("market:words.yaml") == load_domain("stalls")
    own = Augmentation(("title",), domain="stalls", prompts=Path("market:prompts"))
    assert own.prompt("item_summary").text == PROMPT.strip() + "\n"
    assert "market" not in own.prompt("user_profile").text, "the package has none"
    for wrong in ("market:none.yaml", "market:../market/words.yaml", "nowhere:words.yaml"):
        with pytest.raises(ConfigError, match="no installed package has this file"):
            load_domain(wrong)
    with pytest.raises(ConfigError, match="built in: music, news, shop, social, video"):
        load_domain("stall")
    with pytest.raises(ConfigError, match="is no folder"):
        dataclasses.replace(own, prompts=Path("nothing")).prompt("item_summary")


def test_genre_new_makes_a_package_whose_test_passes_and_whose_kind_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "recommender", "recent_hits"]) == 0
    line = r"next: cd recent_hits && \S*python\S* -m pytest && genre run recent_hits\.yaml\n"
    assert re.search(line, capsys.readouterr().out)
    monkeypatch.syspath_prepend(str(tmp_path / "recent_hits"))
    runpy.run_path("recent_hits/test_recent_hits.py")["test_it_keeps_the_contract"]()
    assert main(["check", "recent_hits/recent_hits.yaml"]) == 0
    assert "power: 0.5" in capsys.readouterr().out
    project = (tmp_path / "recent_hits" / "pyproject.toml").read_text()
    assert re.search(r'^recent_hits = "recent_hits:RecentHits"$', project, re.M)
    assert main(["new", "recommender", "recent_hits"]) == 2, "nothing is overwritten"
    for wrong in ("Recent", "a-b", "class"):
        with pytest.raises(GenreError, match="small letters"):
            make_package(tmp_path / wrong)
