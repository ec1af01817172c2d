"""Pictures by address: fetched once, bounded, from public hosts alone, and kept by their content.

An items table is the data of others: its addresses may name hosts inside the network where GENRE runs. So a name is
resolved here, every address that it has must be public, and the connection goes to an address that was checked, not to
the name, which could resolve to another one a moment later. Redirects are followed by the same rule. No proxy is used.

Knows nothing about what a picture is for.
"""

from __future__ import annotations

import hashlib
import io
import ipaddress
import os
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import pyarrow as pa

from genre.downloads import cache_folder
from genre.errors import DataError
from genre.threads import n_threads

if TYPE_CHECKING:
    import http.client

    from PIL.Image import Image as PILImage

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MOST_PIXELS = 50_000_000
UNREADABLE = "not a readable picture"
TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
PORTS = {"http": 80, "https": 443}
MOST_REDIRECTS = 3
MOST_SILENT = 8  # requests in a row that a host may leave without an answer; then it gets no more
REDIRECTS = (301, 302, 303, 307, 308)
CHUNK = 1 << 16
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # IPv4 addresses behind a translator, private ones too

Resolve = Callable[..., list[Any]]
Connect = Callable[..., socket.socket]


class PictureError(DataError):
    """One picture that cannot be had; the message is its reason, without the address."""


