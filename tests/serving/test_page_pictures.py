"""Pictures of items: made with the run, served from the service's own address, shown on the page."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from playwright.sync_api import expect

import genre
from genre.errors import DataError
from genre.features.thumbnails import PictureOptions, Thumbnails, make_thumbnails, read_digests
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.http.access import ApiKeys
from genre.serving.http.app import create_app
from genre.serving.service import Service
from lines import Lines
from small_world import write_interactions
from watched_pages import Open, Served, axe_faults

CONFIG = """\
name: small
data: {kind: files, interactions: interactions.csv, items: items.csv}
split: {kind: leave-one-out}
recommenders: [{kind: popularity}, {kind: ease, regularization: 5}]
evaluation: {k: 3, metrics: [ndcg]}
output: {users: [u0], k: 3, pictures: {column: poster, folder: posters}}
"""


def drawn(colour: tuple[int, int, int], size: tuple[int, int] = (60, 90), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose items have pictures, but the last one, which has none, and i3, whose file is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    write_interactions(folder / "interactions.csv", 20)
    rows = [f"i{item},Story {item},p{item}.png" for item in range(15)]
    (folder / "items.csv").write_text("\n".join(["item_id,title,poster", *rows, "i15,Story 15,"]))
    (folder / "posters").mkdir()
    for item in range(15):
        (folder / "posters" / f"p{item}.png").write_bytes(drawn((16 * item, 90, 240 - 16 * item), (600, 900)))
    (folder / "posters" / "p3.png").write_bytes(b"<svg onload='alert(1)'/>")
    (folder / "small.yaml").write_text(CONFIG)
    log = Lines()
    run = genre.run(folder / "small.yaml", runs=folder / "runs", log=log)
    assert any("2 of 16 rows have no picture (1: " in line for line in log.lines), log.lines[-9:]
    return run


def app_of(run: Run, folder: Path, keys: ApiKeys | None = None) -> TestClient:
    service = Service([run], SQLiteStore(folder / "events.sqlite"))
    service.warm()
    return TestClient(create_app(service, api_keys=keys))


def test_pictures_are_small_and_made_anew_from_their_pixels(tmp_path: Path) -> None:
    files = {"a.png": drawn((255, 0, 0), (1000, 500)), "same.png": drawn((255, 0, 0), (1000, 500))}
    files |= {"tail.png": drawn((0, 255, 0)) + b"<script>", "half.png": drawn((9, 9, 9), (800, 800))[:90]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    glass = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    glass.save(tmp_path / "glass.png")
    names = ["a.png", "same.png", "tail.png", "half.png", "glass.png", "../x.png", "http://127.0.0.1/a.png", ""]
    options, log = PictureOptions(folder=tmp_path, side=100, cache_dir=str(tmp_path / "cache")), Lines()
    assert options.names(pa.table({"image": [*names[:-1], None]})) == names
    made = make_thumbnails(options, names, read_digests(options, names), log)
    assert made.of_item.tolist() == [0, 0, 1, -1, 2, -1, -1, -1]
    (line,) = log.lines
    for reason in ("1: not a readable picture", "1: a path outside", "1: a host that is not public", "1: no address"):
        assert reason in line
    made.save(tmp_path)
    again = Thumbnails.load(tmp_path)
    assert again.name(0) == again.name(1) == made.name(0)
    assert again.name(3) is None
    assert again.name(99) is None, "an item that came later"
    for row, size, colour in ((0, (100, 50), (254, 0, 0)), (2, (60, 90), (0, 255, 0)), (4, (20, 20), (255, 255, 255))):
        data = again.get(str(again.name(row)))
        assert data is not None
        assert b"<script>" not in data
        with Image.open(io.BytesIO(data)) as small:
            assert (small.format, small.size) == ("WEBP", size)
            assert np.abs(np.array(small.convert("RGB"))[5, 5].astype(int) - colour).max() < 9
    with pytest.raises(DataError, match="no column 'image'"):
        options.names(pa.table({"title": ["a"]}))


def test_no_picture_at_all(tmp_path: Path) -> None:
    options = PictureOptions(folder=tmp_path, cache_dir=str(tmp_path / "cache"))
    make_thumbnails(options, ["", ""], read_digests(options, ["", ""]), Lines()).save(tmp_path)
    found = Thumbnails.load(tmp_path)
    assert found.name(0) is None
    assert found.get("") is None


def test_pictures_have_an_address_of_the_service(made: Run, tmp_path: Path) -> None:
    with app_of(genre.read_run(made.folder), tmp_path) as http:
        found = {one["item_id"]: one for one in http.get("/v1/items?k=16").json()["items"]}
        assert "picture" not in found["i15"]
        assert "picture" not in found["i3"]
        listed = http.get("/v1/users/u0/recommendations?k=1").json()["items"][0]
        address = found[listed["item_id"]]["picture"]
        assert listed["picture"] == address == http.get(f"/v1/items/{listed['item_id']}").json()["picture"]
        answer = http.get(f"/{address}")
        assert answer.headers["content-type"] == "image/webp"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        with Image.open(io.BytesIO(answer.content)) as small:
            assert small.size == (320, 480)
        for wrong in ("none", "..%2Fmanifest.json", "%2e%2e/report.json", "data.npy", f"{address[9:]}0", ""):
            missing = http.get(f"/pictures/{wrong}")
            assert (missing.status_code, missing.json()["error"]) == (404, "not_found"), wrong
    keys = ApiKeys({"k" * 20: ("read",), "e" * 20: ("events",)})
    with app_of(made, tmp_path, keys) as http:
        statuses = [http.get(f"/{address}", auth=("", key)).status_code for key in ("wrong", "e" * 20, "k" * 20)]
        assert statuses == [401, 403, 200]


def test_a_run_is_made_again_with_the_pictures_that_there_are_now(made: Run) -> None:
    folder = made.folder.parents[1]
    before = made.pictures
    (folder / "posters" / "p3.png").write_bytes(drawn((1, 2, 3)))
    log = Lines()
    run = genre.run(folder / "small.yaml", overrides=["output.k=2"], runs=folder / "runs", log=log)
    assert any("Made: pictures. " in line for line in log.lines), "all else was read back"
    assert before is not None
    assert run.pictures is not None
    assert (run.pictures.of_item >= 0).sum() == (before.of_item >= 0).sum() + 1


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_the_page_shows_them(made: Run, tmp_path: Path, serve_app: Served, open_page: Open, size: str) -> None:
    with closing(SQLiteStore(tmp_path / "events.sqlite")) as store:
        service = Service([made], store)
        service.warm()
        with serve_app(create_app(service)) as url:
            page = open_page(url, size)
            pictures = page.locator("#list img.art")
            n = page.locator("#list .card").count()
            assert 0 < pictures.count() < n, "the others have their painted covers"
            assert pictures.count() + page.locator("#list svg.art").count() == n
            card = page.locator("#list .card", has=page.locator("img.art")).first
            title = card.locator("h3").inner_text()
            assert card.locator("img").get_attribute("alt") == title
            if size == "wide":
                loaded = "one => one.complete && one.naturalWidth > 0"
                assert page.locator("#list img.art").first.evaluate(loaded)
                boxes = [page.locator(f"#list {kind}.art").first.bounding_box() for kind in ("img", "svg")]
                assert boxes[0] is not None
                assert boxes[1] is not None
                assert (boxes[0]["width"], boxes[0]["height"]) == (boxes[1]["width"], boxes[1]["height"]), "no jump"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "with the link to the report"
            assert axe_faults(page) == []
            page.screenshot(path=str(tmp_path / f"{size}.png"))
            page.goto(f"{url}/item.html?id=i4")
            expect(page.locator("#lead img.art")).to_have_attribute("alt", "Story 4")
            expect(page.locator("#similar .mini").first).to_be_visible()
            page.screenshot(path=str(tmp_path / f"{size}-item.png"))
            page.goto(f"{url}/item.html?id=i15")
            expect(page.locator("#lead svg.art")).to_be_visible()
