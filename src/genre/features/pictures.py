"""Pictures by address: fetched once, bounded, from public hosts alone, and kept by their content.

An items table is the data of others: its addresses may name hosts inside the network where GENRE runs. So a name is
resolved here, every address that it has must be public, and the connection goes to an address that was checked, not to
the name, which could resolve to another one a moment later. Redirects are followed by the same rule. No proxy is used.

Knows nothing about what is in a picture.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import os
import socket
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from genre.errors import DataError

TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
PORTS = {"http": 80, "https": 443}
MOST_REDIRECTS = 3
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
        until = time.monotonic() + self.seconds
        for _ in range(MOST_REDIRECTS + 1):
            try:
                found = self._request(url, until)
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = "too slow" if isinstance(error, TimeoutError) else f"no answer: {type(error).__name__}"
                raise PictureError(reason) from error
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise PictureError(f"more than {MOST_REDIRECTS} redirects")

    def _request(self, url: str, until: float) -> bytes | str:
        """Send one request; return the picture, or where it was redirected to."""
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