class Pictures:
    """A folder of pictures, by the digest of their content, with the digest of each address.

    Attributes:
        folder: Where they are kept.
        most_bytes: The largest picture that is fetched.
        seconds: How long one picture may take.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int,
        seconds: float,
        resolve: Resolve = socket.getaddrinfo,
        connect: Connect = socket.create_connection,
    ) -> None:
        self.folder, self.most_bytes, self.seconds = folder, most_bytes, seconds
        self._resolve, self._connect = resolve, connect
        self._silent = Counter[str]()  # requests in a row without an answer, by host

    def get(self, url: str, *, fetch: bool) -> bytes:
        """Return a picture, from the folder where it is there and whole.

        Args:
            url: Its address.
            fetch: Whether to fetch it where it is not there.

        Returns:
            The bytes.

        Raises:
            PictureError: It is not there and cannot, or must not, be fetched.
        """
        pointer = self.folder / "addresses" / hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()
        try:
            digest = pointer.read_text("ascii")
            data = (self.folder / digest).read_bytes()
            if hashlib.sha256(data).hexdigest() == digest:
                return data
        except (OSError, ValueError):
            pass
        if not fetch:
            raise PictureError("not fetched when the run was made")
        data = self._fetch(url)
        digest = hashlib.sha256(data).hexdigest()
        _replace(self.folder / digest, data)
        _replace(pointer, digest.encode())
        return data

    def _fetch(self, url: str) -> bytes:
        """Fetch a picture, over at most `MOST_REDIRECTS` redirects."""
        import http.client

        until = time.monotonic() + self.seconds
        for _ in range(MOST_REDIRECTS + 1):
            host = url.partition("://")[2].partition("/")[0]
            if self._silent[host] >= MOST_SILENT:
                raise PictureError("a host that does not answer")
            try:
                found = self._request(url, until)
                self._silent[host] = 0
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._silent[host] += 1
                reason = "too slow" if isinstance(error, TimeoutError) else f"no answer: {type(error).__name__}"
                raise PictureError(reason) from error
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise PictureError(f"more than {MOST_REDIRECTS} redirects")

    def _request(self, url: str, until: float) -> bytes | str:
        """Send one request; return the picture, or where it was redirected to."""
        import http.client
        import ssl

        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname or parts.username is not None:
            raise PictureError("no address of http or https")
        if (parts.port or PORTS[parts.scheme]) != PORTS[parts.scheme]:
            raise PictureError("a port that is not the usual one")
        host = parts.hostname.encode("idna").decode("ascii")
        plain = self._open(host, PORTS[parts.scheme], until)
        try:
            link = http.client.HTTPConnection(host)
            link.sock = plain
            if parts.scheme == "https":
                link.sock = plain = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            link.request("GET", path, headers={"Host": host, "Accept": ", ".join(TYPES), "Accept-Encoding": "identity"})
            answer = link.getresponse()
            if answer.status in REDIRECTS and answer.headers.get("Location"):
                return str(answer.headers["Location"])
            if answer.status != 200:
                raise PictureError(f"HTTP {answer.status}")
            if answer.headers.get_content_type() not in TYPES:
                raise PictureError(f"of type {answer.headers.get_content_type()}")
            return self._read(answer, plain, until)
        finally:
            plain.close()

    def _open(self, host: str, port: int, until: float) -> socket.socket:
        """Resolve a host, check all its addresses, and connect to the first."""
        found = self._resolve(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not addresses or not all(is_public(address) for address in addresses):
            raise PictureError("a host that is not public")
        return self._connect((addresses[0], port), timeout=max(until - time.monotonic(), 0.001))

    def _read(self, answer: http.client.HTTPResponse, link: socket.socket, until: float) -> bytes:
        """Read the body in pieces, so that neither its size nor its pace is up to the sender."""
        found = bytearray()
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            link.settimeout(left)
            piece = answer.read1(min(CHUNK, self.most_bytes + 1 - len(found)))
            if not piece:
                break
            found += piece
            if len(found) > self.most_bytes:
                raise PictureError(f"above {self.most_bytes:,} bytes")
        if answer.length:  # what Content-Length announced and did not come
            raise PictureError("cut off")
        return bytes(found)


class PictureFiles:
    """Pictures as a table names them: by address, or by a path below a folder.

    Attributes:
        folder: Where paths start; nothing outside it is read.
        store: The pictures with an address.
    """

    def __init__(self, folder: Path, cache_dir: str | None, most_bytes: int, seconds: float) -> None:
        """Name the folders.

        Args:
            folder: Where paths start.
            cache_dir: The cache folder, in which fetched pictures are kept; None: that of this user.
            most_bytes: The largest picture that is read.
            seconds: How long fetching one picture may take.
        """
        place = cache_folder(cache_dir) / "pictures"
        self.folder, self.store = folder, Pictures(place, most_bytes=most_bytes, seconds=seconds)

    def read(self, name: str, *, fetch: bool) -> bytes:
        """Return a picture.

        Args:
            name: Its address or path.
            fetch: Whether to fetch one with an address where it is not kept.

        Returns:
            The bytes.

        Raises:
            PictureError: It cannot be had, or must not.
        """
        if not name:
            raise PictureError("no address")
        if "://" in name:
            return self.store.get(name, fetch=fetch)
        try:
            path = (self.folder / name).resolve()
            if not path.is_relative_to(self.folder.resolve()):
                raise PictureError("a path outside the folder")
            if path.stat().st_size > self.store.most_bytes:
                raise PictureError(f"above {self.store.most_bytes:,} bytes")
            return path.read_bytes()
        except (OSError, ValueError) as error:
            raise PictureError("no such file") from error

    def digests(self, names: Sequence[str], *, fetch: bool) -> list[bytes | str]:
        """Return what tells the content of each picture from others.

        Args:
            names: Addresses or paths.
            fetch: As in `read`.

        Returns:
            Digests of 16 bytes, or why there is no picture.
        """
        with ThreadPoolExecutor(max(4, n_threads())) as pool:  # mostly waiting for the network
            return list(pool.map(lambda name: self._digest(name, fetch=fetch), names))

    def _digest(self, name: str, *, fetch: bool) -> bytes | str:
        try:
            return hashlib.blake2b(self.read(name, fetch=fetch), digest_size=16).digest()
        except PictureError as error:
            return str(error)


def picture_names(table: pa.Table, column: str, what: str) -> list[str]:
    """Return what the rows of a table name as their pictures.

    Args:
        table: The table.
        column: The column of addresses or paths.
        what: What names the column, for the message.

    Returns:
        Of each row the address or path; empty for none.

    Raises:
        DataError: There is no such column.
    """
    if column not in table.column_names:
        raise DataError(f"{what}: no column {column!r}; the table has {', '.join(table.column_names)}")
    return [str(name or "").strip() for name in table[column].to_pylist()]


def open_picture(data: bytes) -> PILImage:
    """Open a picture for decoding.

    Args:
        data: Its bytes.

    Returns:
        The opened picture, of one of `FORMATS` and at most `MOST_PIXELS` pixels; not decoded yet.

    Raises:
        PictureError: It is none, or has more pixels.
    """
    from PIL import Image

    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:  # whatever a decoder makes of bytes that are no picture
        raise PictureError(UNREADABLE) from error
    if opened.width * opened.height > MOST_PIXELS:
        raise PictureError(f"above {MOST_PIXELS:,} pixels")
    return opened


def describe_lacking(lacking: Mapping[str, int], n: int) -> str:
    """Say how many rows have no picture, and why.

    Args:
        lacking: Number of rows by reason.
        n: Number of all rows.

    Returns:
        A line.
    """
    found = Counter(lacking)
    why = "; ".join(f"{count:,}: {reason}" for reason, count in found.most_common(5))
    return f"{found.total():,} of {n:,} rows have no picture ({why})"


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet.

    Args:
        address: IPv4 or IPv6, as text.

    Returns:
        False for private, loopback, link-local, multicast and reserved addresses, also inside an IPv6 address.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.sixtofour or found.teredo or found in TRANSLATED:
            return False
        if found.ipv4_mapped:
            found = found.ipv4_mapped
    return found.is_global and not found.is_multicast


def _replace(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    Path(aside).replace(path)
