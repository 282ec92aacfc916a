"""What the full-screen view needs from the watch behind it.

Layer: tui.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gitlimmat.service.board import Board, Place


class Links(Protocol):
    """Gives the addresses of pages about what is shown."""

    @property
    def url(self) -> str:
        """The address of the first page, as printed."""

    def url_of(self, board: Board, commit: str | None = None, test: str | None = None) -> str:
        """Return the address of the page about a board, a commit of it, or a test on that commit."""


class Host(Protocol):
    """The watch."""

    @property
    def boards(self) -> Sequence[Board]:
        """What is shown; at least one, always the same."""

    @property
    def stopping(self) -> Sequence[tuple[Board, Place]] | None:
        """None until asked to stop; then the jobs that are still being ended, empty when it is over."""

    def stop(self) -> None:
        """End all jobs; asked again, kill them."""

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` in the loop when `stopping` changes; return what ends that."""
