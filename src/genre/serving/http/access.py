"""Who may use the service: callers with a key, for what the key is for, under a name of this machine, from which pages.

Plain ASGI: each check costs a few microseconds. Knows no route but the two for health, which are open to all; the scope
of each route is in scopes.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genre.errors import OptionError
from genre.serving.http.pacing import Pace
from genre.serving.http.problems import problem

HEALTH_PATHS = ("/healthz", "/readyz")
MIN_KEY_LENGTH = 16
WRONG_KEYS_PER_SECOND = 200
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # that change nothing
LISTS = ("/v1/users/", "/v1/items/", "/v1/popular")  # what is sent from there counts as shown
SINGLE_HEADERS = (b"host", b"authorization", b"content-type", b"content-length", b"origin", b"sec-fetch-site")

HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:]*))(?::\d*)?")
"""A Host header: an IPv6 address in brackets or a name, perhaps with a port."""

KeyScope = Literal["read", "events", "admin"]
KEY_SCOPES: tuple[KeyScope, ...] = ("read", "events", "admin")
"""What a key is for: lists and look-ups; recording events; everything, with changes of items and deletions of users."""


class ApiKeys:
    """The keys that are valid, each with its scopes. Several may be valid at once, so that one can replace another."""

    def __init__(self, scopes_by_key: Mapping[str, Collection[KeyScope]]) -> None:
        """Make a set of keys.

        Args:
            scopes_by_key: Of each key, what it is for; `admin` includes the other scopes.

        Raises:
            OptionError: For no key, a key that is too short, or an unknown scope.
        """
        self._scopes_by_digest = _checked_keys(scopes_by_key)

    def __len__(self) -> int:
        return len(self._scopes_by_digest)

    def scopes(self, sent: bytes) -> tuple[KeyScope, ...]:
        """Return what a key is for.

        Args:
            sent: What a caller sent as a key. It is compared with every key, in constant time.

        Returns:
            Its scopes; none for a wrong key.
        """
        digest = hashlib.sha256(sent).digest()
        found: tuple[KeyScope, ...] = ()
        for valid, scopes in self._scopes_by_digest:
            if hmac.compare_digest(valid, digest):
                found = scopes
        return found

    def replace(self, other: ApiKeys) -> bool:
        """Take over other keys in place of these, in one step.

        Args:
            other: The keys that are valid from now on.

        Returns:
            Whether anything is different.
        """
        before, self._scopes_by_digest = self._scopes_by_digest, other._scopes_by_digest
        return before != self._scopes_by_digest


def _checked_keys(scopes_by_key: Mapping[str, Collection[KeyScope]]) -> list[tuple[bytes, tuple[KeyScope, ...]]]:
    if not scopes_by_key:
        raise OptionError("no key; write one of at least 16 letters and digits")
    checked = []
    for key, scopes in scopes_by_key.items():
        if len(key) < MIN_KEY_LENGTH:
            raise OptionError(f"a key needs at least {MIN_KEY_LENGTH} characters, found {len(key)}")
        if not key.isprintable():
            raise OptionError("a key has a character that no client can send; write letters and digits")
        strange = [scope for scope in scopes if scope not in KEY_SCOPES]
        if strange or not scopes:
            raise OptionError(f"a key is for {', '.join(KEY_SCOPES)}, found {', '.join(strange) or 'none'}")
        checked.append((hashlib.sha256(key.encode()).digest(), KEY_SCOPES if "admin" in scopes else tuple(scopes)))
    return checked


class KeyAuthentication(AuthenticationBackend):
    """The key check for Starlette's `AuthenticationMiddleware`: a bearer token or the password of basic authentication.

    Basic authentication lets a browser ask for the key; the user name does not matter. Refusals are paced.
    """

    def __init__(self, keys: ApiKeys) -> None:
        self._keys, self._refusals = keys, Pace(WRONG_KEYS_PER_SECOND)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        """Check the `Authorization` header of a request.

        Args:
            conn: the request.

        Returns:
            None for a health check; else what Starlette wants of a caller who sent a key, with the scopes of the key.

        Raises:
            AuthenticationError: for a missing or wrong key.
        """
        if conn.scope["path"] in HEALTH_PATHS:
            return None
        scopes = self._keys.scopes(_sent_key(conn.headers.get("authorization", "")))
        if not scopes:
            await self._refusals.turn()
            raise AuthenticationError("send the key: Authorization: Bearer KEY")
        return AuthCredentials(scopes), SimpleUser("")


def unauthorized(_: HTTPConnection, error: Exception) -> Response:
    """Answer a request without the key; the challenge lets a browser ask for it.

    Args:
        error: what is wrong.

    Returns:
        A 401.
    """
    answer = problem(401, "unauthorized", str(error))
    answer.headers["www-authenticate"] = 'Basic realm="genre", charset="UTF-8"'
    return answer


def _sent_key(authorization: str) -> bytes:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).partition(b":")[2]
        except ValueError:
            pass
    return b""


class RequireScope:
    """Around one route: refuses a key that is for something else."""

    def __init__(self, app: ASGIApp, scope_by_method: Mapping[str, KeyScope | None]) -> None:
        """Make the check of one route.

        Args:
            app: The route.
            scope_by_method: What a key has to be for; None: no key is needed.
        """
        self._app, self._scope_by_method = app, scope_by_method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI calls it."""
        needed = self._scope_by_method[scope["method"]]
        if needed is None or needed in scope["auth"].scopes:
            await self._app(scope, receive, send)
        else:
            has = ", ".join(scope["auth"].scopes)
            await problem(403, "forbidden", f"this key is for {has}; this needs one for {needed}")(scope, receive, send)


