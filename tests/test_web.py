"""Pages and JSON of a real repository, asked for over a real connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import ClientSession
from conftest import Repo
from pages import Buttons, Events, Served, begun, observer_of
from waiting import wait_until

from gitlimmat.errors import ConfigError
from gitlimmat.service.board import Board, Cell, CellState
from gitlimmat.service.observe import Observer
from gitlimmat.service.project import Project
from gitlimmat.web.address import parse_address
from gitlimmat.web.graph import draw
from gitlimmat.web.pages import Pages

CONFIG = """
[[tests]]
name = "build"
command = '''
echo built; cd "$LIMMAT_ARTIFACTS"; mkdir -p "di r/deep"; echo x >"di r/deep/x"
echo '<script>alert(1)</script>' >'<script>.html'; ln -s /etc/passwd link; printf nl >"$(printf 'a\\nb')"
printf raw >"$(printf '\\377')"; printf q >'quo"te%41.txt'
'''
cache = "by_tree"

[[tests]]
name = "unit"
command = "echo '<b>out</b>'; echo err >&2; grep -q bad mark && exit 3; true"
separate_outputs = true

[[tests]]
name = "a <i> %2F? #ü"
command = "true"
"""
EVIL = "a <i> %2F? #ü"


@pytest.fixture
def tried(repo: Repo) -> Repo:
    """A branch of three commits with results; the second one fails."""
    repo.config(CONFIG)
    repo.commit("first", mark="good")
    repo.environment["GIT_AUTHOR_NAME"] = "<script>author</script>"
    repo.commit("topic", "main", mark="ok")
    repo.commit("breaks <script>alert(1)</script>", mark="bad")
    repo.commit("last", mark="fine")
    repo.git("tag", "v<script>")
    repo.limmat("run", "main..topic", status=1)
    return repo


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serve boards until the end of the test."""
    all_served: list[Served] = []

    def start(boards: Sequence[Board], **options: object) -> Served:
        served = Served(boards, **options)  # type: ignore[arg-type]
        all_served.append(served)
        return served

    yield start
    for served in all_served:
        served.close()


@pytest.fixture
def board(tried: Repo) -> Board:
    """The board of that branch."""
    return observer_of(tried).board


@pytest.fixture
def served(board: Board, serve: Callable[..., Served]) -> Served:
    """The pages of that branch, without buttons."""
    return serve([board])


def path_of(board: Board, number: int, *names: str) -> str:
    """Return the path of a commit (0 is the newest), a test on it, and so on."""
    return "/".join(["/commit", board.commits[number].id, *(quote(name, safe="") for name in names)])


def test_the_overview_has_every_commit_and_result(served: Served, board: Board) -> None:
    """A row for each commit, a cell for each test, and each says its state in words."""
    page = served.get("/")

    assert page.status == 200
    assert all(f"<tr id=r{commit.id}>" in page.text for commit in board.commits)
    assert page.text.count("<i> passed</i>") == 8
    assert page.text.count("<i> failed</i>") == 1
    assert "<title>1 failed · topic · repo</title>" in page.text
    assert "exit 3" in page.text


def test_the_title_tells_problems_and_results(served: Served, board: Board) -> None:
    """A problem is named first, and does not hide what has failed."""
    served.do(lambda: board.say("base", "branch 'main' is gone"))

    page = served.get("/").text

    assert "<title>problem, 1 failed · topic · repo</title>" in page
    assert "favicon.svg?state=failed" in page
    assert "branch &#39;main&#39; is gone" in page


def test_nothing_that_people_write_is_markup(served: Served, board: Board) -> None:
    """Subjects, authors, refs, names of tests, commands, outputs and names of artifacts are text."""
    board.problems["config"] = "<script>problem</script>"
    places = ["/", "/?filter=<script>", "/api", path_of(board, 1), path_of(board, 1, "unit")]
    places += [
        path_of(board, 1, "build"),
        path_of(board, 1, "build", "artifacts") + "/",
        path_of(board, 1, EVIL),
    ]

    for place in places:
        page = served.get(quote(place, safe="/?=%"))
        assert page.status == 200, place
        assert not re.search(r"<script(?! src=)", page.text), place
        assert "<b>out" not in page.text
        assert "<i> %2F" not in page.text


