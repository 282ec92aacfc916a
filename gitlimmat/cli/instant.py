"""What is printed before anything else is imported: the word of the prompt.

Layer: cli. Imports nothing that takes a millisecond.
"""

from __future__ import annotations

import os
import sys

from gitlimmat.service.headword import prompt_word


def show_prompt() -> int:
    """Print the word about HEAD of the current repository, and nothing when there is none."""
    try:
        start = os.getcwd()  # noqa: PTH109
    except OSError:
        return 0
    word = prompt_word(start, os.environ)
    if word:
        os.write(1, (word + "\n").encode(sys.getfilesystemencoding(), "replace"))
    return 0
