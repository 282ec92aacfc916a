"""A real browser: Chromium as the system has it, driven by Playwright. Nothing is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PLACES = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Return the path of the browser."""
    found = [place for place in _PLACES if Path(place).exists()] or list(
        filter(None, map(shutil.which, _NAMES))
    )
    assert found, "there is no Chromium; tests/run installs it"
    return found[0]


LOW_CONTRAST = """() => {
const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parse = text => text.match(/[0-9.]+/g).map(Number);
const low = [];
for (const each of document.querySelectorAll("body *")) {
    const own = [...each.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || each.closest(".sr, i, svg, .graph, .output") || !each.checkVisibility()) continue;
    let ground = each;
    const back = place => parse(getComputedStyle(place).backgroundColor);
    while (ground.parentElement && back(ground)[3] === 0) ground = ground.parentElement;
    const a = light(parse(getComputedStyle(each).color));
    const b = light(back(ground));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const least = each.closest("td.t, .glyph, .dots, .code") ? 3 : 4.5;
    if (ratio < least) low.push([each.outerHTML.slice(0, 90), ratio]);
}
return low;
}"""
"""What finds words that cannot be read on their ground: 4.5 to 1 as WCAG 2 has it, 3 to 1 for glyphs."""


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser, and end it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, and what it has complained about: errors, and violations of the content security policy."""

    def __init__(self, browser: Browser, **options: object) -> None:
        self.context = browser.new_context(**options)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