def test_every_answer_is_guarded_by_headers(served: Served, board: Board) -> None:
    """No page may be framed, sniffed, cached or run foreign code; nobody learns where readers come from."""
    for place in ("/", "/api/board", "/nope", path_of(board, 0), "/static/live.js", "/favicon.svg"):
        headers = served.get(place).headers
        assert "default-src 'none'" in headers["content-security-policy"], place
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


def test_pages_use_nothing_from_elsewhere(served: Served, board: Board) -> None:
    """All that a page loads comes from this server, and none has inline script or style."""
    for place in ("/", path_of(board, 0), path_of(board, 1, "unit")):
        text = served.get(place).text
        assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", text)
        assert not re.search(r"<style|\sstyle=|\son\w+=", text)
        for asset in re.findall(r'(?:src|href)="(/(?:static|favicon)[^"]*)"', text):
            assert served.get(asset.replace("&amp;", "&")).status == 200


def test_a_commit_has_its_message_and_all_its_tests(served: Served, board: Board, tried: Repo) -> None:
    """Its page names the commit, the tree, the parent, the author, and the state of each test."""
    page = served.get(path_of(board, 1)).text

    commit = board.commits[1]
    assert commit.id in page
    assert commit.tree in page
    assert board.commits[2].id in page
    assert "author@example.com" in page
    assert "failed" in page


def test_a_message_is_shown_where_it_says_more_than_the_title(
    served: Served, board: Board, tried: Repo
) -> None:
    """A message of one line is the title already."""
    tried.git("commit", "-q", "--allow-empty", "-m", "the title", "-m", "the reason")
    oid = tried.git("rev-parse", "HEAD")

    assert 'class="message"' not in served.get(path_of(board, 1)).text
    assert '<pre class="message">the title\n\nthe reason</pre>' in served.get(f"/commit/{oid}").text


def test_a_commit_outside_the_range_has_a_page(served: Served, tried: Repo) -> None:
    """Any commit of the repository can be looked at by its full id."""
    oid = tried.git("rev-parse", "main")

    assert "not in the range" in served.get(f"/commit/{oid}").text
    assert served.get(f"/commit/{oid}/unit").status == 200


def test_only_commits_have_pages(served: Served, tried: Repo) -> None:
    """Trees, blobs, short ids, names and what does not exist are not found."""
    tree, blob = tried.git("rev-parse", "HEAD^{tree}"), tried.git("rev-parse", "HEAD:mark")
    head = tried.git("rev-parse", "HEAD")
    for name in (tree, blob, head[:10], "HEAD", "0" * 40, head.upper(), "..%2F..%2Fetc", "%00", "%ff", ""):
        assert served.get(f"/commit/{name}").status == 404, name
        assert served.get(f"/commit/{name}/unit").status == 404, name


@pytest.mark.parametrize("name", ["nope", "..", "%2e%2e", "unit%00", "%FF", "unit%2F..", ""])
def test_only_known_tests_have_pages(served: Served, board: Board, name: str) -> None:
    """What is neither configured nor stored is not found."""
    assert served.get(f"{path_of(board, 0)}/{name}").status == 404


def test_a_name_with_special_characters_leads_to_its_result(served: Served, board: Board) -> None:
    """Each link of the overview works, whatever a test is called."""
    links = re.findall(r'<td class="t [^>]*><a href="([^"]*)"', served.get("/").text)

    assert len(links) == 9
    for link in links:
        assert served.get(link).status == 200, link
    assert any(quote(EVIL, safe="") in link for link in links)


def test_a_result_shows_how_it_came_about(served: Served, board: Board) -> None:
    """Reason, times, host, command, definition and both outputs are on the page or a link away."""
    page = served.get(path_of(board, 1, "unit")).text

    assert "exit 3" in page
    assert "grep -q bad mark" in page
    assert "&lt;b&gt;out&lt;/b&gt;" in page
    link = re.search(r'href="([^"]*stream=stderr[^"]*)"', page)
    assert link is not None
    assert ">err" in served.get(link[1]).text
    assert "<svg" in page
    assert page.count("<tr>") >= 3


