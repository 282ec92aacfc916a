"""What a reader sees in a real browser, while things change and without JavaScript."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import LOW_CONTRAST, Watched, browsing
from conftest import Repo
from pages import Buttons, Served, begun, observer_of
from playwright.sync_api import expect

from gitlimmat.model import Outcome
from gitlimmat.service.board import Board, Cell, CellState

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CONFIG = """
[[tests]]
name = "build"
command = "echo '<script>document.title = 1</script>'; echo hi >$LIMMAT_ARTIFACTS/app"
cache = "by_tree"

[[tests]]
name = "unit"
command = "printf '\\\\033[31mred\\\\033[38;2;255;136;0morange\\\\033[m'; grep -q bad mark && exit 3; true"

[[tests]]
name = "integration <script>"
command = "true"
"""
SLOW = """
[[tests]]
name = "slow"
command = "echo begun; cat fifo; echo ended"
requires_worktree = false
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with browsing() as found:
        yield found


@pytest.fixture
def board(repo: Repo) -> Board:
    """A branch of three commits with results; the second one fails."""
    repo.config(CONFIG)
    repo.commit("first", mark="good")
    repo.commit("topic", "main", mark="ok")
    repo.commit("breaks <script>document.title = 2</script>", mark="bad")
    repo.commit("last", mark="fine")
    repo.limmat("run", "main..topic", status=1)
    return observer_of(repo).board


@pytest.fixture
def served(board: Board) -> Iterator[Served]:
    """Pages of it with buttons."""
    board.control = Buttons(board)
    served = Served([board])
    yield served
    served.close()


def result_url(served: Served, board: Board, number: int, test: str) -> str:
    """Return the URL of a result; commit 0 is the newest."""
    return served.pages.url_of(board, board.commits[number].id, test)


def test_a_cell_changes_while_the_page_is_open(browser: Browser, served: Served, board: Board) -> None:
    """Cell, counts, title and icon follow the board within 0.3 s, without the page being loaded again."""
    commit = board.commits[0].id
    with Watched(browser) as seen:
        page = seen.page
        page.goto(served.url)
        page.evaluate("window.same = true")
        page.wait_for_selector(f"#r{commit} td[data-t=unit].passed")

        served.do(lambda: board.put([commit], "unit", Cell(state=CellState.RUNNING, since=time.time())))
        page.wait_for_selector(f"#r{commit} td.running")
        assert page.locator("ul.running li").count() == 1
        page.evaluate(
            """commit => {
                const row = document.getElementById("r" + commit);
                new MutationObserver(() => window.changed = Date.now()).observe(row, { childList: true });
            }""",
            commit,
        )
        delays = []
        for outcome in [Outcome.SKIPPED, Outcome.PASSED, Outcome.CANCELLED, Outcome.FAILED]:
            cell = Cell(state=CellState.DONE, outcome=outcome, reason="exit 1")
            before = time.time()
            served.do(lambda cell=cell: board.put([commit], "unit", cell))  # type: ignore[misc]
            page.wait_for_selector(f"#r{commit} td[data-t=unit].{outcome.value}")
            delays.append(page.evaluate("window.changed") / 1000 - before)
        assert min(delays) < 0.3
        expect(page).to_have_title(re.compile("^2 failed"))
        assert "state=failed" in (page.locator("link[rel=icon]").get_attribute("href") or "")
        assert page.evaluate("window.same") is True
        assert seen.complaints == []


def test_new_commits_appear_in_place(browser: Browser, repo: Repo, board: Board, served: Served) -> None:
    """When the range changes, the table is replaced and the page is not; focus stays where it was."""
    with Watched(browser) as seen:
        page = seen.page
        page.goto(served.url)
        page.evaluate("window.same = true")
        page.locator("#table tbody a").first.focus()
        page.keyboard.press("j")
        focused = page.evaluate("document.activeElement.href")
        newer = repo.commit("newest of all")
        changed = observer_of(repo).board

        served.do(
            lambda: board.show(
                base=changed.base, head=changed.head, lines=changed.lines, tests=changed.tests, cells={}
            )
        )

        page.wait_for_selector(f"#r{newer}")
        assert page.locator("#table tbody tr").count() == 4
        assert page.evaluate("window.same") is True
        assert page.evaluate("document.activeElement.href") == focused
        assert seen.complaints == []


