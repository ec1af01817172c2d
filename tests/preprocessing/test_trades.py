"""Sources as trades export them, each with the right Dataset written by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import genre
from genre.config.reading import parse_config
from genre.config.starter import first_config, parse_columns
from genre.engines.duckdb import DuckDB
from genre.errors import DataError, OptionError
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources import one_table
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.sources.files import Files
from genre.preprocessing.sources.impressions import NOTE, Impressions, looks_like_impressions
from polars_engine import Polars
from reading import prepared

Write = Callable[..., Path]
SHOP = """customer,stockcode,description,quantity,price,country,date
ann,85123A,White Heart,6,2.55,France,2024-01-01
ann,71053,Lantern,2,3.39,France,2024-01-01
ann,85123A,White Heart,1,2.25,France,2024-01-02
bob,85123A,Wet heart?,3,2.75,Spain,2024-01-02
bob,71053,Lantern,1,3.39,Spain,2024-01-02
bob,84406,Coat Hanger,1,1.10,Spain,2024-01-03
cid,84406,Coat Hanger,4,0.99,France,2024-01-04
cid,71053,Lantern,2,3.10,France,2024-01-05
cid,85123A,White Heart,2,2.55,France,2024-01-05
dan,71053,Lantern,1,3.39,Spain,2024-01-06
dan,84406,Coat Hanger,1,1.05,Spain,2024-01-06
dan,85123A,White Heart,1,2.10,Spain,2024-01-07
,85123A,White Heart,9,2.55,Italy,2024-01-07
"""


@pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")
@pytest.mark.parametrize("form", ["csv", "parquet", "frame"])
def test_columns_with_one_value_per_id_are_fields_of_items_and_users(write: Write, form: str) -> None:
    path = write("orders.csv", SHOP)
    frame = pd.read_csv(path)
    frame.to_parquet(path.with_suffix(".parquet"))
    data = genre.load({"csv": path, "parquet": path.with_suffix(".parquet"), "frame": frame}[form])
    assert data.items.to_pydict() == {
        "item_id": ["71053", "84406", "85123A"],
        "title": ["Lantern", "Coat Hanger", "White Heart"],
    }
    assert data.users.to_pydict() == {
        "user_id": ["ann", "bob", "cid", "dan"],
        "country": ["France", "Spain", "France", "Spain"],
    }
    assert "field of items: 'description' (one value per item; 1 item with several, the most frequent" in str(
        data.report
    )
    assert "not used: price" in str(data.report), "a price changes from sale to sale"


@pytest.mark.parametrize("values", [1, 1 << 20])
def test_fields_are_the_same_in_one_query_a_side_and_in_one_a_column(
    monkeypatch: pytest.MonkeyPatch, values: int
) -> None:
    columns = [f"c{place}" for place in range(12)]
    rows = {
        name: [f"{name} {row % 4 if place % 2 else row % 3}" for row in range(60)] for place, name in enumerate(columns)
    }
    table = pa.table({"user_id": [row % 3 for row in range(60)], "item_id": [row % 4 for row in range(60)], **rows})
    monkeypatch.setattr(one_table, "VALUES", values)
    with DuckDB() as engine:
        name = engine.register(table)
        asked: list[str] = []
        compute = engine.arrow
        monkeypatch.setattr(engine, "arrow", lambda query: asked.append(query) or compute(query))
        queries: dict[one_table.Label, str] = {
            "user": f"SELECT user_id AS id, * FROM {name}",
            "item": f"SELECT item_id AS id, * FROM {name}",
        }
        fields = [(one.label, one.column) for one in one_table.choose_fields(engine, queries, columns, None)]
    assert fields == [("item" if place % 2 else "user", name) for place, name in enumerate(columns)]
    assert len(asked) == (24 if values == 1 else 2)


def test_a_title_that_is_given_may_be_a_column_of_the_interactions(write: Write) -> None:
    rows = "user,item,label\na,1,Cup\nb,1,Cup\nb,2,Pan\n"
    assert genre.load(write("i.csv", rows), columns={"title": "label"}).titles() == ["Cup", "Pan"]
    assert genre.load(write("i.csv", rows)).titles() == ["1", "2"], "three rows show nothing"
    with pytest.raises(DataError, match="'labels' is neither a column of the interactions"):
        genre.load(write("i.csv", rows), columns={"title": "labels"})


PLAYS = "user,artist,plays\n2,51,10\n2,52,3\n3,51,4\n"


def test_several_rows_of_an_id_are_gathered_and_none_is_cut(write: Write) -> None:
    tags = (
        "artist,name,tag,year\n51,Duran,80s,1981\n51,Duran Duran,new wave,1981\n51,Duran Duran,80s,1981\n52,Air,,1998\n"
    )
    friends = "user,friend\n2,275\n2,428\n3,275\n2,9\n"
    data = genre.load(write("plays.csv", PLAYS), items=write("tags.csv", tags), users=write("friends.csv", friends))
    assert data.items.to_pydict() == {
        "item_id": ["51", "52"],
        "name": ["Duran Duran", "Air"],
        "tag": ["80s|new wave", None],
        "year": [1981, 1998],
    }
    assert data.users.to_pydict() == {"user_id": ["2", "3"], "friend": ["275|428|9", "275"]}
    said = str(data.report)
    assert (
        "items table: 4 rows describe 2 items; several values of one are joined in tag; 1 with several titles" in said
    )
    assert "users table: 4 rows describe 2 users; several values of one are joined in friend" in said


def test_gathered_lists_stay_lists(write: Write) -> None:
    casts = pd.DataFrame({"artist": [51, 51, 52], "cast": [["A", "B"], ["B", "C"], ["D"]], "score": [1.0, 2.5, 3.0]})
    data = genre.load(pd.read_csv(write("plays.csv", PLAYS)), items=casts)
    assert data.items["cast"].to_pylist() == [["A", "B", "C"], ["D"]]
    assert data.items["score"].to_pylist() == ["1|2.5", "3"]


RETURNS = """customer,product,quantity,date
ann,cup,2,2024-01-01
ann,cup,3,2024-01-02
ann,pan,1,2024-01-02
ann,cup,-4,2024-01-03
ann,cup,5,2024-01-04
ann,pan,-1,2024-01-02
bob,cup,-2,2024-01-01
bob,cup,2,2024-01-05
bob,pan,0,2024-01-06
cid,cup,7,2024-01-01
cid,pan,1,2024-01-02
cid,pan,-3,2024-01-03
"""


@pytest.mark.parametrize("engine", [DuckDB, Polars])
def test_returns_cancel_the_latest_earlier_purchases_up_to_their_quantity(
    write: Write, engine: type[DuckDB] | type[Polars]
) -> None:
    with DuckDB() as reading, engine() as working:
        tables = Files(write("sales.csv", RETURNS)).load(reading)
        tables = dataclasses.replace(
            tables, interactions=working.read(tables.interactions.collect("pyarrow").to_native())
        )
        data, report = prepare(tables, working, Cleaning(returns="cancel", repeats="all"))
    assert [
        (data.user_ids[user], data.item_ids[item], weight)
        for user, item, weight in zip(data.user.tolist(), data.item.tolist(), data.weight.tolist(), strict=True)
    ] == [("ann", "cup", 1.0), ("ann", "cup", 5.0), ("bob", "cup", 2.0), ("bob", "pan", 0.0), ("cid", "cup", 7.0)]
    said = "returns: 4; purchases that they cancel: 3, and 1 in part; returns of more than was bought before: 2"
    assert said in str(report)
    assert report.after == 5


def test_returns_are_written_into_the_first_config_where_there_are_some(write: Write) -> None:
    made = first_config(write("sales.csv", RETURNS), None, None, Path("genre.yaml"))
    assert made.config.experiment.cleaning.returns == "cancel"
    plain = first_config(write("plain.csv", RETURNS.replace(",-", ",")), None, None, Path("genre.yaml"))
    assert "returns:" not in plain.text


SHOWN = """1\tU1\t{t1}n1 n2\tn3-0 n4-1 n5-0
2\tU2\t{t2}\tn4-0
3\tU1\t{t3}n1 n2 n4\tn5-1
"""


@pytest.mark.parametrize("timed", [True, False])
def test_impressions_give_clicks_non_clicks_and_histories(write: Write, *, timed: bool) -> None:
    when = ("11/11/2019 9:05:58 AM\t", "11/12/2019 6:11:30 PM\t", "11/14/2019 7:01:48 AM\t") if timed else ("", "", "")
    path = write("behaviors.tsv", SHOWN.format(**dict(zip(("t1", "t2", "t3"), when, strict=True))))
    data, report = prepared(Impressions(path), Cleaning(repeats="all"))
    found = [
        (data.user_ids[user], data.item_ids[item], weight)
        for user, item, weight in zip(data.user.tolist(), data.item.tolist(), data.weight.tolist(), strict=True)
    ]
    history = [("U1", "n1", 1.0), ("U1", "n2", 1.0), ("U1", "n4", 1.0)]
    first = [("U1", "n3", 0.0), ("U1", "n5", 0.0), ("U1", "n4", 1.0)]
    assert found[:3] == history
    assert set(found[3:6]) == set(first)
    assert found[6:] == [("U1", "n5", 1.0), ("U2", "n4", 0.0)]
    assert NOTE in str(report)
    assert data.timestamp is not None
    shown = 1573463158 if timed else 1  # 2019-11-11 09:05:58, or the number of the line
    assert data.timestamp[:6].tolist() == [shown - 3, shown - 2, shown - 1, shown, shown, shown]


def test_impressions_below_a_header_in_one_week_of_days_that_may_be_months(write: Write) -> None:
    """Nine to twelve November: the other way round it were a day in each of four months."""
    head = "impression_id\tuser_id\ttime\thistory\timpressions\n"
    days = [f"{n}\tU{n % 2}\t11/{8 + n}/2019 8:0{n}:00 AM\tn1\tn{n}-1 n9-0\n" for n in range(1, 5)]
    path = write("behaviors.tsv", head + "".join(days))
    assert looks_like_impressions(path)
    data, report = prepared(Impressions(path), Cleaning(repeats="all"))
    assert data.timestamp is not None
    assert pd.to_datetime(data.timestamp.max(), unit="s") == pd.Timestamp("2019-11-12 08:04")
    [guess] = report.guesses
    assert guess.startswith("times of impressions: read as times written as %m/%d/%Y (a guess: %d/%m/%Y fits as well")
    made = first_config(path, None, None, Path("genre.yaml"), columns=parse_columns(["format=%d/%m/%Y %I:%M:%S %p"]))
    assert isinstance(made.config.experiment.data, Impressions)
    other, report = prepared(made.config.experiment.data, Cleaning(repeats="all"))
    assert other.timestamp is not None
    assert not report.guesses
    assert pd.to_datetime(other.timestamp.max(), unit="s") == pd.Timestamp("2019-12-11 08:04")
    with pytest.raises(OptionError, match="only `format` can be named"):
        Impressions(path, columns=Columns(user="user_id"))


def test_impressions_without_marks_name_the_row(write: Write) -> None:
    with pytest.raises(DataError, match=r"row 2 shows 'n4'; expected ids with -1"):
        prepared(Impressions(write("behaviors.tsv", "1\tU1\tn1\tn3-0\n2\tU1\tn1\tn4\n")))
    with pytest.raises(DataError, match="row 1 has 2 fields between tabs"):
        prepared(Impressions(write("behaviors.tsv", "U1\tn1\n")))


def test_a_news_table_of_many_lines_a_text_is_cut_at_its_commas(write: Write) -> None:
    text = "News of post, time and date\n\nsecond\nthird line, of it\nfourth line"
    rows = "".join(f'n{n},"Title {n}","{text} {n}"\n' for n in range(9))
    items = write("news.csv", f"news_id,title,abstract\n{rows}")
    data = genre.load(write("i.csv", "user_id,item_id\nu,n0\nv,n8\n"), items=items)
    assert data.titles() == [f"Title {n}" for n in range(9)]


EVENTS = """visitorid,timestamp,event,itemid,quantity
u1,1433221332,view,a,1
u1,1433221333,cart,a,1
u1,1433221334,buy,a,2
u2,1433221335,view,a,1
u2,1433221336,view,b,1
"""


def test_kinds_of_events_have_weights(write: Write) -> None:
    path, kinds = write("events.csv", EVENTS), {"view": 1.0, "cart": 3.0, "buy": 10.0}
    data = genre.load(path, columns={"event_kinds": kinds}, cleaning=Cleaning(repeats="all"))
    assert data.user.tolist() == [0, 0, 0, 1, 1]
    assert data.item.tolist() == [0, 0, 0, 0, 1]
    assert data.weight.tolist() == [1, 3, 10, 1, 1]
    assert "weight: 'event' (by its name), read as view: 1, cart: 3, buy: 10" in str(data.report)
    text = f"data: {{kind: files, interactions: {path}, columns: {{event_kinds: {{view: 1, cart: 3, buy: 10}}}}}}"
    source = parse_config(f"name: x\n{text}\nrecommenders: [{{kind: popularity}}]\n", "x.yaml").experiment.data
    assert prepared(source, Cleaning(repeats="all"))[0].weight.tolist() == [1, 3, 10, 1, 1]
    with pytest.raises(DataError, match="has 1 row of kind 'buy', which has no weight; add it to event_kinds"):
        genre.load(path, columns={"event_kinds": {"view": 1.0, "cart": 3.0}})
    with pytest.raises(DataError, match="missing column 'kind'"):
        genre.load(path, columns={"event_kinds": kinds, "event": "kind"})
    with pytest.raises(DataError, match="both say what weighs"):
        genre.load(path, columns={"event_kinds": kinds, "weight": "quantity"})


def test_init_recognises_impressions(write: Write) -> None:
    path = write("behaviors.tsv", SHOWN.format(t1="", t2="", t3=""))
    made = first_config(path, None, None, Path("genre.yaml")).config.experiment
    assert isinstance(made.data, Impressions)
    assert (made.evaluation.kind, made.cleaning.repeats) == ("impressions", "all")
    assert made.evaluation.metrics == ("auc", "mrr", "ndcg")
    assert not looks_like_impressions(path.parent), "a folder has no first line"


def test_init_recognises_kinds_of_events(write: Write) -> None:
    kinds = ["view", "view", "cart", "buy", "wish", "skip"]
    rows = [f"u{n % 7},i{n % 5},{kinds[n % 6]},2024-01-{n % 28 + 1:02}" for n in range(80)]
    path = write("log.csv", "\n".join(["user,item,event_type,time", *rows]) + "\n")
    made = first_config(path, None, None, Path("genre.yaml")).config.experiment
    assert isinstance(made.data, Files)
    assert made.data.columns.event == "event_type"
    assert made.data.columns.event_kinds == {"buy": 1.0, "cart": 1.0, "skip": 0.0, "view": 1.0, "wish": 1.0}
    assert (made.cleaning.repeats, made.cleaning.weights) == ("max", "given")
    plain = write("plain.csv", "\n".join(["user,item,event", *(f"u{n},i{n},e{n}" for n in range(30))]) + "\n")
    assert first_config(plain, None, None, Path("genre.yaml")).config.experiment.data.columns.event is None


def test_kinds_that_undo_are_no_likes_and_refunds_cancel(write: Write) -> None:
    kinds = ["view", "add_to_cart", "remove_from_cart", "purchase", "Refunded", "unfollow"]
    rows = [f"u{n % 7},i{n % 5},{kinds[n % 6]},2024-01-{n % 28 + 1:02}" for n in range(80)]
    rows += ["u9,i9,purchase,2024-01-05", "u9,i9,Refunded,2024-01-06"]
    made = first_config(write("log.csv", "\n".join(["user,item,event_type,time", *rows]) + "\n"), None, None, Path("y"))
    assert made.config.experiment.data.columns.event_kinds == {
        "Refunded": -1.0,
        "add_to_cart": 1.0,
        "purchase": 1.0,
        "remove_from_cart": 0.0,
        "unfollow": 0.0,
        "view": 1.0,
    }
    assert made.config.experiment.cleaning.returns == "cancel"
    data, _ = prepared(made.config.experiment.data, made.config.experiment.cleaning)
    assert "u9" not in data.user_ids.values.to_pylist(), "the one purchase was given back"


def test_a_first_config_says_nothing_of_a_policy_that_it_does_not_take(write: Write) -> None:
    made = first_config(write("sales.csv", SHOP), None, None, Path("genre.yaml"))
    assert made.config.experiment.cleaning.repeats == "all"
    assert "the last kept" not in made.text