def test_raw_output_is_plain_text(served: Served, board: Board) -> None:
    """It is byte for byte what was printed, and no browser takes it for more than text."""
    raw = served.get(path_of(board, 1, "unit", "stdout.txt"))
    saved = served.get(path_of(board, 1, "unit", "stdout.txt") + "?download=1")

    assert raw.body == b"<b>out</b>\n"
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.headers["content-security-policy"].startswith("sandbox;")
    assert raw.headers["content-disposition"].startswith("inline;")
    assert saved.headers["content-disposition"].startswith("attachment;")
    assert served.get(path_of(board, 1, "unit", "output.txt")).status == 404
    assert served.get(path_of(board, 1, "unit", "..%2Fstdout.txt")).status == 404


def test_a_part_of_raw_output_can_be_asked_for(served: Served, board: Board) -> None:
    """A download that broke off can be gone on with."""
    path = path_of(board, 1, "unit", "stdout.txt")

    part = served.get(path, Range="bytes=3-5")
    end = served.get(path, Range="bytes=-3")

    assert (part.status, part.body, part.headers["content-range"]) == (206, b"out", "bytes 3-5/11")
    assert (end.status, end.body) == (206, b"b>\n")
    assert served.get(path, Range="bytes=99-").status == 416


def test_artifacts_can_be_browsed_and_only_saved(served: Served, board: Board) -> None:
    """Files are attachments in a sandbox; links are shown and not followed; every link works."""
    top = path_of(board, 1, "build", "artifacts") + "/"
    page = served.get(top).text
    links = re.findall(rf'href="({re.escape(top)}[^"]+)"', page)

    assert 'link <span class="target">→ /etc/passwd' in page
    assert len(links) == 5
    contents = set()
    for link in links:
        found = served.get(link)
        assert found.status == 200
        if link.endswith("/"):
            continue
        contents.add(found.body)
        assert found.headers["content-disposition"].startswith("attachment;")
        assert found.headers["content-type"] == "application/octet-stream"
        assert found.headers["content-security-policy"].startswith("sandbox;")
    assert contents == {b"<script>alert(1)</script>\n", b"nl", b"raw", b"q"}
    assert served.get(f"{top}di%20r/deep/x").body == b"x\n"
    assert served.get(f"{top}di%20r").status == 308


@pytest.mark.parametrize(
    "name",
    ["link", "..", "../..", "%2e%2e%2f", "di%20r%2Fdeep", "/etc/passwd", "nope", "%00", "di%20r/../link"],
)
def test_no_other_file_can_be_reached_through_artifacts(served: Served, board: Board, name: str) -> None:
    """A path in a URL is compared with stored names, and never used as one."""
    assert served.get(path_of(board, 1, "build", "artifacts") + "/" + name).status == 404


def test_a_big_output_comes_in_pages(repo: Repo, serve: Callable[..., Served]) -> None:
    """The pages begin at lines, follow each other without a gap, and the last one is shown first."""
    repo.config('[[tests]]\nname = "big"\ncommand = "seq 400000"')
    repo.commit("first")
    repo.commit("topic", "main")
    repo.limmat("run", "main..topic")
    board = observer_of(repo).board
    served = serve([board])
    path = path_of(board, 0, "big")

    last = served.get(path).text
    pages = int(re.search(r"page (\d+) of \1<", last)[1])  # type: ignore[index]
    shown = []
    for number in range(1, pages + 1):
        part = re.search(r'<span class="done">([^<]*)</span>', served.get(f"{path}?page={number}").text)
        assert part is not None
        shown += part[1].split()

    assert pages > 5
    assert "400000" in last
    assert shown == [str(number) for number in range(1, 400_001)]
    assert served.get(f"{path}/output.txt").body.count(b"\n") == 400_000