def test_output_follows_and_the_end_is_shown(browser: Browser, served: Served, board: Board) -> None:
    """Lines appear while the job prints them; when it has ended, the page tells how."""
    commit = board.commits[0].id
    cell = begun(board.project, commit, "unit", b"first line\n")
    assert cell.directory is not None
    served.do(lambda: board.put([commit], "unit", cell))
    with Watched(browser) as seen:
        page = seen.page
        page.goto(result_url(served, board, 0, "unit"))
        page.evaluate("window.same = true")
        assert "first line" in page.inner_text("#output")
        with (cell.directory / "output.txt").open("ab") as out:
            out.write(b"\x1b[31msecond\x1b[0m <b>line\nno end yet")
        page.wait_for_selector("#output:has-text('no end yet')")
        assert page.locator("#output .f-1").inner_text() == "second"
        assert page.inner_text("#output").splitlines() == ["first line", "second <b>line", "no end yet"]

        failed = Cell(state=CellState.DONE, outcome=Outcome.FAILED, reason="exit 9")
        served.do(lambda: board.put([commit], "unit", failed))

        page.wait_for_selector("h1.failed")
        assert "exit 9" in page.inner_text("#main")
        assert page.title().startswith("✗ unit failed")
        assert page.evaluate("window.same") is True
        assert seen.complaints == []


def test_many_tabs_do_not_starve_each_other(browser: Browser, served: Served, board: Board) -> None:
    """Browsers allow six connections to one server; tabs that nobody sees hold none, and catch up later."""
    commit = board.commits[0].id
    with Watched(browser) as seen:
        tabs = [seen.page, *(seen.context.new_page() for _ in range(9))]
        for tab in tabs:
            tab.goto(result_url(served, board, 0, "unit"))
            tab.evaluate(
                """() => {
                    Object.defineProperty(document, "hidden", { value: true, configurable: true });
                    document.dispatchEvent(new Event("visibilitychange"));
                }"""
            )
        served.do(lambda: board.put([commit], "unit", Cell(state=CellState.WAITING)))
        tabs[0].evaluate(
            """() => {
                Object.defineProperty(document, "hidden", { value: false, configurable: true });
                document.dispatchEvent(new Event("visibilitychange"));
            }"""
        )
        tabs[0].wait_for_selector("h1.waiting")
        assert seen.complaints == []


def test_a_button_runs_a_test_again(browser: Browser, served: Served, board: Board) -> None:
    """Pressing it asks the engine, and the page that comes back shows the case waiting."""
    control = board.control
    assert isinstance(control, Buttons)
    before = board.cell(board.commits[1].id, "unit")
    for scripted in (True, False):
        with Watched(browser, java_script_enabled=scripted) as seen:
            seen.page.goto(result_url(served, board, 1, "unit"))
            seen.page.click("#rerun")
            seen.page.wait_for_selector("h1.waiting")
            seen.page.click("#cancel")
            seen.page.wait_for_selector("text=it has <ended>")
            assert [text for text in seen.complaints if "409" not in text] == []
        assert control.asked == [
            ("rerun", board.commits[1].id, "unit"),
            ("cancel", board.commits[1].id, "unit"),
        ]
        control.asked.clear()
        served.do(lambda: board.put([board.commits[1].id], "unit", before))


def test_another_site_cannot_press_a_button(browser: Browser, served: Served, board: Board) -> None:
    """A page from elsewhere can neither read our pages nor send our forms."""
    control = board.control
    assert isinstance(control, Buttons)
    with Watched(browser) as seen:
        page = seen.page
        page.route(
            "http://evil.example/", lambda route: route.fulfill(body="<p>hello", content_type="text/html")
        )
        page.goto("http://evil.example/")
        said = page.evaluate(
            """async url => {
                try { return (await fetch(url + "api/board")).status; } catch (error) { return "refused"; }
            }""",
            served.url,
        )
        assert said == "refused"
        page.evaluate(
            """([url, commit]) => {
                const form = document.createElement("form");
                form.method = "post";
                form.action = url + "rerun";
                form.innerHTML = `<input name=commit value=${commit}><input name=test value=unit>`;
                document.body.append(form);
                form.submit();
            }""",
            [served.url, board.commits[0].id],
        )
        page.wait_for_selector("text=does not come from a page of this server")
    assert control.asked == []


