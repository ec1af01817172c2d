"""What a key has to be for, by route. The one table of it; a route that is not in it does not start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route

from genre.serving.http.access import KeyScope, RequireScope

SCOPE_BY_ROUTE: dict[str, KeyScope | None] = {
    "GET /healthz": None,
    "GET /readyz": None,
    "GET /": "read",
    "GET /docs": "read",
    "GET /operate": "read",  # the page alone; what it shows needs a key for admin
    "GET /{file}": "read",
    "GET /pictures/{name}": "read",
    "GET /openapi.json": "read",
    "GET /metrics": "read",
    "GET /v1/users": "read",
    "GET /v1/users/{user_id:id}": "read",
    "GET /v1/users/{user_id:id}/recommendations": "read",
    "GET /v1/users/{user_id:id}/explanations/{item_id:id}": "read",
    "GET /v1/popular": "read",
    "GET /v1/items": "read",
    "GET /v1/items/{item_id:id}": "read",
    "GET /v1/items/{item_id:id}/similar": "read",
    "GET /v1/items/{item_id:id}/together": "read",
    "GET /v1/filters": "read",
    "GET /v1/runs": "read",
    "GET /v1/runs/{run:id}/report": "read",
    "POST /v1/recommendations": "read",
    "POST /v1/explanations": "read",
    "POST /v1/events": "events",
    "GET /v1/experiments": "admin",
    "GET /v1/operations": "admin",
    "POST /v1/experiments": "admin",
    "POST /v1/experiments/{name:id}/stop": "admin",
    "POST /v1/experiments/{name:id}/promote": "admin",
    "POST /mcp": "read",  # the tools that record events and look at experiments check for their own scopes
    "PUT /v1/items/{item_id:id}": "admin",
    "DELETE /v1/users/{user_id:id}": "admin",
}
"""Method and path of a route -> scope; None: no key is needed. `HEAD` is as `GET`."""

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "the key"},
    "password": {"type": "http", "scheme": "basic", "description": "the key as the password, any user name"},
}


def require_scopes(app: FastAPI) -> None:
    """Let each route of an app answer only keys for its scope, and describe that in the OpenAPI description.

    Args:
        app: The app, with all its routes, behind a check of keys.

    Raises:
        KeyError: If a route is not in the table.
    """
    for route in app.routes:
        assert isinstance(route, Route), f"{route} has no scope"
        scopes = route_scopes(route)
        route.app = RequireScope(route.app, scopes)
        if isinstance(route, APIRoute):
            needed = next(iter(scopes.values()))
            security = [] if needed is None else [{scheme: [needed]} for scheme in SECURITY_SCHEMES]
            route.openapi_extra = {**(route.openapi_extra or {}), "security": security}
    describe = app.openapi

    def with_schemes() -> dict[str, Any]:
        description = describe()
        description["components"]["securitySchemes"] = SECURITY_SCHEMES
        return description

    app.openapi = with_schemes  # type: ignore[method-assign]


def route_scopes(route: Route) -> Mapping[str, KeyScope | None]:
    """Return the scopes of a route.

    Args:
        route: A route.

    Returns:
        By method, what a key has to be for.

    Raises:
        KeyError: If the route is not in the table.
    """
    methods = route.methods or set()
    return {method: SCOPE_BY_ROUTE[f"{method.replace('HEAD', 'GET')} {route.path}"] for method in methods}