def test_earlier_attempts_can_be_looked_at(tried: Repo, serve: Callable[..., Served]) -> None:
    """Each stored result of a test on a commit has an address of its own."""
    tried.limmat("run", "--rerun=all", "topic~1", status=1)
    board = observer_of(tried).board
    served = serve([board])

    page = served.get(path_of(board, 1, "unit")).text
    links = re.findall(r'href="([^"]*\?at=[^"]*)"', page[page.index("attempts-title") :])

    assert len(links) == 2
    assert all("one of 2 results" in served.get(link).text for link in links)
    assert served.get(path_of(board, 1, "unit") + "?at=1.000").status == 404


def test_a_result_of_a_changed_test_says_so(tried: Repo, serve: Callable[..., Served]) -> None:
    """A result that was made with another definition is kept, and does not look as if it counted."""
    tried.config(CONFIG.replace("exit 3", "exit 4"))
    board = observer_of(tried).board
    served = serve([board])

    page = served.get(path_of(board, 1, "unit")).text

    link = re.search(r'href="([^"]*[?]at=[^"]*)"', page)

    assert "no result is stored" in page
    assert "of another definition" in page
    assert link is not None
    assert "does not count any more" in served.get(link[1]).text


@pytest.mark.parametrize(
    ("rows", "path"),
    [
        (("", "* ", "* "), "M4 50V100"),
        (("* ", "*   ", "|\\  "), "M4 0V50M4 50V100"),
        (("*   ", "|\\  ", "| * "), "M4 0V100M4 0L20 100"),
        (("|\\  ", "| * ", "* | "), "M4 0V100M20 0V50M20 50V100"),
        (("* | ", "|/  ", "* "), "M4 0V100M20 0L4 100"),
        (("|/  ", "* ", ""), "M4 0V50"),
        (("* ", "* ", "| * "), "M4 0V50M4 50V100"),
        (("", "* ", ""), ""),
    ],
)
def test_the_graph_is_drawn_in_lines_that_join(rows: tuple[str, str, str], path: str) -> None:
    """A dot is joined to what stands above and below it, and a branch leads to its column."""
    picture = draw(*rows)

    assert f'<path d="{path}"/>' in picture
    assert picture.count('class="dot"') == rows[1].count("*")


def test_a_range_with_a_merge_has_a_graph(tried: Repo, serve: Callable[..., Served]) -> None:
    """A straight line is not worth a column; a merge is."""
    assert "<svg" not in serve([observer_of(tried).board]).get("/").text
    tried.git("checkout", "-q", "-b", "side", "topic~2")
    tried.commit("aside")
    tried.git("checkout", "-q", "topic")
    tried.git("merge", "-q", "--no-edit", "side")

    page = serve([observer_of(tried).board]).get("/").text

    assert page.count("<td class=graph") > 5
    assert page.count('class="dot"') == page.count("<tr id=r")
    assert "<svg" not in serve([observer_of(tried).board]).get("/?only=passed").text


def test_rows_can_be_chosen_without_a_script(served: Served, board: Board) -> None:
    """`filter` looks at texts and `only` at states; a state that does not exist shows all."""

    def rows(query: str) -> int:
        return served.get(f"/?{query}").text.count("<tr id=")

    assert rows("") == 3
    assert rows("filter=LAST") == 1
    assert rows(f"filter={board.commits[2].id[:12]}") == 1
    assert rows("only=failed") == 1
    assert rows("only=nonsense") == 3
    assert rows("filter=last&only=failed") == 0
    assert "No commit matches" in served.get("/?filter=zzz").text


def test_json_has_what_the_pages_have(served: Served, board: Board) -> None:
    """Beside each page is a document, and an error is one, too."""
    overview = served.get("/api/board").json
    commit = served.get("/api" + path_of(board, 1)).json
    case = served.get("/api" + path_of(board, 1, "unit")).json

    counts = {word: number for word, number in overview["counts"].items() if number}  # type: ignore[attr-defined]
    assert counts == {"passed": 8, "failed": 1}
    assert [each["id"] for each in overview["commits"]] == [each.id for each in board.commits]  # type: ignore[union-attr, index]
    assert commit["commit"]["message"] == "breaks <script>alert(1)</script>"  # type: ignore[index]
    assert case["result"]["exit_status"] == 3  # type: ignore[index]
    assert case["definition"]["test"]["separate_outputs"] is True  # type: ignore[index]
    for stream in ("stdout", "stderr"):
        assert served.get(case["result"]["outputs"][stream]["url"]).status == 200  # type: ignore[index]
    missing = served.get("/api/commit/" + "0" * 40)
    assert (missing.status, "error" in missing.json) == (404, True)


