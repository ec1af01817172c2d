"""Pictures: what a model sees of them, and what a broken one costs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Pillow

from genre.errors import DataError
from genre.features.base import Encoder
from genre.features.image import Image
from lines import Lines
from small_vision import write_vision_model

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vision_model(tmp_path_factory.mktemp("model") / "colour.onnx")


def picture(colour: tuple[int, int, int], kind: str = "PNG", size: tuple[int, int] = (20, 10)) -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def test_a_picture_becomes_the_unit_vector_of_the_model(model: Path, tmp_path: Path) -> None:
    for name, kind, colour in (("red.png", "PNG", (255, 0, 0)), ("cyan.jpg", "JPEG", (0, 200, 200))):
        (tmp_path / name).write_bytes(picture(colour, kind))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "large.png").write_bytes(b"x" * 5_000)
    names = [
        "red.png",
        "cyan.jpg",
        "text.png",
        "large.png",
        "../red.png",
        "/etc/passwd",
        "none.png",
        "",
        None,
        "red.png",
    ]
    table = pa.table({"item_id": [str(row) for row in range(10)], "image": names})
    log = Lines()
    encoder = Image(model, folder=tmp_path, most_bytes=4_000, cache_dir=str(tmp_path / "cache"), **PLAIN).fit(table)
    made = encoder.encode(table, log=log)
    assert np.allclose(made.values[[0, 1, 9]], [[1, 0, 0], [0, 0.7071, 0.7071], [1, 0, 0]], atol=5e-3)
    assert made.blocks[0].known.tolist() == [True, True, False, False, False, False, False, False, False, True]
    [line] = [line for line in log.lines if "rows have no picture" in line]
    for reason in (
        "2: a path outside",
        "2: no address",
        "1: not a readable",
        "1: above 4,000 bytes",
        "1: no such file",
    ):
        assert reason in line
    encoder.save(tmp_path / "encoder")
    loaded = Encoder.load(tmp_path / "encoder")
    assert loaded.fingerprint == encoder.fingerprint
    again = loaded.encode(table)
    assert np.array_equal(again.values, made.values)
    assert again.fingerprint == made.fingerprint
    assert encoder.encode(table.slice(0, 1)).fingerprint != made.fingerprint
    assert not encoder.encode_texts(["red"]).any()
    with pytest.raises(DataError, match="no column 'image'"):
        encoder.encode(table.drop_columns(["image"]))


def test_a_model_that_is_none_or_another_one(model: Path, tmp_path: Path) -> None:
    table = pa.table({"item_id": ["a"], "image": [""]})
    with pytest.raises(DataError, match="no such file"):
        Image(tmp_path / "none.onnx").fit(table)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="no ONNX model"):
        Image(broken).fit(table)
    copied = tmp_path / "copy.onnx"
    copied.write_bytes(model.read_bytes())
    (tmp_path / "red.png").write_bytes(picture((255, 0, 0)))
    encoder = Image(copied, folder=tmp_path, cache_dir=str(tmp_path / "cache")).fit(table)
    encoder.save(tmp_path / "encoder")
    copied.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(DataError, match="not the model that made the vectors"):
        Encoder.load(tmp_path / "encoder").encode(pa.table({"item_id": ["a"], "image": ["red.png"]}))


def test_a_service_fetches_nothing(model: Path, tmp_path: Path) -> None:
    Image(model, cache_dir=str(tmp_path)).fit(pa.table({"image": ["", ""]})).save(tmp_path / "encoder")
    log = Lines()
    table = pa.table({"item_id": ["a"], "image": ["http://203.0.113.9/a.png"]})
    assert not Encoder.load(tmp_path / "encoder").encode(table, log=log).values.any()
    assert any("1: not fetched when the run was made" in line for line in log.lines)
