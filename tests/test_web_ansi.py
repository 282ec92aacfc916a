"""What programs print becomes HTML that shows it and does no harm."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitlimmat.web.ansi import AnsiText, to_html


@pytest.mark.parametrize(
    ("printed", "html"),
    [
        (b"", ""),
        (b'a <b> & "c"\n', 'a &lt;b&gt; &amp; "c"\n'),
        (b"\x1b[31mred\x1b[0m plain", '<span class="f-1">red</span> plain'),
        (b"\x1b[31mred\x1b[m plain", '<span class="f-1">red</span> plain'),
        (b"\x1b[1;4;97;100mx", '<span class="bold underline f-15 b-8">x</span>'),
        (b"\x1b[38;5;9mx\x1b[38;5;208my", '<span class="f-9">x</span><span class="f-xf80">y</span>'),
        (b"\x1b[48;5;255mx", '<span class="b-xeee">x</span>'),
        (b"\x1b[38;2;255;128;0mx", '<span class="f-xf80">x</span>'),
        (b"\x1b[38:2:255:128:0mx", '<span class="f-xf80">x</span>'),
        (b"\x1b[38:2::255:128:0mx", '<span class="f-xf80">x</span>'),
        (b"\x1b[7mx\x1b[27my", '<span class="f-paper b-ink">x</span>y'),
        (b"\x1b[31;7mx", '<span class="f-paper b-1">x</span>'),
        (b"\x1b[1mx\x1b[22my", '<span class="bold">x</span>y'),
        (b"\x1b[32ma\nb\x1b[39mc", '<span class="f-2">a</span>\n<span class="f-2">b</span>c'),
        (b"10%\r50%\r100%\n", "100%\n"),
        (b"abcdef\rxy\x1b[K\n", "xy\n"),
        (b"abcdef\rxy\n", "xycdef\n"),
        (b"dos\r\nlines\r\n", "dos\nlines\n"),
        (b"ab\bc", "ac"),
        (b"\x1b[2J\x1b[?25l\x1b]0;title\x07\x1b(B\x1b=x\x1bPq#0\x1b\\y", "xy"),
        (b"bell\x07 nul\x00", "bell␇ nul␀"),
        (b"\xff\xc3\xa4", "\ufffdä"),
        (b"end \x1b[3", "end "),
        (b"\x1b[999999999999999999mx\x1b[38;5mx\x1b[38;2;1mx\x1b[38mx", "xxxx"),
    ],
)
def test_output_is_shown_as_a_terminal_would(printed: bytes, html: str) -> None:
    """Colors and overwriting are understood, other escapes dropped, and markup is text."""
    assert to_html(printed) == html


@pytest.mark.parametrize(
    ("address", "is_link"),
    [
        ("https://example.com/?a=1&b=\"2'", True),
        ("http://[::1]/", True),
        ("javascript:alert(1)", False),
        ("data:text/html,<script>", False),
        ("https://a b", False),
        (" https://a", False),
        ("//a", False),
        ("", False),
    ],
)
def test_only_links_to_the_web_become_links(address: str, is_link: bool) -> None:
    """OSC 8 may name any scheme; those that could run something stay text."""
    html = to_html(f"\x1b]8;id=1;{address}\x1b\\text\x1b]8;;\x1b\\".encode())

    assert ("<a " in html) == is_link
    assert "text" in html
    assert not is_link or html.count('"') % 2 == 0


class _Tags(HTMLParser):
    """Collects what a browser would make of some HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        self.open += 1

    def handle_endtag(self, tag: str) -> None:
        self.open -= 1


_PIECES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        [
            b"\x1b[",
            b"\x1b]8;;",
            b"31m",
            b"\x1b[1;38;5;200m",
            b"\x1b\\",
            b"\x07",
            b"\r",
            b"\n",
            b"\b",
            b"\x1b[K",
        ]
    ),
    st.sampled_from([b"<script>", b'"', b"'>", b"&lt;", b"http://x/", b"javascript:", b"\x1b[0m", b"\x1b"]),
)


@given(st.lists(_PIECES, max_size=30).map(b"".join))
@example(b'\x1b]8;;http://x/"onclick=x\x07<b>')
def test_nothing_but_plain_spans_and_links_comes_out(printed: bytes) -> None:
    """Whatever is printed, the HTML has balanced spans and links with known attributes, and no more."""
    tags = _Tags()
    html = to_html(printed)
    tags.feed(html)
    tags.close()

    assert tags.open == 0
    assert "\r" not in html
    for tag, attributes in tags.seen:
        assert tag in ("span", "a")
        assert set(attributes) <= ({"class"} if tag == "span" else {"class", "href", "rel"})
        assert re.fullmatch(r"[a-z0-9 -]*", attributes.get("class") or "")
        assert tag == "span" or re.match("https?://", attributes["href"] or "")


@given(st.lists(_PIECES, max_size=20))
def test_pieces_give_what_the_whole_gives(pieces: list[bytes]) -> None:
    """Where a running job's output is cut, even inside a character or an escape, makes no difference."""
    text = AnsiText()

    html = "".join(text.feed(piece) for piece in pieces)
    html += text.feed(b"", final=True) + text.rest()

    assert html == to_html(b"".join(pieces))