def test_reading_changes_nothing(served: Served, board: Board, tried: Repo) -> None:
    """No page writes to the repository, and no method but POST to a button does anything."""

    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tried.path / ".git").rglob("*") if path.is_file()}

    before = files()

    for place in (
        "/",
        path_of(board, 1),
        path_of(board, 1, "unit"),
        path_of(board, 1, "build", "artifacts") + "/",
    ):
        assert served.get(place).status == 200
    assert served.ask("HEAD", "/").body == b""
    assert served.ask("HEAD", "/live").status == 405
    assert served.get("/rerun").status == 404
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "POST"):
        assert served.ask(method, "/").status == 405

    assert files() == before


def secret_of(page: str) -> str:
    """Return the secret that the forms of a page carry."""
    found = re.search(r'name="secret" value="([^"]+)"', page)
    assert found is not None
    return found[1]


@pytest.fixture
def buttons(board: Board) -> Buttons:
    """An engine behind the board."""
    board.control = Buttons(board)
    return board.control


def test_a_button_asks_the_engine(served: Served, board: Board, buttons: Buttons) -> None:
    """A form of one of our pages runs a test again, and leads back to it."""
    path = path_of(board, 1, "unit")
    secret = secret_of(served.get(path).text)
    fields = {"secret": secret, "commit": board.commits[1].id, "test": "unit"}

    done = served.press(
        "/rerun", fields, Origin=f"http://127.0.0.1:{served.port}", Sec_Fetch_Site="same-origin"
    )

    assert (done.status, done.headers["location"]) == (303, path)
    assert buttons.asked == [("rerun", board.commits[1].id, "unit")]
    assert "Cancel" in served.get(path).text


def test_what_the_engine_refuses_is_said(served: Served, board: Board, buttons: Buttons) -> None:
    """Its message and its hint are on the page."""
    secret = secret_of(served.get(path_of(board, 1)).text)

    said = served.press("/cancel", {"secret": secret, "commit": board.commits[1].id, "test": "unit"})

    assert said.status == 409
    assert "it has &lt;ended&gt;" in said.text
    assert "look again" in said.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "null", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_a_button_of_another_site_is_refused(
    served: Served, board: Board, buttons: Buttons, headers: dict[str, str]
) -> None:
    """Even with the secret, a request that a foreign page caused does nothing."""
    fields = {"secret": secret_of(served.get(path_of(board, 1)).text), "commit": board.commits[1].id}

    assert served.press("/rerun", fields, **headers).status == 403
    assert buttons.asked == []


def test_a_button_without_the_secret_is_refused(served: Served, board: Board, buttons: Buttons) -> None:
    """Neither no secret, nor a wrong one, nor one in another kind of body will do."""
    secret = secret_of(served.get(path_of(board, 1)).text)
    commit = board.commits[1].id

    assert served.press("/rerun", {"commit": commit}).status == 403
    assert served.press("/rerun", {"commit": commit, "secret": secret + "x"}).status == 403
    body = f"secret={secret}&commit={commit}"
    assert served.ask("POST", "/rerun", body=body, Content_Type="text/plain").status == 415
    assert served.press("/rerun", {"secret": secret, "commit": "0" * 40}).status == 409
    assert served.press("/rerun", {"secret": secret}).status == 400
    assert buttons.asked == []


