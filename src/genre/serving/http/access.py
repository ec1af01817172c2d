"""Who may use the service: callers with the key, under a name of this machine; and what browsers may do with answers.

Plain ASGI: each check costs a few microseconds. Knows no route but the two for health, which are open to all.
"""

from __future__ import annotations

import base64
import hmac

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genre.serving.http.problems import problem

HEALTH_PATHS = ("/healthz", "/readyz")
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


class KeyAuthentication(AuthenticationBackend):
    """The key check for Starlette's `AuthenticationMiddleware`: a bearer token or the password of basic authentication.

    Basic authentication lets a browser ask for the key; the user name does not matter.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        """Check the `Authorization` header of a request.

        Args:
            conn: the request.

        Returns:
            None for a health check; else what Starlette wants of a caller who sent the key.

        Raises:
            AuthenticationError: for a missing or wrong key.
        """
        if conn.scope["path"] in HEALTH_PATHS:
            return None
        sent = _sent_key(conn.headers.get("authorization", ""))
        if not hmac.compare_digest(sent, self._key):  # in constant time
            raise AuthenticationError("send the key: Authorization: Bearer KEY")
        return AuthCredentials(["key"]), SimpleUser("")


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
    return text.rpartition("]")[0].strip("[]") if text.startswith("[") else text.partition(":")[0]


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
