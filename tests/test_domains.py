"""Domain packs: what they hold, what they fill into a config, how they are recognised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genre.cli.main import main
from genre.config.domain_defaults import add_domain_defaults
from genre.config.origins import explain_config
from genre.config.reading import FULL_CONFIG, parse_config, read_config
from genre.config.starter import first_config
from genre.config.writing import to_dict, to_yaml
from genre.domains.packs import PACKS, load_domain, recognise_domain
from genre.errors import ConfigError
from genre.recommenders.blend import Blend
from genre.recommenders.follow import Follow
from genre.recommenders.friends import Friends
from genre.recommenders.llm_reranker import LLMReranker
from genre.recommenders.repeat import Repeat
from reading import prepared

SHORT = "name: mine\ndata: {kind: files, interactions: sales.csv}\n"
OWN = """\
words: {item: beer, items: beers, person: guest, took: drank, topics: [hops, malt]}
columns: {item: [bier], user: [gast]}
config:
  cleaning: {repeats: sum}
  evaluation: {k: 5, metrics: [recall]}
  recommenders: [{kind: repeat, neighbours: 7}]
"""


@pytest.mark.parametrize("name", PACKS)
def test_every_pack_is_whole_and_its_config_legal(name: str) -> None:
    pack = load_domain(name)
    assert 20 <= len(pack.words.topics) <= 60
    assert all(pack.words.wording().values())
    made = parse_config(f"{SHORT}domain: {name}\n", "mine.yaml").experiment
    assert len(made.recommenders) >= 3
    for section in ("split", "cleaning", "evaluation"):
        wanted, found = pack.config.get(section, {}), to_dict(getattr(made, section))
        assert wanted.items() <= found.items(), section


def test_a_column_belongs_to_one_domain() -> None:
    """One that two know would tell neither."""
    names = [
        name for pack in map(load_domain, PACKS) for names in (*pack.columns.values(), pack.signs) for name in names
    ]
    assert len(set(names)) == len(names)


def test_what_the_config_says_stays_and_the_rest_is_filled_in() -> None:
    text = SHORT + "domain: shop\nsplit: {kind: leave-one-out}\ncleaning: {returns: drop}\nevaluation: {k: 20}\n"
    config = parse_config(text, "mine.yaml", ["evaluation.metrics=[recall]", "recommenders.repeat.neighbours=9"])
    made = config.experiment
    assert (made.cleaning.returns, made.cleaning.repeats) == ("drop", "all")
    assert to_dict(made.split) == {"kind": "leave-one-out"} | to_dict(parse_config(text, "").experiment.split)
    assert (made.evaluation.k, made.evaluation.exclude_seen, made.evaluation.metrics) == (20, False, ("recall",))
    [repeat] = (one for one in made.recommenders if isinstance(one, Repeat))
    [blend] = (one for one in made.recommenders if isinstance(one, Blend))
    assert not blend.exclude_seen, "its weights are fitted for what is evaluated"
    assert repeat.neighbours == 9
    shown = explain_config(config).splitlines()
    for value, origin in (("repeats: all", "domain shop"), ("returns: drop", "line 5"), ("k: 20", "line 6")):
        [line] = [line for line in shown if line.strip().startswith(f"{value} ")]
        assert line.endswith(f"# {origin}")


def test_defaults_of_another_kind_are_left_out() -> None:
    values: dict[str, Any] = {"domain": "shop", "split": {"kind": "random"}}
    add_domain_defaults(values, {}, None)
    assert values["split"] == {"kind": "random"}, "a share of a split by time is none of a random one"


def test_the_command_line_may_name_the_domain() -> None:
    made = parse_config(SHORT, "mine.yaml", ["domain=music"]).experiment
    assert made.domain == "music"
    assert made.cleaning.repeats == "all"


def test_language_models_get_the_words_of_the_domain() -> None:
    rest = "llm: {provider: {kind: llamacpp}}\nrecommenders: [{kind: llm_reranker, first: ease}]\n"
    [reranker] = parse_config(f"{SHORT}{rest}domain: shop\n", "mine.yaml").experiment.recommenders
    assert isinstance(reranker, LLMReranker)
    assert reranker.domain == "shop"
    own = rest.replace("first: ease", "first: ease, domain: news")
    [reranker] = parse_config(f"{SHORT}{own}domain: shop\n", "mine.yaml").experiment.recommenders
    assert getattr(reranker, "domain", None) == "news"


def test_an_own_pack_is_a_file_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "bar.yaml").write_text(OWN)
    (tmp_path / "mine.yaml").write_text(f"{SHORT}domain: packs/bar.yaml\n")
    (tmp_path / "sales.csv").write_text("Gast,Bier,Preis\nann,pils,3\nann,stout,4\nbob,pils,3\n")
    made = read_config(tmp_path / "mine.yaml").experiment
    assert made.domain == str(tmp_path / "packs" / "bar.yaml")
    assert (made.evaluation.k, made.cleaning.repeats) == (5, "sum")
    dataset, _ = prepared(made.data)
    assert dataset.item_ids[:] == ["pils", "stout"], "names of columns are those of the pack"
    (tmp_path / FULL_CONFIG).write_text(to_yaml(to_dict(made)))
    (tmp_path / "packs" / "bar.yaml").unlink()
    assert to_dict(read_config(tmp_path / FULL_CONFIG).experiment) == to_dict(made), "a finished run needs no pack"
    with pytest.raises(ConfigError, match=r"bar.yaml': not usable .*No such file"):
        read_config(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("pack", "message"),
    [
        ("item: beer\n", "unknown key 'item'; a pack has words, columns, signs, config"),
        ("words: {item: beer}\n", "'topics'"),
        (OWN + "  name: x\n", "'name' is the config's own"),
        (OWN.replace("neighbours: 7", "neighbors: 7"), r"domain own.yaml: recommenders\[0\].neighbors: unknown option"),
        (OWN.replace("user:", "person:"), "unknown role 'person'; roles: user, item"),
    ],
)
def test_mistakes_in_a_pack_are_named(tmp_path: Path, pack: str, message: str) -> None:
    (tmp_path / "own.yaml").write_text(pack)
    with pytest.raises(ConfigError, match=message):
        parse_config(f"{SHORT}domain: own.yaml\n", "mine.yaml", folder=tmp_path)


def test_unknown_domains_name_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"domain 'shops': not usable.*music, news, shop, social, video"):
        parse_config(f"{SHORT}domain: shops\n", "mine.yaml")


@pytest.mark.parametrize(
    ("columns", "domain"),
    [
        ("customerid stockcode quantity invoicedate unitprice country", "shop"),
        ("userid movieid rating timestamp title genres", "video"),
        ("userid artistid weight", None),
        ("listenerid track plays", "music"),
        ("readerid articleid time headline abstract", "news"),
        ("memberid postid hashtags", "social"),
        ("user item rating timestamp", None),
        ("productid articleid", None),
        ("", None),
    ],
)
def test_a_domain_is_recognised_by_its_columns(columns: str, domain: str | None) -> None:
    found = recognise_domain(columns.split())
    assert (found and found[0]) == domain


def shop(folder: Path, *, weekly: bool) -> Path:
    """Customers who buy in baskets of two; `weekly` ones buy the same again."""
    lines = ["customer,product,description,price,date"]
    for user in range(30):
        for week in range(6):
            first = user % 10 if weekly else (user + 2 * week) % 25
            date = f"2024-0{1 + user % 3}-{1 + 4 * week + user % 4:02} {10 + user % 8}:00"
            for item in (first, first + 1):
                lines.append(f"c{user},p{item},Cup number {item},{item}.50,{date}")
    (folder / "sales.csv").write_text("\n".join(lines) + "\n")
    return folder / "sales.csv"


def test_init_recognises_a_shop_and_keeps_its_policy(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first = first_config(shop(tmp_path / "again", weekly=True), None, None, tmp_path / "genre.yaml")
    made, kinds = first.config.experiment, [type(one).__name__ for one in first.config.experiment.recommenders]
    assert (made.domain, made.cleaning.repeats, made.evaluation.exclude_seen) == ("shop", "all", False)
    assert {"Repeat", "Together", "Blend"} <= {*kinds}
    assert "domain: shop (its columns: customer, product, price)" in first.text
    once = first_config(shop(tmp_path, weekly=False), None, None, tmp_path / "genre.yaml")
    made, kinds = once.config.experiment, [type(one).__name__ for one in once.config.experiment.recommenders]
    assert (made.domain, made.cleaning.repeats, made.evaluation.exclude_seen) == ("shop", "last", True)
    assert "Together" in kinds
    assert "Repeat" not in kinds


@pytest.mark.parametrize("weekly", [True, False])
def test_the_user_decides_whether_lists_hold_what_they_had(tmp_path: Path, *, weekly: bool) -> None:
    """Against trade and data, too: a shop whose customers buy again may want lists of new things."""
    sales = shop(tmp_path, weekly=weekly)
    for exclude_seen, kept in ((True, "last"), (False, "all")):
        first = first_config(sales, None, None, tmp_path / "genre.yaml", exclude_seen=exclude_seen)
        made = first.config.experiment
        assert (made.cleaning.repeats, made.evaluation.exclude_seen) == (kept, exclude_seen)
        assert any(isinstance(one, Repeat) for one in made.recommenders) == (not exclude_seen)
        assert all(getattr(one, "exclude_seen", exclude_seen) == exclude_seen for one in made.recommenders)
        assert "# exclude_seen" not in first.text
    arguments = ["init", str(sales), "--exclude-seen", "--output", str(tmp_path / "genre.yaml")]
    assert main([*arguments, "--runs", str(tmp_path / "runs")]) == 0
    assert read_config(tmp_path / "genre.yaml").experiment.evaluation.exclude_seen


def test_init_takes_the_domain_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sales = shop(tmp_path, weekly=True)
    (tmp_path / "bar.yaml").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    for named, found in (("none", None), ("video", "video"), ("bar.yaml", str(tmp_path / "configs" / "../bar.yaml"))):
        output = tmp_path / "configs" / f"{Path(named).stem}.yaml"
        output.parent.mkdir(exist_ok=True)
        assert main(["init", str(sales), "--domain", named, "--output", str(output)]) == 0
        assert read_config(output).experiment.domain == found
    assert "names:" not in output.read_text(), "the pack brings them"
    assert main(["init", str(sales), "--domain", "shops", "--output", str(tmp_path / "x.yaml")]) == 2


def test_init_writes_friends_where_users_name_users(tmp_path: Path) -> None:
    (tmp_path / "plays.csv").write_text("user,item\n" + "".join(f"u{n % 6},i{n % 5}\n" for n in range(30)))
    (tmp_path / "pairs.csv").write_text("user,friend\n" + "".join(f"u{n % 6},u{n // 6}\n" for n in range(36)))
    first = first_config(tmp_path / "plays.csv", None, tmp_path / "pairs.csv", tmp_path / "genre.yaml")
    [friends] = (one for one in first.config.experiment.recommenders if isinstance(one, Friends))
    assert friends.field == "friend"
    assert not any(isinstance(one, Follow) for one in first.config.experiment.recommenders)
    assert f"genre init {tmp_path / 'pairs.csv'} --users {tmp_path / 'plays.csv'}" in first.text, "a run of its own"


@pytest.mark.parametrize(
    ("header", "letter", "found"), [("user,item", "u", True), ("member,friend", "", True), ("user,item", "", False)]
)
def test_init_proposes_whom_to_follow_where_items_are_users(
    tmp_path: Path, header: str, letter: str, *, found: bool
) -> None:
    """Numbers that are ids of both say nothing, unless a name does."""
    pairs = "".join(f"{letter}{n % 6},{letter}{n // 6}\n" for n in range(36))
    (tmp_path / "pairs.csv").write_text(f"{header}\n{pairs}")
    likes = "".join(f"{letter}{n % 6},{n},post {n % 4}\n" for n in range(24))
    (tmp_path / "likes.csv").write_text(f"{header.partition(',')[0]},line,post\n{likes}")
    first = first_config(tmp_path / "pairs.csv", None, tmp_path / "likes.csv", tmp_path / "genre.yaml")
    follow = [one for one in first.config.experiment.recommenders if isinstance(one, Follow)]
    assert [one.taste for one in follow] == ([None, "post"] if found else []), "nobody shares a line"
    assert ("items are users: whom to follow" in first.text) == found


def test_a_news_table_without_texts_gets_no_encoder(tmp_path: Path) -> None:
    (tmp_path / "reads.csv").write_text("reader,news,published\nann,1,2\nbob,2,3\n")
    first = first_config(tmp_path / "reads.csv", None, None, tmp_path / "genre.yaml")
    assert first.config.experiment.domain == "news"
    assert first.config.experiment.features.items is None