def test_read_only_pages_have_no_buttons(
    board: Board, buttons: Buttons, serve: Callable[..., Served]
) -> None:
    """Where nothing may be changed there is no form for it."""
    served = serve([board], read_only=True)

    assert "<form method" not in served.get(path_of(board, 1, "unit")).text
    assert "<form method" not in served.get(path_of(board, 1)).text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9", 200),
        ("localhost", 200),
        ("LOCALHOST.:80", 200),
        ("[::1]:80", 200),
        ("here.example", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("evil.example:80", 403),
        ("10.1.2.3", 403),
        ("", 403),
        ("localhost@evil.example", 403),
        ("local host", 403),
    ],
)
def test_only_names_of_this_server_are_answered(
    board: Board, serve: Callable[..., Served], host: str, status: int
) -> None:
    """A name that somebody else's DNS leads here (rebinding) is refused, with a reason."""
    served = serve([board], hostname="here.example")

    answer = served.ask("GET", "/", host=host)

    assert answer.status == status
    assert status == 200 or "host name" in answer.text


@pytest.mark.parametrize(
    "request_line", [b"\0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /%s HTTP/1.1\r\n" % (b"x" * 20_000)]
)
def test_nonsense_of_a_client_is_not_a_fault_of_ours(
    served: Served, caplog: pytest.LogCaptureFixture, request_line: bytes
) -> None:
    """Anyone can send it, so it is answered and leaves nothing in the log."""
    with (
        socket.create_connection(("127.0.0.1", served.port), 30) as client,
        client.makefile("rb") as answer,
    ):
        client.sendall(request_line)
        assert b" 400 " in answer.readline()
    assert not caplog.records


def test_connections_beyond_a_limit_are_dropped(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens connections and says nothing leaves the files for the jobs, and pages work after it."""
    monkeypatch.setattr("gitlimmat.web.pages._MOST_CONNECTIONS", 3)
    with ExitStack() as opened:
        clients = [
            opened.enter_context(socket.create_connection(("127.0.0.1", served.port), 30)) for _ in range(4)
        ]
        with contextlib.suppress(ConnectionError):
            assert clients[3].recv(1) == b""
    wait_until(lambda: _is_answered(served))


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_connection_that_says_nothing_is_closed(
    board: Board, serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """It takes a file, before its first request as well as between two."""
    monkeypatch.setattr("gitlimmat.web.pages._IDLE_S", 0.1)
    served = serve([board])
    with socket.create_connection(("127.0.0.1", served.port), 30) as client:
        client.sendall(sent)
        while client.recv(4096):
            pass


def test_a_form_that_does_not_come_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection would be busy, and not idle, for good."""
    monkeypatch.setattr("gitlimmat.web.forms._WITHIN_S", 0.1)
    request = (
        "POST /rerun HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", served.port), 30) as client,
        client.makefile("rb") as answer,
    ):
        client.sendall(request.encode())
        assert b" 408 " in answer.readline()


def _is_answered(served: Served) -> bool:
    try:
        return served.get("/").status == 200
    except ConnectionError:
        return False


def test_other_machines_need_the_token(board: Board, serve: Callable[..., Served]) -> None:
    """Without it nothing is seen; with it the browser gets a cookie that no script can read."""
    served = serve([board], address="0.0.0.0:0")
    token = served.url.partition("?token=")[2]

    assert f"http://{os.uname().nodename}:{served.port}/?token=" in served.url
    assert len(token) >= 32
    for place in ("/", "/api/board", "/static/live.js", "/favicon.svg", "/live", path_of(board, 0)):
        refused = served.get(place)
        assert refused.status == 403, place
        assert "set-cookie" not in refused.headers
    assert served.get("/?token=" + token[:-1]).status == 403
    assert served.get("/?token=").status == 403
    first = served.get("/?token=" + token)
    assert first.status == 200
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert token not in first.text
    assert served.get("/", Cookie=cookie.partition(";")[0]).status == 200
    assert served.get("/", Cookie="limmat-1=x; " + cookie.partition(";")[0]).status == 200
    assert served.get("/api/board", Authorization=f"Bearer {token}").status == 200
    assert token in served.pages.url_of(board, board.commits[0].id, "unit")


def test_the_url_is_the_one_that_was_asked_for(board: Board, serve: Callable[..., Served]) -> None:
    """localhost stays localhost, IPv6 has brackets, and --hostname wins."""
    assert re.fullmatch(r"http://localhost:\d+/", serve([board], address="localhost:0").url)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", serve([board]).url)
    assert re.fullmatch(r"http://x\.y:\d+/", serve([board], hostname="x.y").url)


