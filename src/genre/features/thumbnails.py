"""Small pictures of items for a page: made while a run is made, kept in the run, looked up by their digest."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from genre.arrays import Int32, Int64
from genre.errors import NotAvailable
from genre.features.pictures import (
    UNREADABLE,
    PictureError,
    PictureFiles,
    describe_lacking,
    open_picture,
    picture_names,
)
from genre.log import Log
from genre.options import Doc, Ge, Gt, check_options

ARRAYS = ("data", "end", "digest", "of_item")
NOTHING = b"\0"  # an empty file cannot be mapped into memory
QUALITY = 80
Bytes = npt.NDArray[np.uint8]
MEDIA_TYPE = "image/webp"
MISSING = "output.pictures: making small pictures needs pillow: pip install 'genre-rec[images]'"


@dataclass(frozen=True)
class PictureOptions:
    """The pictures of items that the page of a service shows."""

    column: Annotated[str, Doc("The column of items with addresses, or with paths below `folder`.")] = "image"
    folder: Annotated[Path, Doc("Where paths start; nothing outside it is read.")] = Path()
    side: Annotated[int, Ge(16), Doc("Pixels of the longer side, at most.")] = 480
    most_bytes: Annotated[int, Ge(1), Doc("The largest picture that is read.")] = 10_000_000
    timeout: Annotated[float, Gt(0), Doc("Seconds that fetching one picture may take.")] = 20.0
    cache_dir: Annotated[str | None, Doc("Folder of fetched pictures; None: the cache folder of this user.")] = None

    def __post_init__(self) -> None:
        check_options(self)

    def names(self, items: pa.Table) -> list[str]:
        """Return what items name as their pictures.

        Args:
            items: The table of items.

        Returns:
            Of each item the address or path; empty for none.

        Raises:
            DataError: There is no such column.
            NotAvailable: Pillow is missing.
        """
        if importlib.util.find_spec("PIL") is None:
            raise NotAvailable(MISSING)
        return picture_names(items, self.column, "output.pictures")

    def files(self) -> PictureFiles:
        """Return the pictures that items name.

        Returns:
            Those with a path, and those that were fetched.
        """
        return PictureFiles(self.folder, self.cache_dir, self.most_bytes, self.timeout)


class Thumbnails:
    """The small pictures of a run, each once, whatever items it belongs to.

    Attributes:
        data: All pictures, one behind the other. `[n_bytes]`
        end: Where each ends in `data`. `[n_pictures]`
        digest: The digest of each. `[n_pictures, 16]`
        of_item: The picture of each item; -1: it has none. `[n_items]`
    """

    def __init__(self, data: Bytes, end: Int64, digest: Bytes, of_item: Int32) -> None:
        self.data, self.end, self.digest, self.of_item = data, end, digest, of_item
        self._names = [row.tobytes().hex() for row in digest]
        self._place = {name: at for at, name in enumerate(self._names)}

    def name(self, row: int) -> str | None:
        """Return the name of an item's picture.

        Args:
            row: The row of the item; one behind the last row of the run is an item that came later.

        Returns:
            The digest of its content, or None for an item without one.
        """
        at = int(self.of_item[row]) if row < len(self.of_item) else -1
        return None if at < 0 else self._names[at]

    def get(self, name: str) -> bytes | None:
        """Return a picture.

        Args:
            name: Its name, or any other text.

        Returns:
            A WebP file, or None where no item has it.
        """
        at = self._place.get(name)
        return None if at is None else self.data[self.end[at - 1] if at else 0 : self.end[at]].tobytes()

    def save(self, folder: Path) -> None:
        """Write the arrays.

        Args:
            folder: Where.
        """
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Thumbnails:
        """Read the arrays back.

        Args:
            folder: Where they are.

        Returns:
            The pictures, which stay on disk until they are wanted.
        """
        data, *others = (np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS)
        return cls(data, *map(np.array, others))


def read_digests(options: PictureOptions, names: Sequence[str]) -> list[bytes | str]:
    """Fetch and read all pictures once.

    Args:
        options: Where they are.
        names: Of each item the address or path.

    Returns:
        Of each item the digest of its picture, or why it has none.
    """
    return options.files().digests(names, fetch=True)


def make_thumbnails(
    options: PictureOptions, names: Sequence[str], digests: Sequence[bytes | str], log: Log
) -> Thumbnails:
    """Make the small picture of each item, anew from its pixels: nothing else of a stranger's file is served.

    Args:
        options: How large they are.
        names: Of each item the address or path.
        digests: What `read_digests` found of each.
        log: Where progress is shown, and why pictures are missing.

    Returns:
        The pictures.
    """
    files, lacking = options.files(), Counter[str]()
    made = dict[bytes, int]()  # small picture -> place
    known = dict[bytes | str, int | str]()
    of_item = np.full(len(names), -1, np.int32)
    with log.bar("pictures", len(names)) as bar:
        for row, (name, digest) in enumerate(zip(names, digests, strict=True)):
            bar.advance(1)
            if digest not in known:
                try:
                    if isinstance(digest, str):
                        raise PictureError(digest)
                    small = _small(files.read(name, fetch=False), options.side)
                    known[digest] = made.setdefault(small, len(made))
                except PictureError as error:
                    known[digest] = str(error)
            found = known[digest]
            if isinstance(found, str):
                lacking[found] += 1
            else:
                of_item[row] = found
    if lacking:
        log.line(f"pictures: {describe_lacking(lacking, len(names))}")
    digests_of_small = b"".join(hashlib.blake2b(small, digest_size=16).digest() for small in made)
    return Thumbnails(
        np.frombuffer(b"".join(made) or NOTHING, np.uint8),
        np.cumsum([len(small) for small in made], dtype=np.int64),
        np.frombuffer(digests_of_small, np.uint8).reshape(-1, 16),
        of_item,
    )


def _small(picture: bytes, side: int) -> bytes:
    """Decode a picture, scale it down and encode it; what is transparent becomes white."""
    from PIL import Image, ImageOps

    with open_picture(picture) as opened:
        try:
            opened.draft("RGB", (2 * side, 2 * side))  # JPEG: decodes no more than needed
            turned = ImageOps.exif_transpose(opened)
            turned.thumbnail((side, side))
            drawn = turned.convert("RGBA")
            flat = Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
            out = io.BytesIO()
            flat.save(out, "WEBP", quality=QUALITY)
        except Exception as error:  # whatever a decoder makes of a picture that breaks off
            raise PictureError(UNREADABLE) from error
    return out.getvalue()
