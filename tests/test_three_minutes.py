"""The first three minutes: the four lines of the README give a shop, a music app and a newspaper lists with reasons.

By night the lines are run as they stand there. By day the config that `genre init` wrote keeps two recommenders, which
take seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from genre.cli.main import main
from sizes import sized
from trade_files import write_music, write_news, write_shop

ROOT = Path(__file__).parents[1]
FEW = [{"kind": "popularity"}, {"kind": "ease", "regularization": 50}]


def lines_of_the_readme() -> list[str]:
    part = (ROOT / "README.md").read_text("utf-8").partition("\n## On the command line\n")[2]
    block = re.search(r"^```sh\n(.*?)^```", part, re.M | re.S)
    assert block is not None
    return block[1].splitlines()


@pytest.mark.parametrize(
    ("write", "user", "title"),
    [
        (write_shop, "K003", r"(Red|Blue) \w+"),
        (write_music, "u3", r"\w+ song \d"),
        (write_news, "r3", r"\w+ report \d+"),
    ],
    ids=["shop", "music", "news"],
)
def test_four_lines_lead_to_lists_with_titles_and_reasons(
    write: Callable[[Path], list[str]],
    user: str,
    title: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    init, run, recommend, serve = (line.split() for line in lines_of_the_readme())
    assert [line[1] for line in (init, run, recommend, serve)] == ["init", "run", "recommend", "serve"]
    assert serve[2] == recommend[2], "one run, listed and served"
    assert main(["init", *write(tmp_path)]) == 0, "`genre init` with the files of the trade"
    if not sized(0, 1):
        config = yaml.safe_load((tmp_path / "genre.yaml").read_text("utf-8"))
        config |= {"recommenders": FEW}
        config.pop("features", None)
        (tmp_path / "genre.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    capsys.readouterr()
    assert main(run[1:]) == 0
    folder = re.search(r"genre serve (\S+)", capsys.readouterr().out)
    assert folder is not None, "the run says what to do next"
    assert main(["recommend", folder[1], "--user", user, *recommend[5:]]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 3
    for line in shown:
        assert re.search(rf"^ *\d+  {title} +\d+\.\d+  (because of|popular)", line), line
