"""Encoder `image`: a vision model in ONNX looks at the picture of each item. Reads no text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from typing_extensions import override

from genre import storage
from genre.arrays import Float32
from genre.data.features import Features, join_blocks
from genre.data.linear_algebra import unit_rows
from genre.downloads import cache_folder
from genre.errors import DataError, NotAvailable
from genre.features.base import Encoder, digest_texts
from genre.features.pictures import (
    UNREADABLE,
    PictureError,
    PictureFiles,
    describe_lacking,
    open_picture,
    picture_names,
)
from genre.features.vector_cache import Float16, VectorCache
from genre.log import SILENT, Log
from genre.options import Doc, Ge, Gt
from genre.threads import n_threads

SIZE = 224  # pixels a side where the model leaves it open
MISSING = "reading pictures needs pillow and onnxruntime: pip install 'genre-rec[images]'"


@dataclass(eq=False)
class Image(Encoder):
    """The output of a vision model for the picture of each item, as a vector of length one.

    A picture is scaled until its shorter side fits, and cut to a square in the middle. Outputs for places or patches
    are averaged. Pictures named by http or https are fetched while a run is made and never later: of public hosts only,
    bounded in size, type and time, and kept in the cache folder by their content. An item without a picture, or with
    one that cannot be read, has no vector; the log counts the reasons.
    """

    model: Annotated[Path, Doc("The ONNX file; its input is `[n, 3, height, width]`, its first output is read.")]
    column: Annotated[str, Doc("The column of addresses, or of paths below `folder`.")] = "image"
    folder: Annotated[Path, Doc("Where paths start; nothing outside it is read.")] = Path()
    mean: Annotated[tuple[float, float, float], Doc("Taken off red, green and blue, which are from 0 to 1.")] = (
        0.485,
        0.456,
        0.406,
    )
    std: Annotated[tuple[float, float, float], Doc("What they are divided by then.")] = (0.229, 0.224, 0.225)
    most_bytes: Annotated[int, Ge(1), Doc("The largest picture that is read.")] = 10_000_000
    timeout: Annotated[float, Gt(0), Doc("Seconds that fetching one picture may take.")] = 20.0
    cache_dir: Annotated[str | None, Doc("Folder of pictures and vectors; None: the cache folder of this user.")] = None

    learns: ClassVar[tuple[str, ...]] = ("dim_", "digest_")
    reads_text: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._session: Any = None
        self._fetches = False  # a loaded encoder, such as that of a service, never does

    @override
    def fit(self, table: pa.Table, *, log: Log = SILENT) -> Self:
        """Open the model and find the width of its vectors; from now on pictures are fetched."""
        if not self.model.is_file():
            raise DataError(f"{self.model}: there is no such file; name an ONNX model with features.items.model")
        self.digest_, self._session = storage.sha256(self.model), None
        self.dim_ = len(self._run(np.zeros((3, *self._size()), np.float32)))
        self._fetches = True
        return self

    @override
    def encode(self, table: pa.Table, *, log: Log = SILENT) -> Features:
        names = picture_names(table, self.column, "image")
        files = PictureFiles(self.folder, self.cache_dir, self.most_bytes, self.timeout)
        read = files.digests(names, fetch=self._fetches)
        cache = VectorCache(cache_folder(self.cache_dir) / "vectors" / f"{self.fingerprint}.sqlite", self.dim_, log=log)
        known = cache.get([found for found in read if isinstance(found, bytes)])
        values = np.zeros((len(names), self.dim_), np.float32)
        lacking: Counter[str] = Counter()
        with log.bar("image", len(names)) as bar:
            for row, (name, found) in enumerate(zip(names, read, strict=True)):
                bar.advance(1)
                try:
                    if isinstance(found, str):
                        raise PictureError(found)
                    if found not in known:
                        known[found] = self._vector(files.read(name, fetch=self._fetches))
                        cache.put({found: known[found]})
                    values[row] = known[found]
                except PictureError as error:
                    lacking[str(error)] += 1
        if lacking:
            log.line(f"image: {describe_lacking(lacking, len(names))}")
        has = np.asarray(values.any(axis=1))
        pictures = [
            found.hex() if isinstance(found, bytes) and own else "" for found, own in zip(read, has, strict=True)
        ]
        return join_blocks([values], ["image"], [has], digest_texts([self.fingerprint, *pictures]))

    @override
    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        return np.zeros((len(texts), self.dim_), np.float32)

    @property
    @override
    def fingerprint(self) -> str:
        """A digest of the model and of how a picture becomes its input."""
        return digest_texts([self.digest_, str(self.mean), str(self.std)])

    def _vector(self, picture: bytes) -> Float16:
        """Return the unit vector of one picture, in the precision of the cache, `[dim]`."""
        return np.asarray(unit_rows(self._run(self._input(picture))[None])[0], np.float16)

    def _input(self, picture: bytes) -> Float32:
        """Decode, scale and cut a picture, `[3, height, width]`."""
        from PIL import ImageOps

        height, width = self._size()
        with open_picture(picture) as opened:
            try:
                opened.draft("RGB", (2 * width, 2 * height))  # JPEG: decodes no more than needed
                cut = ImageOps.fit(ImageOps.exif_transpose(opened).convert("RGB"), (width, height))
            except Exception as error:  # whatever a decoder makes of a picture that breaks off
                raise PictureError(UNREADABLE) from error
        pixels = np.asarray(cut, np.float32) / 255  # [height, width, 3]
        scaled = (pixels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)

    def _run(self, pixels: Float32) -> Float32:
        """Run the model on one picture, `[dim]`: alone, so that no vector depends on a batch."""
        session = self._open()
        found = np.asarray(session.run(None, {session.get_inputs()[0].name: pixels[None]})[0], np.float32)
        if found.ndim == 4:  # [1, dim, height, width]
            return np.asarray(found.mean(axis=(2, 3))[0], np.float32)
        return np.asarray(found.mean(axis=1)[0] if found.ndim == 3 else found.reshape(-1), np.float32)

    def _size(self) -> tuple[int, int]:
        """Return height and width of the model's input."""
        shape = self._open().get_inputs()[0].shape
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
            raise DataError(f"{self.model}: its input is {shape}; expected [n, 3, height, width]")
        height, width = (side if isinstance(side, int) else SIZE for side in shape[2:])
        return height, width

    def _open(self) -> Any:
        """Open the model once."""
        if self._session is None:
            try:
                import onnxruntime as ort
                import PIL  # noqa: F401  # said before any picture is fetched
            except ImportError as error:
                raise NotAvailable(MISSING) from error
            if not self.model.is_file() or storage.sha256(self.model) != self.digest_:
                raise DataError(f"{self.model}: not the model that made the vectors of this run; make the run again")
            options = ort.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = n_threads()
            options.log_severity_level = 3
            try:
                self._session = ort.InferenceSession(str(self.model), options, providers=["CPUExecutionProvider"])
            except Exception as error:  # onnxruntime has errors of its own, which share no base
                raise DataError(f"{self.model}: no ONNX model that can be read here ({error})") from error
        return self._session

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "model": str(self.model), "folder": str(self.folder)}

    @classmethod
    def _read(cls, folder: Path, options: dict[str, Any]) -> Self:
        return super()._read(folder, {**options, "model": Path(options["model"]), "folder": Path(options["folder"])})