def test_pages_are_whole_without_javascript(browser: Browser, served: Served, board: Board) -> None:
    """Everything can be reached by links, and rows can be chosen by the form."""
    with Watched(browser, java_script_enabled=False) as seen:
        page = seen.page
        page.goto(served.url)
        assert page.locator("#table tbody tr").count() == 3
        page.fill("#filter", "breaks")
        page.press("#filter", "Enter")
        assert page.locator("#table tbody tr").count() == 1
        page.click("td.failed a")
        assert "orange" in page.inner_text("#output")
        page.click("a[data-up]")
        page.click("text=build")
        assert "<script>document.title" in page.inner_text("#output")
        page.click("text=browse")
        assert page.locator("tr.file").count() == 1
        page.go_back()
        page.click("summary:has-text('Definition')")
        assert page.is_visible("pre.definition")
        assert seen.complaints == []


def test_keys_move_filter_and_open(browser: Browser, served: Served, board: Board) -> None:
    """j and k move between commits, h and l between tests, / filters, Enter opens, u goes up."""
    with Watched(browser) as seen:
        page = seen.page
        page.goto(served.url)
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert page.locator("tr.at").get_attribute("id") == f"r{board.commits[1].id}"
        page.keyboard.press("l")
        page.keyboard.press("l")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/commit/{board.commits[1].id}/unit")
        page.keyboard.press("u")
        page.wait_for_url(f"**/commit/{board.commits[1].id}")
        page.goto(served.url)
        page.keyboard.press("/")
        page.keyboard.type("last")
        assert page.locator("#table tbody tr:visible").count() == 1
        page.keyboard.press("Escape")
        assert page.locator("#table tbody tr:visible").count() == 3
        assert seen.complaints == []


def test_colors_beyond_sixteen_are_shown(browser: Browser, served: Served, board: Board) -> None:
    """True color comes from a style sheet, because pages allow no styles of their own."""
    with Watched(browser) as seen:
        seen.page.goto(result_url(served, board, 1, "unit"))
        color = "e => getComputedStyle(e).color"
        assert seen.page.locator("#output span.f-xf80").evaluate(color) == "rgb(255, 136, 0)"
        assert seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1920])
def test_nothing_is_wider_than_the_window(
    browser: Browser, served: Served, board: Board, tmp_path: Path, scheme: str, width: int
) -> None:
    """On a phone and on a big screen no page has to be scrolled sideways, and controls have names."""
    urls = {
        "overview": served.url,
        "commit": served.pages.url_of(board, board.commits[1].id),
        "result": result_url(served, board, 1, "unit"),
        "api": f"{served.url}api",
    }
    with Watched(browser, viewport={"width": width, "height": 800}, color_scheme=scheme) as seen:
        page = seen.page
        for name, url in urls.items():
            page.goto(url)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            nameless = "e => [...e].filter(a => !(a.textContent.trim() || a.ariaLabel)).length"
            assert page.locator("main a, button").evaluate_all(nameless) == 0, name
            assert page.locator("h1").count() == 1, name
            picture = page.screenshot(path=tmp_path / f"{name}-{width}-{scheme}.png", full_page=True)
            assert len(picture) > 1000
        assert seen.complaints == []


def test_long_names_leave_room_for_the_rest(browser: Browser, repo: Repo) -> None:
    """Many refs do not hide the subject of a commit, nor does the name of a test widen a phone's page."""
    repo.config(f'[[tests]]\nname = "{"x" * 100}"\ncommand = "true"\n')
    repo.commit("first")
    repo.commit("subject", "main")
    for number in range(20):
        repo.git("branch", f"a-branch-with-a-name-{number}")
    served = Served([observer_of(repo, "HEAD~1").board])
    try:
        for width in (375, 1300):
            with Watched(browser, viewport={"width": width, "height": 800}) as seen:
                seen.page.goto(served.url)
                assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
                place = seen.page.get_by_role("link", name="subject", exact=True).bounding_box()
                cell = seen.page.locator("tbody .subject").first.bounding_box()
                assert place is not None
                assert cell is not None
                assert place["x"] + place["width"] <= cell["x"] + cell["width"]
    finally:
        served.close()


