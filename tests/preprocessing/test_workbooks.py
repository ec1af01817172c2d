"""Workbooks: what Excel shows is what is read."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pytest

import genre
from genre.config.starter import first_config
from genre.errors import DataError, NotAvailable, OptionError
from genre.preprocessing.sources.files import Files
from reading import prepared
from workbook_writer import Cell, write_workbook

DAY = datetime.datetime(2024, 3, 5, 14, 30)
HEADER: list[Cell] = ["customer", "product", "quantity", "date", "gift"]
ROWS: list[list[Cell]] = [
    [17850.0, "85123A", 6.0, DAY, True],
    [17850.0, 71053.0, 1.5, DAY + datetime.timedelta(days=1), False],
    [13047.0, "85123A", 2.0, DAY, None],
]
GOODS: list[list[Cell]] = [["product", "title"], ["85123A", 'White "Heart", large\nT-light'], [71053.0, "Lantern"]]


@pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")
def test_numbers_dates_and_texts_are_read_as_they_are_meant(tmp_path: Path) -> None:
    sales = write_workbook(tmp_path / "sales.xlsx", {"March": [HEADER, *ROWS], "Notes": []})
    goods = write_workbook(tmp_path / "goods.xlsx", {"Goods": GOODS})
    data = genre.load(sales, items=goods)
    assert data.user_ids[:] == ["13047", "17850"]
    assert data.item_ids[:] == ["71053", "85123A"]
    assert data.titles()[:] == ["Lantern", 'White "Heart", large\nT-light']
    assert data.weight.tolist() == [2.0, 6.0, 1.5]
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [1709649000, 1709649000, 1709735400]
    assert "sales.xlsx: sheet 'March', with a header" in str(data.report)
    assert "not used: gift" in str(data.report)


@pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")
def test_sheets_of_one_workbook_are_named(tmp_path: Path) -> None:
    book = write_workbook(tmp_path / "shop.xlsx", {"Orders": [HEADER, *ROWS], "Goods": GOODS})
    with pytest.raises(
        DataError, match="2 sheets with rows: 'Orders', 'Goods'; name one in the data section: sheets: "
    ):
        genre.load(book)
    data, _ = prepared(Files(book, book, sheets={"interactions": "Orders", "items": "Goods"}))
    assert len(data) == 3
    with pytest.raises(DataError, match=r"no sheet 'Order' \(did you mean 'Orders'\?\); it has 'Orders', 'Goods'"):
        genre.load(Files(book, sheets={"interactions": "Order"}))
    with pytest.raises(OptionError, match="sheets: unknown table 'item'"):
        Files(book, sheets={"item": "Goods"})


def test_lines_above_the_header_are_left_out(tmp_path: Path) -> None:
    above: list[list[Cell]] = [["Sales of March"], [], HEADER]
    book = write_workbook(tmp_path / "sales.xlsx", {"March": [*above, *ROWS]})
    assert len(genre.load(book)) == 3


def test_bad_workbooks_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.xlsx").write_bytes(b"PK\x03\x04" + bytes(99))
    with pytest.raises(DataError, match=r"broken\.xlsx: unreadable as a workbook"):
        genre.load(tmp_path / "broken.xlsx")
    with pytest.raises(DataError, match=r"gone\.xlsx: no such file"):
        genre.load(tmp_path / "gone.xlsx")
    with pytest.raises(DataError, match="sheet 'One' has 1 rows of 2 columns; expected a header"):
        genre.load(write_workbook(tmp_path / "one.xlsx", {"One": [["user", "item"]]}))
    with pytest.raises(DataError, match="no sheet with rows"):
        genre.load(write_workbook(tmp_path / "empty.xlsx", {"One": []}))
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(NotAvailable, match=r"pip install 'genre-rec\[excel\]'; or save the table as CSV"):
        genre.load(tmp_path / "one.xlsx")


@pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")
def test_init_reads_a_workbook(tmp_path: Path) -> None:
    book = write_workbook(tmp_path / "sales.xlsx", {"March": [HEADER, *ROWS]})
    config = first_config(book, None, None, tmp_path / "genre.yaml").config
    assert len(prepared(config.experiment.data)[0]) == 3