def test_several_repositories_have_pages_below_their_names(
    board: Board, tried: Repo, serve: Callable[..., Served]
) -> None:
    """The first page lists them with their states; all links lead into the right one."""
    other = Board("repo", board.project)
    third = Board("api", board.project)
    served = serve([board, other, third])

    top = served.get("/").text

    assert re.findall(r'<a href="(/[^"]*)"><b>', top) == ["/repo/", "/repo-2/", "/api-2/"]
    assert "1 failed" in top
    page = served.get("/repo/").text
    links = re.findall(r'<a href="(/[^"]*)"', page)
    assert links
    assert all(link.startswith("/repo/") for link in links)
    assert (
        served.get(
            served.pages.url_of(board, board.commits[1].id, "unit").partition(str(served.port))[2]
        ).status
        == 200
    )
    assert served.get("/repo-2/").status == 200
    assert served.get("/api/boards").json == {
        "format": 1,
        "boards": [
            {"name": "repo", "url": "/repo/"},
            {"name": "repo", "url": "/repo-2/"},
            {"name": "api", "url": "/api-2/"},
        ],
    }
    with served.events("/live") as live:
        live.until("hello")
        served.do(lambda: third.say("config", "broken"))
        assert live.until("change") == {"refresh": True}
    assert served.get("/repo" + path_of(board, 1, "build", "output.txt")).body == b"built\n"


def test_a_change_is_told_at_once(served: Served, board: Board) -> None:
    """The stream sends the changed cells and nothing else."""
    commit = board.commits[0].id
    with served.events("/live") as live, served.events("/events") as events:
        assert live.until("hello")
        assert events.until("hello")

        served.do(lambda: board.put([commit], "unit", Cell(state=CellState.WAITING)))

        shown, told = live.until("change"), events.until("change")
    assert isinstance(shown, dict)
    assert isinstance(told, dict)
    assert [cell[:2] for cell in shown["cells"]] == [[commit, "unit"]]
    assert 'class="t waiting"' in shown["cells"][0][2]
    assert (told["cells"][0]["commit"], told["cells"][0]["state"], told["reload"]) == (
        commit,
        "waiting",
        False,
    )


def test_who_has_missed_something_is_told_to_read_again(served: Served, board: Board) -> None:
    """A stream that goes on from an older version begins with a change of everything."""
    with served.events("/events?since=old-1") as events:
        change = events.until("change")

    assert isinstance(change, dict)
    assert change["reload"] is True


def test_a_client_that_does_not_read_costs_little(served: Served, board: Board) -> None:
    """Thousands of changes for a client that sleeps become one when it looks again."""
    commit = board.commits[0].id
    with served.events("/live") as live:
        live.until("hello")
        for number in range(3000):
            state = CellState.WAITING if number % 2 else CellState.UNKNOWN
            served.do(lambda state=state: board.put([commit], "unit", Cell(state=state)))  # type: ignore[misc]
        served.do(lambda: board.put([commit], "unit", Cell(state=CellState.RUNNING, since=1.0)))
        count = 0
        for name, news in live:
            count += name == "change"
            if isinstance(news, dict) and "t running" in str(news.get("cells")):
                break

    assert count < 300
    assert served.get("/").status == 200


def test_output_of_a_running_job_follows(served: Served, board: Board) -> None:
    """What a job prints arrives while it runs; the stream ends with the job."""
    commit = board.commits[0].id
    before = board.cell(commit, EVIL)
    cell = begun(board.project, commit, EVIL, b"one\n\x1b[31mtw")
    served.do(lambda: board.put([commit], EVIL, cell))
    path = path_of(board, 0, EVIL)
    assert cell.directory is not None
    output = cell.directory / "output.txt"

    assert ">one\n" in served.get(path).text
    assert served.get(path + "/output.txt").body == b"one\n\x1b[31mtw"
    with served.events(path + "/follow?stream=output") as live:
        live.until("begin")
        assert live.until("output") == ["one\n", '<span class="f-1">tw</span>']
        with output.open("ab") as out:
            out.write(b"o\nthree")
        assert live.until("output") == ['<span class="f-1">two</span>\n', '<span class="f-1">three</span>']
        served.do(lambda: board.put([commit], EVIL, before))
        live.until("end")
    with served.events(path + "/follow?stream=output") as live:
        assert list(live) == [("end", None)]


