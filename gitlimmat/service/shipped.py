"""Files that come with the program and are not Python: manual pages and what shells read.

Layer: service.

They are in the package, wherever that is (a virtual environment, `pip --target`, a Debian package, the cache
of the single-file program), and at the top of a checkout.
"""

from __future__ import annotations

from pathlib import Path

from gitlimmat.errors import LimmatError

_PACKAGE = Path(__file__).parent.parent


def shipped(name: str) -> Path:
    """Return the directory or file `name`, such as `man` or `completion/git-limmat-prompt.sh`.

    Raises: LimmatError when this installation is without it.
    """
    for top in (_PACKAGE, _PACKAGE.parent):
        path = top / name
        if path.exists():
            return path
    raise LimmatError(f"cannot find '{name}' in '{_PACKAGE}'", hint="the installation is not complete")
