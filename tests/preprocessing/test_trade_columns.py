"""Which column is which in exports of trades: the names that shops, players and networks write."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from genre.data.dataset import Dataset
from genre.preprocessing.sources.files import Files
from reading import prepared, read_tables

Write = Callable[..., Path]


def roles(source: Files) -> dict[str, str]:
    """Role -> column, as the notes say it."""
    said = [note.partition(": '") for note in read_tables(source).notes if ": '" in note]
    known = ("user", "item", "weight", "timestamp", "title")
    return {role: rest.partition("'")[0] for role, _, rest in said if role in known}


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (  # a shop system's order export: the order is no user, its id no item
            "Name,Email,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Id",
            {"user": "Email", "item": "Lineitem sku", "weight": "Lineitem quantity", "timestamp": "Created at"},
        ),
        (
            "order_id,order_date,status,customer_id,billing_email,item_name,item_sku,item_quantity",
            {"user": "customer_id", "item": "item_sku", "weight": "item_quantity", "timestamp": "order_date"},
        ),
        (  # names of persons and things are no ids where ids are there
            "customer,customer_id,product,product_id,qty,date",
            {"user": "customer_id", "item": "product_id", "weight": "qty", "timestamp": "date"},
        ),
        (
            "ID,Name,Email,Created At,Line: Type,Line: SKU,Line: Title,Line: Quantity",
            {"user": "Email", "item": "Line: SKU", "weight": "Line: Quantity", "timestamp": "Created At"},
        ),
        ("session_id,customer_id,product_name,sku", {"user": "customer_id", "item": "sku"}),
        ("session_id,product_name", {"user": "session_id", "item": "product_name"}),
        (  # a player's history: the track, not who made it
            "ts,username,ms_played,master_metadata_album_artist_name,master_metadata_track_name,spotify_track_uri",
            {"user": "username", "item": "spotify_track_uri", "timestamp": "ts"},
        ),
        ("uts,artist,album,track,username", {"user": "username", "item": "track", "timestamp": "uts"}),
        ("user_id,artistname,trackname,playlistname", {"user": "user_id", "item": "trackname"}),
        ("playlist_id,playlist_name,pos,track_uri,track_name", {"user": "playlist_id", "item": "track_uri"}),
        ("Follower,Account address,Show boosts", {"user": "Follower", "item": "Account address"}),
        (
            "Belegnr;Kundennummer;Artikelnummer;Menge",
            {"user": "Kundennummer", "item": "Artikelnummer", "weight": "Menge"},
        ),
        ("User,Title,Book Id,My Rating", {"user": "User", "item": "Book Id"}),
        ("user_pseudo_id,event_name,page_location,page_title", {"user": "user_pseudo_id", "item": "page_location"}),
        ("account,title,titleUrl,time", {"user": "account", "item": "titleUrl", "timestamp": "time"}),
        ("Profile Name,Start Time,Title", {"user": "Profile Name", "item": "Title", "timestamp": "Start Time"}),
    ],
)
def test_columns_of_exports(write: Write, head: str, expected: dict[str, str]) -> None:
    times = {"Created at", "Created At", "order_date", "date", "ts", "uts", "time", "Start Time"}
    counts = {"Lineitem quantity", "Line: Quantity", "item_quantity", "qty", "Menge", "My Rating"}
    rows = [
        (";" if ";" in head else ",").join(
            f"2024-01-0{at}" if name in times else str(at) if name in counts else f"c{place}v{at}"
            for place, name in enumerate(re.split("[,;]", head))
        )
        for at in range(1, 4)
    ]
    found = roles(Files(write("export.csv", "\n".join([head, *rows]) + "\n")))
    assert {role: found.get(role) for role in expected} == expected


def test_an_address_is_the_item_where_nothing_else_names_it_and_a_guess(write: Write) -> None:
    tables = read_tables(Files(write("clicks.csv", "userId,url\na,http://x/1\nb,http://x/2\n")))
    assert any(guess.startswith("item: 'url' (by its name, since none says more") for guess in tables.guesses)


def test_a_column_of_items_with_gaps_is_not_taken_where_another_has_none(write: Write) -> None:
    rows = "".join(f"b{at % 3},{f's{at % 5}' if at % 2 else ''},l{at % 5},Mug {at % 5}\n" for at in range(40))
    tables = read_tables(Files(write("sales.csv", f"Buyer,SKU,Listing ID,Item Name\n{rows}")))
    assert "item: 'Listing ID' (by its name; 'SKU' has gaps)" in tables.notes
    assert tables.interactions["item_id"].null_count == 0


def test_days_with_dots_under_a_foreign_name_are_times_and_numbers_with_a_point_are_none(write: Write) -> None:
    rows = "".join(f"r{at % 9};b{at % 7};{at % 28 + 1:02}.{at % 12 + 1:02}.2022;{20 + at}.5\n" for at in range(60))
    tables = read_tables(Files(write("lent.csv", f"reader;book;wann;preis\n{rows}")))
    assert tables.calendar
    assert any(note.startswith("timestamp: 'wann' (it holds times; a guess") for note in tables.notes)
    assert "not used: preis" in tables.notes


def titles(dataset: Dataset) -> dict[str, str]:
    """Item -> what it is called."""
    return dict(zip(dataset.item_ids.values.to_pylist(), dataset.titles(), strict=True))


PLAYS = "user,track_id,artist_name,track_name\n" + "".join(
    f"u{user},t{track},The Band {track},Song {track}\n" for user in range(4) for track in range(6)
)


def test_a_track_is_called_by_its_own_name_and_not_by_that_of_its_artist(write: Write) -> None:
    data, _ = prepared(Files(write("plays.csv", PLAYS)))
    assert titles(data) == {f"t{track}": f"Song {track}" for track in range(6)}


def test_items_whose_ids_are_names_take_no_other_column_for_their_title(write: Write) -> None:
    words = ("rose", "lily", "iris", "daisy", "aster", "tulip")
    rows = [f"u{user},Blue {word},code-{word}\n" for user in range(4) for word in words]
    data, _ = prepared(Files(write("sales.csv", "".join(["customer,product_name,supplier\n", *rows]))))
    assert titles(data) == {f"Blue {word}": f"Blue {word}" for word in words}


@pytest.mark.parametrize(
    ("items", "column"),
    [
        ("product,track,name\nPrism,t1,Glass\nOwls,t2,Night\n", "track"),  # both names are known, one holds the ids
        ("handle,code,name\nred-mug,t1,Red\nblue-mug,t2,Blue\n", "code"),  # neither name is known
        ("2019,t1,Red mug\n2020,t2,Blue mug\n", "column 2"),  # no header
    ],
)
def test_the_ids_tell_the_column_of_an_items_table(write: Write, items: str, column: str) -> None:
    plays = write("plays.csv", "user,song_id\na,t1\na,t2\nb,t1\n")
    tables = read_tables(Files(plays, items=write("items.csv", items)))
    assert tables.items is not None
    assert tables.items["item_id"].to_pylist() == ["t1", "t2"]
    assert any(note.startswith(f"items: '{column}' (it holds the ids of the interactions)") for note in tables.notes)


def test_numbers_that_are_ids_by_chance_tell_no_column(write: Write) -> None:
    plays = write("plays.csv", "user,song_id\na,1\na,2\nb,1\n")
    tables = read_tables(Files(plays, items=write("items.csv", "code,rank\nx,1\ny,2\n")))
    assert tables.items is not None
    assert tables.items["item_id"].to_pylist() == ["x", "y"], "which cleaning refuses, since no id is known"