def test_text_has_enough_contrast(browser: Browser, served: Served, board: Board) -> None:
    """Words can be read on their ground in both schemes: 4.5 to 1 as WCAG 2 has it, 3 to 1 for glyphs."""
    for scheme in ("light", "dark"):
        with Watched(browser, color_scheme=scheme) as seen:
            for url in (
                served.url,
                served.pages.url_of(board, board.commits[1].id),
                result_url(served, board, 1, "unit"),
            ):
                seen.page.goto(url)
                assert seen.page.evaluate(LOW_CONTRAST) == [], (scheme, url)


def test_a_page_follows_jobs_of_other_processes(
    browser: Browser, make_repo: Callable[..., Repo], request: pytest.FixtureRequest
) -> None:
    """`git limmat web` shows what `git limmat run` does elsewhere, from its begin to its end."""
    repo = make_repo("other")
    repo.config(SLOW.replace("fifo", str(repo.path / "fifo")))
    repo.commit("first")
    commit = repo.commit("topic", "main")
    subprocess.run(["mkfifo", repo.path / "fifo"], check=True)
    web = repo.start("web")
    request.addfinalizer(lambda: (web.kill(), web.communicate()))  # type: ignore[arg-type]
    assert web.stdout is not None
    url = web.stdout.readline().decode().strip()
    with Watched(browser) as seen:
        page = seen.page
        page.goto(url)
        page.wait_for_selector(f"#r{commit} td.unknown")
        run = repo.start("run")
        request.addfinalizer(lambda: (run.kill(), run.communicate()))  # type: ignore[arg-type]
        page.click(f"#r{commit} td.running a")
        page.wait_for_selector("#output:has-text('begun')")
        with (repo.path / "fifo").open("w") as fifo:
            fifo.write("through the pipe\n")
            fifo.flush()
            page.wait_for_selector("#output:has-text('through')")
        page.wait_for_selector("h1.passed")
        assert "ended" in page.inner_text("#output")
        page.goto(url)
        newer = repo.commit("newer")
        page.wait_for_selector(f"#r{newer}")
        assert seen.complaints == []
    web.send_signal(signal.SIGINT)
    assert web.wait(20) == 0


def test_a_watch_can_be_followed_and_steered(
    browser: Browser, make_repo: Callable[..., Repo], request: pytest.FixtureRequest
) -> None:
    """With `git limmat watch` a new commit has its cell within 0.3 s, and buttons run and cancel jobs."""
    repo = make_repo("watched")
    repo.config(SLOW.replace("fifo", str(repo.path / "fifo")))
    repo.commit("first")
    repo.commit("topic", "main")
    subprocess.run(["mkfifo", repo.path / "fifo"], check=True)
    watch = repo.start("watch", "--plain", "--jobs=10", "main")
    request.addfinalizer(lambda: (watch.kill(), watch.communicate()))  # type: ignore[arg-type]
    assert watch.stdout is not None
    url = watch.stdout.readline().decode().split()[-1]
    with Watched(browser) as seen:
        page = seen.page
        page.goto(url)
        page.wait_for_selector("td.running")
        page.evaluate(
            """() => {
                window.seen = {};
                new MutationObserver(() => document.querySelectorAll("#table tr[id]").forEach(
                    row => window.seen[row.id] ??= Date.now()
                )).observe(document.getElementById("table"), { childList: true });
            }"""
        )
        delays = []
        for number in range(5):  # the quickest: other tests keep the machine busy
            newer = repo.commit(f"newer {number}")
            before = time.time()
            page.wait_for_selector(f"#r{newer}")
            delays.append(page.evaluate(f"window.seen['r{newer}']") / 1000 - before)
        assert min(delays) < 0.3
        page.click(f"#r{newer} td.running a")
        page.wait_for_selector("#output:has-text('begun')")
        page.click("#cancel")
        page.wait_for_selector("h1.cancelled")
        page.click("#rerun")
        page.wait_for_selector("h1.running")
        (repo.path / "fifo").write_text("")
        page.wait_for_selector("h1.passed")
        assert "ended" in page.inner_text("#output")
        assert page.locator("[aria-labelledby=attempts-title] tbody tr").count() <= 2
        assert seen.complaints == []
    watch.send_signal(signal.SIGINT)
    assert watch.wait(20) == 0