def test_the_output_of_another_job_is_not_taken_for_it(served: Served, board: Board) -> None:
    """Directories of jobs are used again: who runs there now is checked, and links are not followed."""
    commit = board.commits[0].id
    cell = begun(board.project, commit, "unit", b"of unit\n")
    assert cell.directory is not None
    served.do(lambda: board.put([commit], "build", cell))
    assert "of unit" not in served.get(path_of(board, 0, "build")).text
    assert served.get(path_of(board, 0, "build", "output.txt")).status == 404

    mine = begun(board.project, commit, "build", b"")
    assert mine.directory is not None
    (mine.directory / "output.txt").unlink()
    (mine.directory / "output.txt").symlink_to("/etc/passwd")
    served.do(lambda: board.put([commit], "build", mine))
    assert "root:" not in served.get(path_of(board, 0, "build")).text
    assert served.get(path_of(board, 0, "build", "output.txt")).status == 404


def test_a_lost_output_is_said_and_not_fatal(tried: Repo, serve: Callable[..., Served]) -> None:
    """An object that is missing makes a sentence on the page, and the rest of it is there."""
    board = observer_of(tried).board
    result = board.cell(board.commits[1].id, "unit").result
    assert result is not None
    oid = result.outputs["stdout"].oid
    objects = tried.path / ".git" / "objects"
    for pack in list(objects.glob("pack/*.pack")):
        moved = pack.rename(tried.path / pack.name)
        subprocess.run(["git", "unpack-objects", "-q"], cwd=tried.path, input=moved.read_bytes(), check=True)
    for index in objects.glob("pack/*"):
        index.unlink()
    (objects / oid[:2] / oid[2:]).unlink()
    served = serve([observer_of(tried).board])

    page = served.get(path_of(board, 1, "unit"))

    assert page.status == 200
    assert "cannot read" in page.text
    assert "exit 3" in page.text
    assert served.get(path_of(board, 1, "unit", "stdout.txt")).status == 409
    assert served.get(path_of(board, 1, "unit", "stderr.txt")).body == b"err\n"


def test_a_page_that_fails_is_an_error_page(
    served: Served, board: Board, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged with its traceback, nothing of it is shown, and the server lives."""
    with monkeypatch.context() as broken:
        broken.setattr(Board, "counts", lambda self: 1 / 0)
        page = served.get("/")

    assert page.status == 500
    assert "ZeroDivisionError" not in page.text
    assert "ZeroDivisionError" in caplog.text
    assert served.get("/").status == 200


def test_streams_end_when_the_server_does(board: Board) -> None:
    """Open pages do not hold up the end."""
    served = Served([board])
    events: Events = served.events("/live")
    with events:
        events.until("hello")
        served.close()
        assert list(events) == []


def test_pages_can_be_served_again_after_a_failure(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address stays taken, and who has connected meanwhile is answered."""

    async def scenario() -> None:
        pages = Pages([board], read_only=True)
        pages.bind(parse_address("127.0.0.1:0"), None)
        with monkeypatch.context() as broken:
            broken.setattr(asyncio.Event, "wait", lambda self: asyncio.sleep(0, 1 / 0))
            with pytest.raises(ZeroDivisionError):
                await pages.serve()
        async with ClientSession() as session:
            early = asyncio.create_task(session.get(pages.url))
            serving = asyncio.create_task(pages.serve())
            async with await early as answer:
                assert answer.status == 200
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(scenario())


def test_a_config_that_cannot_be_used_stays_a_problem(board: Board) -> None:
    """What is wrong is said until it is mended, not until other news come."""

    def open_again(before: Project) -> Project:
        raise ConfigError("cannot read 'limmat.toml'")

    observer = Observer(board.project, None, open_again)
    asyncio.run(observer.refresh())  # reads everything anew
    asyncio.run(observer.refresh())

    assert observer.board.problems == {"range": "cannot read 'limmat.toml'"}
