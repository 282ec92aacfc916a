"""Which key does what, and how it is shown.

Layer: tui. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Flag, auto
from typing import NamedTuple

from rich.cells import cell_len


class Needs(Flag):
    """What must be there for a key to make sense."""

    NOTHING = 0
    CONTROL = auto()
    PAGES = auto()
    BOARDS = auto()


class Key(NamedTuple):
    """`names` are Textual's, or the character itself; `rank` is the place in the last line, 0: none.

    `pane` is the label there while the output has the keys, empty for none.
    """

    names: tuple[str, ...]
    action: str
    shown: str
    label: str
    text: str
    rank: int = 0
    needs: Needs = Needs.NOTHING
    pane: str = ""


KEYS = (
    Key(("up", "k"), "up", "↑ k", "", "to the newer commit"),
    Key(("down", "j"), "down", "↓ j", "", "to the older commit"),
    Key(("left", "h"), "left", "← h", "", "to the test at the left; in the output: scroll"),
    Key(("right", "l"), "right", "→ l", "", "to the test at the right; in the output: scroll"),
    Key(("pageup", "ctrl+b", "ctrl+u"), "page_up", "PgUp ^B", "", "a screen up"),
    Key(("pagedown", "ctrl+f", "ctrl+d", "space"), "page_down", "PgDn ^F", "", "a screen down"),
    Key(("home", "g"), "first", "Home g", "", "to the newest commit; in the output: to its beginning"),
    Key(("end", "G"), "last", "End G", "", "to the oldest commit; in the output: to its end"),
    Key(
        ("enter",),
        "open",
        "Enter",
        "output",
        "show the output; again: between output and table",
        2,
        pane="table",
    ),
    Key(("escape",), "close", "Esc", "", "close the output, this help, or undo the filter", pane="close"),
    Key(
        ("f",), "follow", "f", "follow", "show what runs and stay at the end of its output", 3, pane="follow"
    ),
    Key(("s",), "stream", "s", "", "in the output: standard output or standard error", pane="stream"),
    Key(("w",), "wrap", "w", "", "in the output: wrap long lines or not", pane="wrap"),
    Key(("r",), "rerun", "r", "rerun", "run this test on this commit again", 4, Needs.CONTROL),
    Key(
        ("R",), "rerun_all", "R", "", "run all tests that did not pass on this commit again", 0, Needs.CONTROL
    ),
    Key(("c",), "cancel", "c", "cancel", "cancel this test on this commit", 5, Needs.CONTROL),
    Key(("p",), "hide_passed", "p", "passed", "stop showing commits on which all passed, or show them", 8),
    Key(("/", "slash"), "search", "/", "find", "find in subjects, authors, refs and ids; n and N go on", 7),
    Key(("n",), "next", "n", "", "to the next commit found"),
    Key(("N",), "previous", "N", "", "to the previous commit found"),
    Key(
        ("&", "ampersand"),
        "filter",
        "&",
        "filter",
        "show only some: text, failed, running, test:unit and so on",
        6,
    ),
    Key(("y",), "copy", "y", "copy", "copy the commit's id", 11),
    Key(("o",), "page", "o", "page", "open the page of this result, or show its address", 9, Needs.PAGES),
    Key(("tab",), "next_board", "Tab", "repo", "to the next repository", 10, Needs.BOARDS),
    Key(("shift+tab",), "previous_board", "S-Tab", "", "to the previous repository", 0, Needs.BOARDS),
    Key(("?", "question_mark"), "help", "?", "help", "show or hide this help", 1, pane="help"),
    Key(("ctrl+l",), "redraw", "^L", "", "draw the screen anew"),
    Key(("ctrl+z",), "suspend", "^Z", "", "back to the shell for a while"),
    Key(
        ("q", "ctrl+c", "ctrl+q"),
        "stop",
        "q ^C",
        "quit",
        "end all jobs and quit; again: kill them",
        1,
        pane="quit",
    ),
)
"""In the order of the help."""

ACTIONS = {name: key.action for key in KEYS for name in key.names}


def footer_keys(keys: Sequence[Key], width: int, *, pane: bool) -> list[tuple[str, str]]:
    """Return signs and labels of the most important keys that fit, in the order of `keys`."""
    if pane:
        return [(_sign(key), key.pane) for key in keys if key.pane]
    ranked = sorted((key for key in keys if key.rank), key=lambda key: key.rank)
    chosen: set[Key] = set()
    for key in ranked:
        width -= cell_len(_sign(key)) + len(key.label) + 3
        if width < -2:
            break
        chosen.add(key)
    return [(_sign(key), key.label) for key in keys if key in chosen]


def _sign(key: Key) -> str:
    return key.shown.split(maxsplit=1)[0]
