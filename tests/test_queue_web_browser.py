"""What the pages of a merge queue look like and do in a real browser, with the real daemon."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import LOW_CONTRAST, Watched, browsing
from conftest import Repo
from queue_pages import QueueRepo
from queueserver import make_server

from gitlimmat.queue.events import (
    QUEUE,
    Approved,
    CancelRequested,
    Commented,
    Conflicted,
    Paused,
    Prioritized,
    Rollup,
    RollupSet,
    TreeClosed,
)
from gitlimmat.web.queueforms import SECRET_HEADER

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SLOW = '[[tests]]\nname = "slow"\ncommand = "echo begun; cat {fifo}; echo ended"\n'
SECRET = "0123456789abcdef0123456789abcdef"
USER = {"X-Remote-User": "bob", SECRET_HEADER: SECRET}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with browsing() as found:
        yield found


@pytest.fixture
def queue(make_repo: Callable[..., Repo]) -> QueueRepo:
    """A queue with something of everything."""
    queue = QueueRepo(make_repo)
    testing, tried, waiting = queue.open("Add a door"), queue.open("Mend it"), queue.open("w" * 300)
    queue.open("Remove <script>document.title = 1</script> \u202eevil \x1b[31m", author="mal<b>lory")
    for number in (testing, waiting):
        queue.add(number, Approved(actor="bob", at=1.76e9, head=queue.head(number), by="bob"))
    queue.add(testing, Prioritized(actor="bob", at=1.76e9, priority=12))
    queue.add(
        waiting,
        RollupSet(actor="bob", at=1.76e9, mode=Rollup.NEVER, note="touches the build " * 5),
        Conflicted(actor=QUEUE, at=1.76e9, head=queue.head(waiting), base=queue.root, paths=("x/" * 200,)),
        Commented(actor="carol", at=1.76e9, text="see\n" + "https://example.com/" * 30),
    )
    queue.end_job(testing, queue.start(testing), "build")
    old = queue.start(tried, run="0123456789ab-2")
    queue.add(tried, CancelRequested(actor="bob", at=1.77e9, run=old, reason="wrong branch"))
    queue.add(None, TreeClosed(actor="bob", at=1.76e9, below=5, reason="release on Friday"))
    return queue


def test_pages_fit_and_can_be_read(browser: Browser, queue: QueueRepo) -> None:
    """On a phone and on a desk, light and dark: nothing is too wide or too faint, and nothing complains."""
    queue.add(None, Paused(actor="carol", at=1.76e9, reason="disk is full"))
    served = queue.serve()
    paths = ("", "changes/1", "changes/3", "changes/4", "retries", "tree", "?group=status&status=all")
    try:
        for width, scheme in ((375, "dark"), (1300, "light")):
            with Watched(browser, viewport={"width": width, "height": 800}, color_scheme=scheme) as seen:
                for path in paths:
                    seen.page.goto(served.url + path)
                    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, path
                    assert seen.page.evaluate(LOW_CONTRAST) == [], (scheme, path)
                assert "Remove <script>" in seen.page.inner_text("#table")
                assert seen.complaints == []
    finally:
        served.close()


def test_the_list_works_without_javascript(browser: Browser, queue: QueueRepo) -> None:
    """Filter, status, sorting and each change are links and forms."""
    served = queue.serve()
    try:
        with Watched(browser, java_script_enabled=False) as seen:
            page = seen.page
            page.goto(served.url)
            assert page.locator("table.queue tbody tr").count() == 4
            page.click("th.title a")
            page.fill("#filter", "door")
            page.press("#filter", "Enter")
            assert page.locator("table.queue tbody tr").count() == 1
            assert "sort=title" in page.url
            page.click("text=Show all")
            page.select_option("select[name=status]", "testing")
            page.click("text=Show >> nth=0")
            page.click("th.title a[href^='/changes/']")
            assert page.locator("table.history tbody tr").count() >= 4
            page.click("a[data-up]")
            assert page.locator("table.queue tbody tr").count() == 4
            assert seen.complaints == []
    finally:
        served.close()


def test_who_is_logged_in_presses_buttons(browser: Browser, queue: QueueRepo, tmp_path: Path) -> None:
    """With and without scripts; and what one writes is not taken away when the page changes."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    settings = {"identity": "http", "proxyHeader": "X-Remote-User", "proxySecretFile": str(secret)}
    for key, value in (settings | {"reviewer": "bob"}).items():
        queue.server.git("config", f"limmat.queue.{key}", value)
    served = queue.serve()
    try:
        for number, scripted in ((2, True), (4, False)):
            with Watched(browser, java_script_enabled=scripted, extra_http_headers=USER) as seen:
                page = seen.page
                page.goto(f"{served.url}changes/{number}")
                page.fill("input[name=priority]", "77")
                if scripted:
                    queue.add(number, Commented(actor="carol", at=1.77e9, text="look"))
                page.click("#priority")
                page.wait_for_selector("dd:text-is('77')")
                page.click("#approve")
                page.wait_for_selector("#unapprove")
                assert seen.complaints == []
        changes = queue.session.timelines.load().changes
        assert [changes[number].is_approved for number in (2, 4)] == [True, True]
        with Watched(browser) as seen:
            seen.page.goto(f"{served.url}changes/2")
            assert seen.page.locator("button").count() == 0
    finally:
        served.close()


def test_a_change_is_followed_until_it_has_landed(
    browser: Browser, make_repo: Callable[..., Repo], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Beside the daemon, an open page shows the run, its output while it is printed, and the end."""
    server = make_server(make_repo, tmp_path)
    fifo = tmp_path / "fifo"
    subprocess.run(["mkfifo", fifo], check=True)
    server.base(SLOW.format(fifo=fifo))
    number = server.change("topic")
    daemon = subprocess.Popen(
        [sys.executable, "-m", "gitlimmat", "queue", "serve", "--http-sockaddr=127.0.0.1:0"],
        cwd=server.bare.path,
        env=server.bare.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    def end() -> None:
        daemon.kill()
        daemon.communicate()

    request.addfinalizer(end)
    assert daemon.stdout is not None
    url = daemon.stdout.readline().decode().strip()
    with Watched(browser) as seen:
        page = seen.page
        page.goto(url)
        page.wait_for_selector("td.status:has-text('open')")
        page.wait_for_selector("td.mergeable:has-text('yes')")
        page.evaluate("window.same = true")
        server.approve(number)
        page.wait_for_selector("td.status:has-text('testing')")
        page.wait_for_selector("ul.at-work >> text=0 of 1")
        assert page.evaluate("window.same") is True
        page.click("th.title a[href^='/changes/']")
        page.wait_for_selector("td.running")
        page.click("table.jobs a")
        page.wait_for_selector("#output:has-text('begun')")
        with fifo.open("w") as out:
            out.write("through the pipe\n")
            out.flush()
            page.wait_for_selector("#output:has-text('through')")
        page.wait_for_selector("h1.passed")
        assert "ended" in page.inner_text("#output")
        page.goto(f"{url}changes/{number}")
        page.wait_for_selector("h1 .state:has-text('landed')")
        assert "auto passed" in page.inner_text("#main")
        assert seen.complaints == []
    daemon.send_signal(signal.SIGINT)
    assert daemon.wait(20) == 0
