"""The pages of a merge queue: what they show, to whom, and who may press their buttons."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Repo
from pages import Answer, Served
from queue_pages import MAIN, QueueRepo
from waiting import wait_until

from gitlimmat.errors import LimmatError
from gitlimmat.git.repository import find_repository
from gitlimmat.model import Commit, Outcome
from gitlimmat.queue.events import (
    QUEUE,
    Approved,
    CancelRequested,
    Commented,
    Conflicted,
    DraftSet,
    Landed,
    Paused,
    Prioritized,
    Resumed,
    RetryRequested,
    Rollup,
    RollupSet,
    RunEnded,
    RunOutcome,
    TreeClosed,
)
from gitlimmat.queue.rules import Identity, Rules
from gitlimmat.queue.state import Status
from gitlimmat.service.project import open_server
from gitlimmat.service.queue.facts import Findings
from gitlimmat.service.queue.turn import take_turn
from gitlimmat.service.request import Request
from gitlimmat.web.queueforms import SECRET_HEADER, read_proxy
from gitlimmat.web.queuehtml import write_pages
from gitlimmat.web.queuelist import read_wanted
from gitlimmat.web.queuewords import STATUSES, visible, visible_lines

HOSTILE = "<script>alert(1)</script> \x1b[31m \u202etxt\u2003 \" ' & "
SECRET = "0123456789abcdef0123456789abcdef"
USER = {"X-Remote-User": "bob", SECRET_HEADER: SECRET}


@pytest.fixture
def queue(make_repo: Callable[..., Repo]) -> QueueRepo:
    """A queue without changes."""
    return QueueRepo(make_repo)


@pytest.fixture
def served(queue: QueueRepo) -> Iterator[Served]:
    """Its pages."""
    served = queue.serve()
    yield served
    served.close()


@pytest.fixture
def proxied(queue: QueueRepo, tmp_path: Path) -> Iterator[Served]:
    """Its pages behind a web server that logs people in. Bob is a reviewer."""
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    for key, value in {
        "identity": "http",
        "proxyHeader": "X-Remote-User",
        "proxySecretFile": str(secret),
        "reviewer": "bob",
    }.items():
        queue.server.git("config", f"limmat.queue.{key}", value)
    served = queue.serve()
    yield served
    served.close()


def approve(queue: QueueRepo, number: int, by: str = "bob") -> None:
    """Approve a change as it is."""
    queue.add(number, Approved(actor=by, at=1.76e9, head=queue.head(number), by=by))


def titles(answer: Answer) -> list[str]:
    """Return the titles in a list, in their order."""
    return re.findall(r'class="title"><a href="[^"]*"><bdi>([^<]*)</bdi>', answer.text)


def form_of(answer: Answer, action: str) -> dict[str, str]:
    """Return the hidden fields of the form with a button on a page."""
    for form in re.findall(r"<form method=\"post\".*?</form>", answer.text, re.DOTALL):
        if f'value="{action}"' in form:
            return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    raise AssertionError(f"there is no button '{action}'")


def test_the_list_shows_all_that_is_known_in_short(queue: QueueRepo, served: Served) -> None:
    """Each open change has a row with its status, people, priority, rollup and target; totals are above."""
    first, second = queue.open("Add a door"), queue.open("Mend the window", author="carol")
    approve(queue, first)
    queue.add(
        first,
        Prioritized(actor="bob", at=1.76e9, priority=7),
        RollupSet(actor="bob", at=1.76e9, mode=Rollup.NEVER, note="touches the build"),
    )
    text = served.get("/").text

    row = re.search(r"<tr><td class=\"number\"><a [^>]*>1</a>.*?</tr>", text, re.DOTALL)
    assert row is not None
    for word in ("approved", "Add a door", "alice", "bob", ">7<", "never", "touches the build", ">main<"):
        assert word in row[0]
    assert "needs approval" in text
    assert re.search(r"<b>2</b> open.*<b>1</b> approved", text, re.DOTALL)
    assert titles(served.get("/")) == ["Add a door", "Mend the window"]
    document = served.get("/api/queue").json
    assert document["totals"] == {"open": 2, "approved": 1}
    found = document["changes"]
    assert isinstance(found, list)
    assert [each["number"] for each in found] == [first, second]
    assert (found[0]["approved_by"], found[0]["priority"], found[0]["target"]) == ("bob", 7, MAIN)


def test_a_page_is_as_new_as_the_timelines(queue: QueueRepo, served: Served) -> None:
    """What was written before a page was asked for is on it, and open pages are told."""
    assert "No change is open" in served.get("/").text
    number = queue.open("First")
    assert titles(served.get("/")) == ["First"]
    with served.events("/live") as events:
        events.until("hello")
        queue.add(number, DraftSet(actor="alice", at=1.76e9, draft=True))
        assert events.until("change") == {"refresh": True}
    assert "draft" in served.get(f"/changes/{number}").text


def test_a_queue_that_nobody_serves_says_so(queue: QueueRepo, served: Served, tmp_path: Path) -> None:
    """While no daemon is at work, the list and open changes say it, and what is shown hears of it."""
    told = "No daemon is at work"
    number, over = queue.open("Waits"), queue.open("Over")
    queue.add(over, Landed(actor=QUEUE, at=1.76e9, target=MAIN, old="", new=queue.root, run=""))
    paths = ("/", f"/changes/{number}", f"/changes/{over}", "/tree")

    assert [told in served.get(path).text for path in paths] == [True, True, False, False]
    assert served.get("/api/queue").json["served"] is False
    with served.events("/live") as events:
        events.until("hello")
        turn = take_turn(find_repository(queue.server.path))
        assert turn is not None
        assert events.until("change") == {"refresh": True}
    assert [told in served.get(path).text for path in paths] == [False] * 4
    assert served.get("/api/queue").json["served"] is True
    turn.end()
    assert told in served.get("/").text
    write_pages(open_server(Request(repo=[queue.server.path]), print), tmp_path / "files", every=True)
    assert told not in (tmp_path / "files" / "index.html").read_text()


def test_the_list_is_filtered_sorted_and_grouped_by_its_url(queue: QueueRepo, served: Served) -> None:
    """Status, target, author and text choose; any column sorts, both ways; nonsense counts as nothing."""
    for title, author in [("Zebra", "carol"), ("apple", "alice"), ("Mango", "bob")]:
        queue.open(title, author=author)
    approve(queue, 3)

    def ask(query: str) -> list[str]:
        return titles(served.get(f"/?{query}"))

    assert ask("") == ["Mango", "Zebra", "apple"]
    assert ask("sort=title") == ["apple", "Mango", "Zebra"]
    assert ask("sort=-number") == ["Mango", "apple", "Zebra"]
    assert ask("status=approved") == ["Mango"]
    assert ask("author=alice") == ["apple"]
    assert ask("target=main&filter=ZEB") == ["Zebra"]
    assert ask("target=stable") == []
    assert ask("sort=evil&status=%3Cb%3E&page=-1&group=x") == ["Mango", "Zebra", "apple"]
    assert 'class="art group"' in served.get("/?group=author").text
    assert len(ask("group=status&sort=title")) == 3


def test_every_column_sorts_and_every_status_has_a_look() -> None:
    """No column and no status is forgotten."""
    assert set(STATUSES) == set(Status)
    for column in ("number", "status", "mergeable", "title", "author", "approved", "priority", "rollup"):
        assert read_wanted({"sort": f"-{column}"}).sort == f"-{column}"
    assert read_wanted({"status": "try-passed"}) == read_wanted({"status": "try passed"})
    assert read_wanted({"status": "timed-out"}).status == Status.TIMED_OUT


def test_landed_changes_are_there_when_asked_for(queue: QueueRepo, served: Served) -> None:
    """The list has what is open; `all` and `landed` have what is over."""
    number = queue.open("Done")
    tip = queue.root
    queue.add(number, Landed(actor=QUEUE, at=1.76e9, run="", target=MAIN, old=tip, new=tip))

    assert titles(served.get("/")) == []
    assert titles(served.get("/?status=landed")) == titles(served.get("/?status=all")) == ["Done"]
    page = served.get(f"/changes/{number}").text
    assert f"is in main as of {tip[:12]}" in page
    assert "Mergeable" not in page


def test_a_run_at_work_shows_its_members_and_progress(queue: QueueRepo, served: Served) -> None:
    """Members, jobs done of all and a clock are above the list; the run is on the page of each member."""
    first, second = queue.open("One"), queue.open("Two")
    for number in (first, second):
        approve(queue, number)
    run = queue.start(first, second)
    queue.end_job(first, run, "build")

    text = served.get("/").text
    assert re.search(r'class="at-work".*#1</a>.*One.*#2</a>.*Two.*1 of 2', text, re.DOTALL)
    assert "data-since" in text
    page = served.get(f"/changes/{first}").text
    assert "auto at work" in page
    assert f'href="/commit/{queue.head(first)}/build"' in page
    assert "waiting" in page
    document = served.get("/api/queue").json
    runs = document["runs"]
    assert isinstance(runs, list)
    assert (runs[0]["done"], runs[0]["jobs"], runs[0]["members"]) == (1, 2, [first, second])


def test_results_of_the_tested_commit_have_their_pages(queue: QueueRepo, served: Served) -> None:
    """A test of a run leads to the page of its result: also while its job runs, with what it prints."""
    number = queue.open("One")
    approve(queue, number)
    queue.start(number)
    oid = queue.head(number)
    project = open_server(Request(repo=[queue.server.path]), pytest.fail)
    directory = project.runs.create("unit", Commit(id=oid, tree=oid), oid)
    directory.outputs["output"].write_bytes(b"half <way>\n")
    done = queue.open("Before")
    earlier = queue.start(done, run="0123456789ab-2")
    queue.end_job(done, earlier, "unit")
    served.get("/")

    page = served.get(f"/commit/{oid}/unit")
    assert "of about 3.5 s" in page.text

    assert page.status == 200
    assert "half &lt;way&gt;" in page.text
    assert "running" in served.get(f"/changes/{number}").text
    assert f'href="/changes/{number}"' in page.text
    assert f'href="/changes/{number}"' in served.get(f"/commit/{oid}").text
    assert served.get(f"/commit/{oid}/build").status == 200
    assert "waiting for its turn" in served.get(f"/commit/{oid}/build").text
    directory.remove()
    project.runs.close()


def test_closed_trees_and_pauses_are_on_top(queue: QueueRepo, served: Served) -> None:
    """A banner says since when, by whom and why; what is held back by it is grey, the rest is not."""
    low, high = queue.open("Low"), queue.open("High")
    queue.add(high, Prioritized(actor="bob", at=1.76e9, priority=9))
    queue.add(None, TreeClosed(actor="bob", at=1.76e9, below=5, reason="release on Friday"))

    text = served.get("/").text
    assert re.search(r"Tree closed.*below priority 5.*release on Friday.*bob", text, re.DOTALL)
    assert text.count('<tr class="held">') == 1
    assert f'<tr class="held"><td class="number"><a href="/changes/{low}"' in text
    assert "Tree closed" in served.get(f"/changes/{low}").text
    assert "Tree closed" not in served.get(f"/changes/{high}").text

    queue.add(None, Paused(actor="carol", at=1.76e9, reason="disk is full"))
    assert re.search(r"Paused.*disk is full.*carol", served.get("/").text, re.DOTALL)
    queue.add(None, Resumed(actor="carol", at=1.76e9))
    history = served.get("/tree").text
    assert (
        history.index("resumed by carol") < history.index("paused by carol") < history.index("closed below")
    )
    events = served.get("/api/queue/tree").json["events"]
    assert isinstance(events, list)
    assert [each["event"]["type"] for each in events] == ["tree-closed", "paused", "resumed"]


def test_retries_say_why_newest_first(queue: QueueRepo, served: Served) -> None:
    """Retries and cancellations of all changes are in one log."""
    first, second = queue.open("One"), queue.open("Two")
    run = queue.start(first)
    queue.add(first, CancelRequested(actor="bob", at=1.761e9, run=run, reason="<b>wrong</b> branch"))
    other = queue.start(second, run="0123456789ab-2")
    queue.add(second, RunEnded(actor=QUEUE, at=1.762e9, run=other, outcome=RunOutcome.FAILED))
    queue.add(second, RetryRequested(actor="carol", at=1.763e9, run=other))

    text = served.get("/retries").text
    assert text.index("carol") < text.index("bob")
    assert "&lt;b&gt;wrong&lt;/b&gt; branch" in text
    found = served.get("/api/queue/retries").json["retries"]
    assert isinstance(found, list)
    assert [(each["change"], each["what"]) for each in found] == [(second, "retry"), (first, "cancel")]


def test_what_the_daemon_has_found_out_is_shown(queue: QueueRepo) -> None:
    """Who merges is known before anybody approves; that a conflict is gone is, too; else nobody knows."""
    numbers = [queue.open(title) for title in ("Merges", "Merges again", "Unknown", "Conflicts")]
    for number in (numbers[1], numbers[3]):
        queue.add(number, Conflicted(actor=QUEUE, at=1.76e9, head=queue.head(number), base="1" * 40))
    findings = Findings()
    findings.clean = frozenset((queue.head(number), queue.root) for number in numbers[:2])
    served = queue.serve(findings=findings)
    try:
        changes = served.get("/api/queue").json["changes"]
        assert isinstance(changes, list)
        assert {each["number"]: each["mergeable"] for each in changes} == dict(
            zip(numbers, (True, True, None, False), strict=True)
        )
        assert "<dt>Mergeable</dt><dd>yes</dd>" in served.get(f"/changes/{numbers[0]}").text
    finally:
        served.close()


def test_a_change_has_its_whole_history(queue: QueueRepo, served: Served) -> None:
    """State, commits, runs with reasons, conflicts, comments as text, and every event with time and actor."""
    number = queue.open("Add a door", body="Because.\n\nIt is cold.")
    approve(queue, number)
    run = queue.start(number)
    queue.end_job(number, run, "unit", "failed", "exit 3")
    queue.add(
        number,
        RunEnded(actor=QUEUE, at=time.time(), run=run, outcome=RunOutcome.FAILED, reason="unit failed"),
        Commented(actor="carol", at=1.76e9, text="I see\n<b>why</b>"),
        Conflicted(actor=QUEUE, at=1.76e9, head=queue.head(number), base=queue.root, paths=("a <b>",)),
    )
    text = served.get(f"/changes/{number}").text

    for words in ("It is cold.", "auto failed", "exit 3", "I see\n&lt;b&gt;why", "a &lt;b&gt;", "by push"):
        assert words in text
    assert f'href="/commit/{queue.head(number)}"' in text
    document = served.get(f"/api/queue/changes/{number}").json
    events, state = document["events"], document["state"]
    assert isinstance(events, list)
    assert isinstance(state, dict)
    assert [each["event"]["type"] for each in events][:3] == ["opened", "approved", "run-started"]
    assert state["runs"][0]["outcome"] == "failed"
    for path in ("/changes/9", "/changes/01", "/changes/x", "/changes/" + "9" * 5000, "/api/queue/nothing"):
        assert served.get(path).status == 404


def test_long_histories_are_cut_and_can_be_had_whole(queue: QueueRepo, served: Served) -> None:
    """A page has the newest events and a link to all of them."""
    number = queue.open("Busy")
    queue.add(number, *(Prioritized(actor="bob", at=1.76e9 + n, priority=n) for n in range(400)))

    assert served.get(f"/changes/{number}").text.count("priority ") < 350
    assert "All 401 events" in served.get(f"/changes/{number}").text
    assert served.get(f"/changes/{number}?all=1").text.count("priority ") >= 400


def test_hostile_words_are_shown_as_text(queue: QueueRepo, served: Served, tmp_path: Path) -> None:
    """Tags, escapes and characters that turn others are shown as what they are, on every page."""
    number = queue.open(HOSTILE, author="mal<i>lory\x1b\u202e", body=HOSTILE, topic=HOSTILE)
    queue.add(
        number,
        Commented(actor=HOSTILE, at=1.76e9, text=HOSTILE * 1000),
        RollupSet(actor="x", at=1.76e9, mode=Rollup.NEVER, note=HOSTILE),
        Conflicted(actor=QUEUE, at=1.76e9, head=queue.head(number), base=queue.root, paths=(HOSTILE,)),
    )
    queue.add(None, TreeClosed(actor=HOSTILE, at=1.76e9, below=5, reason=HOSTILE, target=HOSTILE))
    run = queue.start(number)
    queue.add(number, CancelRequested(actor=HOSTILE, at=1.761e9, run=run, reason=HOSTILE))

    pages = [served.get(path).text for path in ("/", f"/changes/{number}", "/retries", "/tree")]
    write_pages(open_server(Request(repo=[queue.server.path]), pytest.fail), tmp_path / "out", every=True)
    pages += [path.read_text() for path in (tmp_path / "out").rglob("*.html")]
    assert len(pages) == 8
    for text in pages:
        assert "<script>alert" not in text
        assert "<i>lory" not in text
        assert not {"\x1b", "\u202e", "\u2003"} & set(text)
        assert len(text) < 200_000
    assert "\\x1b[31m \\u202etxt\\u2003" in pages[0]


def test_visible_keeps_what_people_write() -> None:
    """Accents, other scripts and joined emoji stay; only what cannot be seen is escaped."""
    assert visible("Grüße, 你好 👩\u200d🚀") == "Grüße, 你好 👩\u200d🚀"
    assert visible("a\tb\u200bc\ud800") == "a\\tb\\u200bc\\ud800"
    assert visible_lines("a\r\n\tb\x00") == "a\n\tb\\x00"
    assert visible("x" * 50, 10) == "x" * 10 + "…"


def test_pages_are_guarded_as_all_others(queue: QueueRepo, served: Served) -> None:
    """Another host name is refused, headers forbid scripts of others, and methods are few."""
    queue.open("One")
    assert served.ask("GET", "/", host="evil.example").status == 403
    answer = served.get("/")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert "style=" not in answer.text
    assert served.ask("DELETE", "/changes/1").status == 405
    everywhere = queue.serve(address="0.0.0.0:0")
    try:
        assert everywhere.get("/api/queue").status == 403
        token = everywhere.url.partition("token=")[2]
        assert everywhere.get("/api/queue", Authorization=f"Bearer {token}").status == 200
    finally:
        everywhere.close()


def test_nobody_writes_without_a_login(queue: QueueRepo, served: Served) -> None:
    """Without a proxy there are no buttons, and what a button would send is refused, whoever sends it."""
    number = queue.open("One")
    assert "<button id=" not in served.get(f"/changes/{number}", **USER).text
    fields = {"action": "approve", "head": queue.head(number), "secret": "x"}
    assert served.press(f"/changes/{number}", fields, **USER).status == 405
    assert served.press("/", fields, **USER).status == 405
    assert queue.session.timelines.load().changes[number].approval is None


def test_a_reviewer_approves_by_a_button(queue: QueueRepo, proxied: Served) -> None:
    """Who the web server has logged in can do what the rules let him do; it is he who did it."""
    number = queue.open("One")
    page = proxied.get(f"/changes/{number}", **USER)
    assert "logged in as <bdi>bob</bdi>" in page.text
    answer = proxied.press(f"/changes/{number}", form_of(page, "approve"), **USER)

    assert (answer.status, answer.headers["location"]) == (303, f"/changes/{number}")
    change = queue.session.timelines.load().changes[number]
    assert change.approval is not None
    assert (change.approval.by, change.approval.actor, change.approval.head) == ("bob", "bob", change.head)
    assert "approved" in proxied.get(f"/changes/{number}", **USER).text
    page = proxied.get(f"/changes/{number}", **USER)
    assert (
        proxied.press(f"/changes/{number}", {**form_of(page, "priority"), "priority": "4"}, **USER).status
        == 303
    )
    assert (
        proxied.press(f"/changes/{number}", {**form_of(page, "priority"), "priority": "x"}, **USER).status
        == 400
    )
    assert (
        proxied.press(f"/changes/{number}", {**form_of(page, "priority"), "priority": "99999"}, **USER).status
        == 409
    )
    assert queue.session.timelines.load().changes[number].priority == 4


def test_a_button_gives_no_right_that_was_taken_away(
    queue: QueueRepo, proxied: Served, tmp_path: Path
) -> None:
    """Though it was in a file that is included, which nobody follows."""
    included = str(tmp_path / "people")
    queue.server.git("config", "--unset", "limmat.queue.reviewer")
    queue.server.git("config", "-f", included, "limmat.queue.reviewer", "bob")
    queue.server.git("config", "include.path", included)
    number = queue.open("One")
    wait_until(lambda: "Approve" in proxied.get(f"/changes/{number}", **USER).text, "a button")
    page = proxied.get(f"/changes/{number}", **USER)
    queue.server.git("config", "-f", included, "limmat.queue.reviewer", "carol")

    assert proxied.press(f"/changes/{number}", form_of(page, "approve"), **USER).status == 409
    assert queue.session.timelines.load().changes[number].approval is None


def test_a_button_approves_only_the_head_that_was_shown(queue: QueueRepo, proxied: Served) -> None:
    """When the author has pushed meanwhile, the form of the old page approves nothing."""
    from gitlimmat.queue.events import HeadMoved

    number = queue.open("One")
    form = form_of(proxied.get(f"/changes/{number}", **USER), "approve")
    newer = queue.commit("newer")
    queue.add(
        number,
        HeadMoved(actor="alice", at=1.76e9, old=queue.head(number), new=newer, title="newer", forced=True),
    )
    assert proxied.press(f"/changes/{number}", form, **USER).status == 409
    assert proxied.press(f"/changes/{number}", form | {"head": ""}, **USER).status == 400
    assert queue.session.timelines.load().changes[number].approval is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Remote-User": "bob"},
        {"X-Remote-User": "bob", SECRET_HEADER: ""},
        {"X-Remote-User": "bob", SECRET_HEADER: SECRET[:-1]},
        {"X-Remote-User": "bob", SECRET_HEADER: f"{SECRET} {SECRET}"},
        {"X-Remote-User": "", SECRET_HEADER: SECRET},
        {"X-Remote-User": "bob, carol", SECRET_HEADER: SECRET},
        {"X-Remote-User": "limmat", SECRET_HEADER: SECRET},
        {"X-Remote-User": "*", SECRET_HEADER: SECRET},
        {"X-Remote-User": "b\N{CYRILLIC SMALL LETTER O}b".encode().decode("latin-1"), SECRET_HEADER: SECRET},
        {"X-Forwarded-User": "bob", SECRET_HEADER: SECRET},
    ],
    ids=str,
)
def test_a_forged_login_is_none(queue: QueueRepo, proxied: Served, headers: dict[str, str]) -> None:
    """Without the secret, or with a name that is none, one may only look."""
    number = queue.open("One")
    form = form_of(proxied.get(f"/changes/{number}", **USER), "approve")

    assert "<button id=" not in proxied.get(f"/changes/{number}", **headers).text
    assert proxied.press(f"/changes/{number}", form, **headers).status == 405
    assert queue.session.timelines.load().changes[number].approval is None


def test_a_name_that_is_said_twice_is_nobody(queue: QueueRepo, proxied: Served) -> None:
    """A web server that adds its header to that of the visitor lets nobody choose who he is."""
    number = queue.open("One")
    for names in (("bob", "eve"), ("eve", "bob"), ("bob", "bob")):
        connection = http.client.HTTPConnection("127.0.0.1", proxied.port, timeout=30)
        connection.putrequest("GET", f"/changes/{number}")
        connection.putheader(SECRET_HEADER, SECRET)
        for name in names:
            connection.putheader("X-Remote-User", name)
        connection.endheaders()
        assert "logged in" not in connection.getresponse().read().decode()
        connection.close()


def test_a_form_of_someone_else_is_refused(queue: QueueRepo, proxied: Served) -> None:
    """The secret of a form is that of one person, and is sent from no other site."""
    number = queue.open("One", author="carol")
    carol = USER | {"X-Remote-User": "carol"}
    form = form_of(proxied.get(f"/changes/{number}", **USER), "approve")
    other = {**form, "secret": "0" * 64}
    path = f"/changes/{number}"

    assert proxied.press(path, other, **USER).status == 403
    assert proxied.press(path, {**form, "secret": ""}, **USER).status == 403
    assert proxied.press(path, form, **carol).status == 403
    assert proxied.press(path, form, Sec_Fetch_Site="cross-site", **USER).status == 403
    assert proxied.press(path, form, Origin="http://evil.example", **USER).status == 403
    assert proxied.ask("POST", path, body="{}", Content_Type="application/json", **USER).status == 415
    assert proxied.press(path, form, host="evil.example", **USER).status == 403
    assert queue.session.timelines.load().changes[number].approval is None


def test_buttons_are_those_that_one_may_press(queue: QueueRepo, proxied: Served) -> None:
    """Who is no reviewer sees no button for reviewers, and pressing it anyway is refused with the reason."""
    number = queue.open("One", author="dave")
    eve = USER | {"X-Remote-User": "eve"}
    page = proxied.get(f"/changes/{number}", **eve)
    assert "logged in as" in page.text
    assert "<button id=" not in page.text
    approve(queue, number)
    dave = USER | {"X-Remote-User": "dave"}
    form = form_of(proxied.get(f"/changes/{number}", **dave), "unapprove")
    refused = proxied.press(f"/changes/{number}", form | {"action": "priority", "priority": "3"}, **dave)
    assert refused.status == 409
    assert "is no reviewer" in refused.text
    assert proxied.press(f"/changes/{number}", form | {"action": "explode"}, **dave).status == 400


def test_a_careless_setup_of_logins_is_refused(tmp_path: Path) -> None:
    """A secret that others can read, a short one or none, or another identity: an error that says so."""
    secret = tmp_path / "secret"
    rules = Rules(identity=Identity.HTTP, proxy_header="X-User", proxy_secret_file=str(secret))
    assert read_proxy(Rules()) is None
    with pytest.raises(LimmatError, match="No such file"):
        read_proxy(rules)
    secret.write_text(SECRET)
    secret.chmod(0o644)
    with pytest.raises(LimmatError, match="everybody on this machine can read it"):
        read_proxy(rules)
    secret.chmod(0o640)
    found = read_proxy(rules)
    assert found is not None
    assert SECRET not in repr(found)
    secret.write_text("short")
    with pytest.raises(LimmatError, match="fewer than 16"):
        read_proxy(rules)
    with pytest.raises(LimmatError, match="identity' is not http"):
        read_proxy(Rules(proxy_header="X-User", proxy_secret_file=str(secret)))
    with pytest.raises(LimmatError, match="proxySecretFile' is missing"):
        read_proxy(Rules(identity=Identity.HTTP, proxy_header="X-User"))


def test_many_changes_come_in_pages(queue: QueueRepo, served: Served) -> None:
    """A long list is cut politely, with links to the rest and to all of it."""
    queue.open_many(260)

    first = served.get("/")
    assert len(titles(first)) == 250
    assert "page 1 of 2, 250 of 260 changes" in first.text
    assert len(titles(served.get("/?page=2"))) == 10
    assert len(titles(served.get("/?page=all"))) == 260
    assert len(titles(served.get("/?page=99999"))) == 10
    found = served.get("/api/queue").json["changes"]
    assert isinstance(found, list)
    assert len(found) == 260


def test_files_show_the_same_without_a_server(queue: QueueRepo, tmp_path: Path) -> None:
    """The pages as files lead to each other, have no script, and are written again over themselves only."""
    first = queue.open("One")
    done = queue.open("Done")
    queue.add(done, Landed(actor=QUEUE, at=1.76e9, run="", target=MAIN, old=queue.root, new=queue.root))
    project = open_server(Request(repo=[queue.server.path]), pytest.fail)
    out = tmp_path / "out"

    assert write_pages(project, out, every=False) == 4
    index = (out / "index.html").read_text()
    assert f'href="changes/{first}.html"' in index
    assert "<script" not in index
    assert "<form" not in index
    page = (out / "changes" / f"{first}.html").read_text()
    assert 'href="../index.html"' in page
    assert json.loads((out / "queue.json").read_text())["totals"] == {"open": 1}
    assert write_pages(project, out, every=True) == 5
    assert (out / "changes" / f"{done}.html").exists()
    assert write_pages(project, out, every=False) == 4
    assert not (out / "changes" / f"{done}.html").exists()
    for path in out.rglob("*.html"):
        for link in re.findall(r'href="([^"#]+)"', path.read_text()):
            assert (path.parent / link).resolve().exists(), (path, link)

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(LimmatError, match="it has other files"):
        write_pages(project, tmp_path / "mine", every=True)


def test_a_damaged_timeline_is_a_problem_and_no_more(queue: QueueRepo, served: Served) -> None:
    """The other changes are shown, with a word about the one that cannot be."""
    queue.open("Good")
    bad = queue.open("Bad")
    queue.server.git("update-ref", f"refs/limmat/queue/changes/{bad}/meta", queue.root)

    answer = served.get("/")

    assert answer.status == 200
    assert "Good" in answer.text
    page = served.get(f"/changes/{bad}")
    assert page.status == 500
    assert "This change cannot be read." in page.text
    assert "it has files, so it is none of ours" in page.text


def test_a_broken_setting_is_told_and_the_rest_is_shown(queue: QueueRepo, served: Served) -> None:
    """The rules from before hold, and the page says so until the setting is mended."""
    queue.open("One")
    with served.events("/live") as events:
        events.until("hello")
        queue.server.git("config", "limmat.queue.depth", "many")
        events.until("change")
        wait_until(lambda: "bad config value" in served.get("/").text, "the fault")
        assert titles(served.get("/")) == ["One"]
        assert "bad config value" in served.get("/").text
        queue.server.git("config", "limmat.queue.depth", "2")
        wait_until(lambda: "bad config value" not in served.get("/").text, "its end")


def check_pages_of(process: subprocess.Popen[bytes], request: pytest.FixtureRequest) -> None:
    """Read the page at the URL that a process prints, and end it by Ctrl-C."""

    def end() -> None:
        process.kill()
        process.communicate()

    request.addfinalizer(end)
    assert process.stdout is not None
    url = process.stdout.readline().decode().strip()
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert "One" in answer.read().decode()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_commands_serve_and_write_pages(queue: QueueRepo, request: pytest.FixtureRequest) -> None:
    """`queue web` prints a URL that shows the queue, `queue html` says how many pages it wrote."""
    queue.open("One")
    assert queue.server.limmat("queue", "html", "out") == "4 pages in 'out'\n"
    assert (queue.server.path / "out" / "index.html").exists()
    assert "it has other files" in queue.server.program("queue", "html", "refs").stderr.decode()
    check_pages_of(queue.server.start("queue", "web"), request)


def test_pages_of_a_daemon_that_waits_for_its_turn_are_served(
    queue: QueueRepo, request: pytest.FixtureRequest
) -> None:
    """Another one serves the queue; whoever looks sees the same."""
    queue.open("One")
    turn = take_turn(find_repository(queue.server.path))
    assert turn is not None
    request.addfinalizer(turn.end)
    check_pages_of(queue.server.start("queue", "serve", "--http-sockaddr", "127.0.0.1:0"), request)


def test_outcomes_of_jobs_have_looks() -> None:
    """No outcome of a job is forgotten."""
    from gitlimmat.web.queuewords import job_look, run_look

    assert all(job_look(outcome).glyph for outcome in Outcome)
    assert all(run_look(outcome).glyph for outcome in (None, *RunOutcome))