class HostCheck:
    """Middleware that refuses requests addressed to another name.

    Without a key this keeps a foreign page from reading the service through a name of its own that points to this
    machine (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI calls it."""
        if scope["type"] == "http" and scope["path"] not in HEALTH_PATHS and _host(scope) not in self._hosts:
            detail = "without a key the service answers to the name of this machine only"
            await problem(421, "wrong_host", detail)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _host(scope: Scope) -> str:
    """Return the name in the Host header, without port and brackets."""
    text = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
    found = HOST.fullmatch(text)
    return "" if found is None else found[1] or found[2]


class OriginCheck:
    """Middleware that refuses changes by pages of others, and requests whose headers contradict each other.

    A page may send some requests anywhere, with what the browser knows of the user; a list that is sent counts as
    shown, so that it is a change, too. Browsers say where a request comes from, in `Sec-Fetch-Site` and, older ones, in
    `Origin`; programs send neither. Pages that are let in by name get the headers of CORS, by which the browser shows
    them the answers.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str] = ()) -> None:
        """Make the check.

        Args:
            app: What comes behind it.
            origins: Pages of others that may use the service, such as `https://shop.example`.
        """
        self._app, self._origins = app, frozenset(origin.encode() for origin in origins)
        headers = ["Authorization", "Content-Type"]
        methods = ["GET", "POST", "PUT", "DELETE"]
        self._cors = CORSMiddleware(app, allow_origins=list(origins), allow_methods=methods, allow_headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI calls it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if len(headers) < len(scope["headers"]) and (name := _repeated(scope["headers"])) is not None:
            await problem(400, "bad_request", f"the header {name} is given more than once")(scope, receive, send)
        elif headers.get(b"origin") in self._origins:
            await self._cors(scope, receive, send)
        elif (scope["method"] not in SAFE_METHODS or scope["path"].startswith(LISTS)) and _is_foreign(headers):
            detail = "a page of another origin may change nothing; let it in by --allow-origin"
            await problem(403, "foreign_origin", detail)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def checked_origins(origins: Sequence[str]) -> tuple[str, ...]:
    """Check the origins of pages that may use the service.

    Args:
        origins: Such as `https://shop.example` or `http://localhost:3000`.

    Returns:
        The origins.

    Raises:
        OptionError: If one is no origin; `*`, which would be every page, is none.
    """
    for origin in origins:
        if not re.fullmatch(r"https?://[^/*@?#\s]+", origin):
            raise OptionError(f"an origin is a scheme and a host, such as https://shop.example, found {origin!r}")
    return tuple(origins)


def _repeated(headers: Collection[tuple[bytes, bytes]]) -> str | None:
    """Return the name of a header that is given twice though readers of it would take one or the other."""
    names = [name for name, _ in headers]
    return next((name.decode() for name in SINGLE_HEADERS if names.count(name) > 1), None)


def _is_foreign(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a page of another origin sent a request."""
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        return site not in (b"same-origin", b"none")
    return origin is not None and origin.partition(b"://")[2] != headers.get(b"host", b"")


class SecurityHeaders:
    """Middleware that adds the headers for browsers; where a route sets one of them itself, that one counts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI calls it."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message["headers"]
                names = {name for name, _ in own}
                message["headers"] = [*own, *(header for header in SECURITY_HEADERS if header[0] not in names)]
            await send(message)

        await self._app(scope, receive, send_with_headers)
