"""What is shown of a board and where: the parts of the full-screen view that need no terminal."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence

import pytest
from conftest import Repo
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from tui_words import WAITING, board_of, done, project_of, show

from gitlimmat.git.graph import Described
from gitlimmat.model import Outcome
from gitlimmat.service.board import Board, Cell, CellState, Place
from gitlimmat.tui.browser import browser_command
from gitlimmat.tui.columns import Detail, lay_out
from gitlimmat.tui.facts import cell_facts, empty_text, stopping_text
from gitlimmat.tui.filter import contains, parse_filter
from gitlimmat.tui.keys import ACTIONS, KEYS, footer_keys
from gitlimmat.tui.logtext import LogText, clean_line, pieces, rows_needed, shifted, wrapped
from gitlimmat.tui.look import Look
from gitlimmat.tui.table import cell_text
from gitlimmat.tui.text import Line, brief, clean, fit
from gitlimmat.tui.view import View

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "M"]), min_size=1, max_size=30)


@given(st.lists(NAMES, min_size=1, max_size=40, unique=True), st.integers(20, 250), st.sampled_from([1, 2]))
def test_columns_never_overlap_and_leave_room_for_the_subject(
    names: Sequence[str], width: int, sign: int
) -> None:
    """Cells follow each other, each with room for its sign and a blank; names do not touch."""
    columns = lay_out(names, width, sign)

    assert 1 <= columns.count <= len(names)
    assert columns.total == sum(columns.widths) <= max(width - 15, 3)
    assert all(each > sign for each in columns.widths)
    assert 1 <= columns.header <= 3
    for index, start in enumerate(columns.starts):
        following = index + columns.header
        if following < columns.count:
            assert start + columns.room[index] < columns.starts[following]


@pytest.mark.parametrize(
    ("tests", "width", "detail", "header"),
    [(3, 70, Detail.TIME, 1), (1, 70, Detail.ALL, 1), (10, 70, Detail.SIGN, 2), (10, 150, Detail.TIME, 1)],
)
def test_wider_terminals_say_more(tests: int, width: int, detail: Detail, header: int) -> None:
    """There are signs only where it is narrow, then times, then words."""
    columns = lay_out([f"test-{n}" for n in range(tests)], width, 1)

    assert (columns.detail, columns.header) == (detail, header)


@given(NAMES, st.integers(0, 40))
def test_fitted_text_has_exactly_the_columns_asked_for(text: str, width: int) -> None:
    """Text is cut or filled to the column, also where characters are two columns wide."""
    assert cell_len(fit(text, width)) == width


@given(st.lists(st.tuples(NAMES, st.none() | st.integers(0, 20)), max_size=8), st.integers(1, 60))
def test_a_line_is_as_wide_as_it_should_be(parts: list[tuple[str, int | None]], width: int) -> None:
    """Whatever is added, a line has its width."""
    line = Line(width)
    for text, size in parts:
        line.add(text, width=size)

    assert cell_len(line.strip().text) == width


@given(st.text())
def test_cleaned_text_has_nothing_that_moves_the_cursor(text: str) -> None:
    """Only what can be printed, and encoded, is left."""
    cleaned = clean(text)

    assert all(c.isprintable() for c in cleaned)
    cleaned.encode()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0ms"), (0.085, "85ms"), (0.0999, "0.1s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m00")),
        *((200, "3m20"), (3600 * 2 + 300, "2h05"), (86400 * 3 + 3600 * 4, "3d04")),
    ],
)
def test_times_are_at_most_five_characters(seconds: float, text: str) -> None:
    """Times have one form each that fits into a cell."""
    assert brief(seconds) == text
    assert len(text) <= 5


# Output.

BYTES = st.lists(
    st.sampled_from(
        [
            *(
                b"text",
                b"\x1b[31m",
                b"\x1b[1;38;5;200mx",
                b"\x1b[m",
                b"\x1b[2J",
                b"\x1b]0;title\x07",
                b"\x1b[?25l",
            ),
            *(
                b"\x1b]8;;http://x\x1b\\",
                b"\x1b(B",
                b"\x1bc",
                b"\x1b",
                b"\r",
                b"\n",
                b"\t",
                b"\x07",
                b"\x9b2J",
            ),
            *(b"\xe6\x97\xa5", b"\xff", b"\xe2\x80\xae", b"\x1b[>4;2m", b"\x1b[5mblink", b"\x1bPq#0\x1b\\"),
        ]
    ),
    max_size=40,
)


@given(BYTES, st.integers(1, 7))
def test_only_colors_of_output_are_kept(chunks: list[bytes], step: int) -> None:
    """Whatever a job prints, and however it arrives, no line has anything that acts on the terminal."""
    data = b"".join(chunks)
    text, other = LogText(), LogText()
    for start in range(0, len(data), step):
        text.feed(data[start : start + step])
    other.feed(data)

    lines = [text.line(number) for number in range(text.first, text.end)]
    assert lines == [other.line(number) for number in range(other.first, other.end)]
    for color, line in [*lines, *([text.rest] if text.rest else [])]:
        for part in (color, line):
            assert not re.search(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]", part)
            assert "\x1b" not in re.sub(r"\x1b\[[\d;:]*m", "", part)
        for piece, style in pieces(color, line):
            assert piece == clean(piece)
            assert not style.blink
            assert not style.link


@given(BYTES, st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_nothing(chunks: list[bytes], width: int) -> None:
    """A long line takes as many lines as it needs, none too wide."""
    raw = clean_line(b"".join(chunks).decode(errors="replace").replace("\n", " "))
    line = pieces("", raw)

    rows = wrapped(line, width)

    assert all(sum(cell_len(text) for text, _ in row) <= width for row in rows)
    assert rows_needed(raw, width) == len(rows)
    assert "".join(text for row in rows for text, _ in row) == "".join(text for text, _ in line)
    assert sum(cell_len(text) for text, _ in shifted(line, 5)) <= max(
        sum(cell_len(text) for text, _ in line) - 5, 0
    )


def test_colors_go_on_in_the_next_line() -> None:
    """A color that is not ended holds for the lines that follow, a reset ends it."""
    text = LogText()
    text.feed(b"\x1b[31mred\nstill\x1b[0m\nplain\n")

    colors = [pieces(*text.line(number))[0][1].color for number in range(3)]

    assert [color.name if color else None for color in colors] == ["color(1)", "color(1)", None]


def test_huge_output_takes_bounded_memory() -> None:
    """Old lines go, what is left is the end, and the bytes that are gone are counted."""
    text = LogText()
    line = b"x" * 99 + b"\n"
    for _ in range(200):
        text.feed(line * 1000)

    assert text.end == 200_000
    assert text.end - text.first <= 10_000
    assert text.dropped == text.first * 100
    text.feed(b"y" * 1_000_000)
    assert text.rest is not None
    assert len(text.rest[1]) < 10_000


def test_a_progress_bar_shows_its_last_state() -> None:
    """Carriage returns go back to the start of the line."""
    assert clean_line("10%\r50%\r100%\r") == "100%"


# The board.


@pytest.fixture
def topic(repo: Repo) -> Repo:
    """Five commits on `topic`, one of them a merge, and two tests."""
    repo.config("".join(f'[[tests]]\nname = "{name}"\ncommand = "true"\n' for name in ("build", "unit")))
    repo.commit("base")
    repo.commit("topic", "main")
    repo.commit("side", "topic")
    repo.git("checkout", "-q", "topic")
    repo.commit("fix the parser")
    repo.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
    repo.commit("newest")
    return repo


def with_board(repo: Repo, use: Callable[[Board], None]) -> None:
    """Call `use` with a board of `topic`, in a loop."""

    async def run() -> None:
        use(board_of(project_of(repo.path), "main", "topic"))

    asyncio.run(run())


def test_the_cursor_stays_on_its_commit(topic: Repo) -> None:
    """A new commit moves the row, not the cursor; on the newest commit the cursor stays on the newest."""

    def use(board: Board) -> None:
        view = View(board)
        view.height = 4
        first = view.commit
        view.move(1)
        second = view.commit
        topic.commit("even newer")
        show(board, "main", "topic")
        view.rebuild()
        assert view.commit == second
        view.go(0)
        topic.commit("the newest")
        show(board, "main", "topic")
        view.rebuild()
        assert view.commit is not None
        assert view.commit.subject == "the newest"
        assert first is not None
        view.rebuild(keep=True)
        assert view.commit.subject == "the newest"

    with_board(topic, use)


def test_the_cursor_survives_when_its_commit_vanishes(topic: Repo) -> None:
    """The cursor stays where it was when its commit was rewritten, and on an empty range it is nowhere."""

    def use(board: Board) -> None:
        view = View(board)
        view.move(1)
        row = view.row
        topic.git("reset", "-q", "--hard", "HEAD~2")
        show(board, "main", "topic")
        view.rebuild()
        assert view.row == row
        show(board, "topic", "topic")
        view.rebuild()
        assert view.commit is None
        assert view.place is None
        assert not view.search("x")
        for move in (lambda: view.move(3), lambda: view.go(9), lambda: view.scroll(2)):
            move()
        assert empty_text(board, view.filter, view.text) == "nothing between topic and topic"

    with_board(topic, use)


@settings(max_examples=30, deadline=None)
@given(moves=st.lists(st.tuples(st.integers(0, 4), st.integers(-9, 9)), max_size=20))
@example(moves=[(4, -8), (1, -1), (3, 0)])  # what is on the screen has no commit
def test_the_cursor_is_always_on_a_commit_that_is_visible(moves: list[tuple[int, int]]) -> None:
    """Whatever keys are pressed, the cursor is on a commit and on the screen."""

    def commit(number: int) -> Described:
        return Described(
            id=f"{number:040}",
            tree="0" * 40,
            abbreviated=f"{number:07}",
            subject=f"number {number}",
            refs=(),
            author="A U Thor",
            committed=0,
        )

    view = View.__new__(View)
    from gitlimmat.git.graph import GraphLine

    view.rows = tuple(GraphLine(art="|", commit=None if n % 4 in (1, 2) else commit(n)) for n in range(1, 30))
    view.tests = ("a", "b", "c")
    view.row, view.column, view.top, view.height = 2, 0, 0, 7
    for kind, by in moves:
        match kind:
            case 0:
                view.move(by)
            case 1:
                view.scroll(by)
            case 2:
                view.go(by * 3)
            case 3:
                view.move_column(by)
            case 4:
                view.height = by + 10
                view.scroll_to_cursor()
        assert view.rows[view.row].commit is not None
        assert 0 <= view.column < 3
        if kind != 1:
            assert view.top <= view.row < view.top + view.height


@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("", ["newest", "merge side", "side", "fix the parser", "topic"]),
        ("failed", ["newest"]),
        ("failed running", ["newest", "topic"]),
        ("test:build failed", []),
        ("parser", ["fix the parser"]),
        ("PARSER", []),
        ("Thor the", ["fix the parser"]),
        ("side merge", ["merge side"]),
    ],
)
def test_a_filter_shows_what_it_says(topic: Repo, text: str, subjects: list[str]) -> None:
    """Words are states, tests or texts; all must hold."""

    def use(board: Board) -> None:
        newest, oldest = board.commits[0].id, board.commits[-1].id
        board.put([newest], "unit", done(Outcome.FAILED))
        board.put([oldest], "unit", Cell(state=CellState.RUNNING))
        view = View(board)
        view.text = text
        view.rebuild()
        found = [line.commit.subject for line in view.rows if line.commit is not None]
        assert sorted(found) == sorted(subjects)

    with_board(topic, use)


def test_what_passed_can_be_left_out(topic: Repo) -> None:
    """Commits on which all passed or was skipped are not shown; all others are."""

    def use(board: Board) -> None:
        ids = [commit.id for commit in board.commits]
        board.put(ids, "build", done(Outcome.PASSED))
        board.put(ids[:3], "unit", done(Outcome.SKIPPED))
        board.put(ids[3:4], "unit", WAITING)
        view = View(board)
        view.open_only = True
        view.rebuild()
        assert [line.commit.id for line in view.rows if line.commit is not None] == ids[3:]

    with_board(topic, use)


def test_search_goes_around_the_end(topic: Repo) -> None:
    """The next commit with the text is found in both directions, also by the beginning of an id."""

    def use(board: Board) -> None:
        view = View(board)
        assert view.search("side")
        first = view.commit
        assert view.search("side")
        assert view.commit != first
        assert view.search("side")
        assert view.commit == first
        assert view.search("side", forward=False)
        assert view.search(board.commits[-1].id[:9])
        assert view.commit == board.commits[-1]
        assert not view.search("nowhere")

    with_board(topic, use)


def test_facts_say_all_that_is_known_of_a_cell(topic: Repo) -> None:
    """State, reason, times and what was before are told in words."""

    def use(board: Board) -> None:
        place = Place(board.commits[0].id, "unit")
        board.learn_elapsed("unit", [3.0])
        before = done(Outcome.FAILED, "exit 1").result
        told = [
            cell_facts(board, place, cell, 1_750_007_300.0)
            for cell in (
                Cell(state=CellState.UNKNOWN),
                Cell(state=CellState.WAITING, result=before),
                Cell(state=CellState.RUNNING, since=1_750_007_288.0, elsewhere=True),
                done(Outcome.ERRORED, "signal 9"),
                Cell(state=CellState.DONE, outcome=Outcome.ERRORED, reason="build failed"),
            )
        ]
        assert told == [
            "no result",
            "waiting, takes about 3.0 s, before: failed (exit 1)",
            "running for 12 s in another process, usually 3.0 s",
            "errored, signal 9, took 1.2 s (usually 3.0 s), at 15:06:40",
            "errored, build failed",
        ]

    with_board(topic, use)


def test_what_delays_the_end_is_named_with_its_number(topic: Repo) -> None:
    """The first few jobs are named, the hint stands where it is never cut off."""

    def use(board: Board) -> None:
        places = [(board, Place(commit.id, "unit")) for commit in board.commits]
        short = board.commits[0].abbreviated
        text = stopping_text(places, several=False, killing=False)
        assert text.startswith(f"stopping 5 jobs (q again kills): unit on {short}, ")
        assert text.endswith(" and 1 more")

    with_board(topic, use)


def test_smart_case() -> None:
    """Lower case finds both, upper case only itself."""
    commit = Described(
        id="abc" * 13 + "d", tree="", abbreviated="abc", subject="Fix It", refs=(), author="", committed=0
    )
    assert contains(commit, "fix")
    assert contains(commit, "Fix")
    assert not contains(commit, "FIX")
    assert contains(commit, "ABCA")
    assert parse_filter("test:").is_empty


# Keys and looks.


def test_each_key_has_one_meaning() -> None:
    """No key is named twice, and each action can be done."""
    from gitlimmat.tui.actions import Actions

    names = [name for key in KEYS for name in key.names]
    assert len(names) == len(set(names))
    assert all(hasattr(Actions, f"do_{action}") for action in ACTIONS.values())


@given(st.integers(10, 200), st.booleans())
def test_the_keys_in_the_last_line_fit(width: int, pane: bool) -> None:
    """Less important keys go first; help and quit stay."""
    shown = footer_keys(KEYS, width, pane=pane)
    assert pane or sum(len(key) + len(label) + 3 for key, label in shown) - 2 <= max(width, 16)
    assert width < 20 or {"?", "q"} <= {key for key, _ in shown}


@pytest.mark.parametrize("glyphs", ["ascii", "unicode", "emoji"])
@pytest.mark.parametrize("detail", Detail)
def test_signs_have_one_width_and_differ(glyphs: str, detail: Detail) -> None:
    """Each state has its own sign, all as wide as the set says, with and without words."""
    look = Look(glyphs=glyphs, colored=False)
    slots = [*(outcome.value for outcome in Outcome), "running", "waiting", "unknown"]

    signs = [look.glyph(slot) for slot in slots]
    texts = [cell_text(look, done(outcome), outcome.value, detail) for outcome in Outcome]

    assert len(set(signs)) == len(signs)
    assert {cell_len(sign) for sign in signs} == {look.sign_width}
    assert all(look.style(slot).color is None for slot in slots)
    assert all(text.startswith(sign) for text, sign in zip(texts, signs, strict=False))


@pytest.mark.parametrize("detail", Detail)
def test_a_running_cell_tells_how_long_it_takes(detail: Detail) -> None:
    """Where there is room the time is told with the estimate, and it never takes more than the room."""
    for estimate in (None, 0.02, 30.0, 5000.0, 1e6):
        for age in (5, 70, 7300, 90000):
            cell = Cell(state=CellState.RUNNING, since=time.time() - age)
            text = cell_text(Look(), cell, "running", detail, estimate)
            assert len(text) <= {Detail.SIGN: 1, Detail.TIME: 7, Detail.WORD: 11, Detail.ALL: 17}[detail]
    cell = Cell(state=CellState.RUNNING, since=time.time() - 12)
    assert cell_text(Look(), cell, "running", Detail.WORD, 30.0) == "▸ 12s/30s"
    assert cell_text(Look(), cell, "running", Detail.ALL, 30.0) == "▸ 12s of 30s"


def test_a_style_that_cannot_be_read_is_the_default() -> None:
    """A bad style never breaks the screen."""
    assert Look(styles={"failed": "no such color"}).style("failed") == Look().style("failed")
    assert Look(styles={"failed": "bold blue"}).style("failed").color is not None


@pytest.mark.parametrize(
    ("environment", "platform", "command"),
    [
        ({"BROWSER": "w3m -o x=1"}, "linux", ["w3m", "-o", "x=1"]),
        ({}, "linux", None),
        ({"SSH_CONNECTION": "x", "DISPLAY": ":0"}, "linux", None),
        ({}, "darwin", ["open"]),
    ],
)
def test_a_page_is_opened_only_where_it_is_seen(
    environment: dict[str, str], platform: str, command: list[str] | None
) -> None:
    """`$BROWSER` is obeyed; without a graphical session here nothing is started."""
    assert browser_command(environment, platform) == command
