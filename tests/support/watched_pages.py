"""Pages in a real Chromium, what tests do on them, and everything on them that should not be."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from importlib.resources import files

from playwright.sync_api import Page, Request, expect

QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SIZES = {"wide": (1280, 800), "tablet": (820, 1100), "narrow": (360, 740), "wall": (1920, 1080)}


class Watched:
    """A page, and everything on it that should not be: errors, dialogs, requests to others."""

    def __init__(self, page: Page, url: str, expected: str = "") -> None:
        """Watch a page; `expected`: a pattern of errors that the test brings about."""
        self.page, self.wrong, self.expected = page, list[str](), expected
        page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        page.on("request", lambda request: self._own(request, url))

    def _own(self, request: Request, url: str) -> None:
        if not request.url.startswith((url, "data:")):
            self.wrong.append(request.url)

    def faults(self) -> list[str]:
        return [text for text in self.wrong if not (self.expected and re.search(self.expected, text))]


Open = Callable[..., Page]
"""Opens a page of an address; its size, its scheme and its path may follow."""
Served = Callable[..., AbstractContextManager[str]]
"""Starts a server of an app; the address."""


def titles(page: Page, where: str = "#list") -> list[str]:
    return page.locator(f"{where} h3").all_inner_texts()


def settled(page: Page, act: Callable[[], object]) -> None:
    """Act, and wait for the list that answers it."""
    with page.expect_response(re.compile("v1/recommendations")):
        act()
    expect(page.locator("#lists")).not_to_have_attribute("aria-busy", "true")


def held(page: Page) -> str:
    """What the keyboard is on, by its name."""
    return str(page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent"))


def like(page: Page, at: int = 0) -> str:
    button = page.locator("#list .like:not(:disabled)").nth(at)
    name = str(button.get_attribute("aria-label")).removeprefix("I like ")
    settled(page, button.click)
    return name


@cache
def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text()


def axe_faults(page: Page) -> list[str]:
    """What axe finds wrong with a page as it stands."""
    page.evaluate(_axe())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]
