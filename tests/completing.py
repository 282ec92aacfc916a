"""Ask real shells what they would complete."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from conftest import Repo

COMPLETION = Path(__file__).parent.parent / "completion"
_BASH_PLACES = (
    "/usr/share/bash-completion",
    "/usr/local/share/bash-completion",
    "/opt/homebrew/share/bash-completion",
)

_BASH = r"""
. {place}/bash_completion
line=$1
read -ra COMP_WORDS <<<"$line"
[ "${{line: -1}}" != " " ] || COMP_WORDS+=("")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_LINE=$line COMP_POINT=${{#line}} COMP_TYPE=9 COMP_KEY=9
_completion_loader "${{COMP_WORDS[0]}}"
set -- $(complete -p "${{COMP_WORDS[0]}}")
while [ "$1" != -F ]; do shift; done
$2
printf '%s\n' "${{COMPREPLY[@]}}"
"""

_ZSH = r"""
autoload -Uz compinit && compinit -D -u
zmodload zsh/zpty
# Tell what is added, and complete nothing.
compadd () {
	case " $* " in *' -O '*|*' -A '*|*' -D '*) builtin compadd "$@"; return ;; esac
	typeset -a __hits
	builtin compadd -O __hits "$@"
	local hit
	for hit in $__hits; do print -r -- "$IPREFIX$hit" >&9; done
	builtin compadd "$@"
}
"""


def complete_by_bash(repo: Repo, line: str, programs: Path) -> list[str]:
    """Return what bash, with bash-completion and git's own completion, offers after `line`."""
    place = next(place for place in _BASH_PLACES if Path(place, "bash_completion").exists())
    done = subprocess.run(
        ["bash", "--norc", "-c", _BASH.format(place=place), "bash", line],
        cwd=repo.path,
        env=_environment(repo, programs),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "", done.stderr
    return sorted(each.strip() for each in done.stdout.splitlines() if each.strip())


def complete_by_fish(repo: Repo, line: str, programs: Path) -> list[str]:
    """Return what fish offers after `line`."""
    done = subprocess.run(
        ["fish", "-c", "complete -C $argv[1]", line],
        cwd=repo.path,
        env=_environment(repo, programs),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "", done.stderr
    return sorted({each.partition("\t")[0] for each in done.stdout.splitlines()})


def complete_by_zsh(repo: Repo, line: str, programs: Path) -> list[str]:
    """Return what an interactive zsh offers after `line`, by pressing Tab in a terminal of its own."""
    hits = programs / "hits"
    script = programs / "capture.zsh"
    script.write_text(
        f"fpath=({programs}/zsh $fpath)\nPS1=READY\nexec 9>{hits}\n{_ZSH}"
        "finish () { print done >&9; exit }\nzle -N finish\nbindkey '^X' finish\n"
        "zstyle ':completion:*' list-prompt ''\nzstyle ':completion:*' menu no\nLISTMAX=10000\n"
    )
    done = subprocess.run(
        ["zsh", "-f", "-c", _DRIVE, "zsh", script, line],
        cwd=repo.path,
        env=_environment(repo, programs) | {"TERM": "vt100"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert hits.exists(), done.stdout + done.stderr
    *found, end = hits.read_text().splitlines()
    assert end == "done"
    return sorted(set(found))


_DRIVE = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "source $1"
zpty -r -m shell seen '*READY*'
zpty -w -n shell "$2"$'\t'$'\x18'
while zpty -r shell chunk; do :; done
"""

COMPLETE: dict[str, Callable[[Repo, str, Path], list[str]]] = {
    "bash": complete_by_bash,
    "zsh": complete_by_zsh,
    "fish": complete_by_fish,
}


def install(programs: Path) -> None:
    """Put `git-limmat` and its completion into directories below `programs`, as a package would."""
    (programs / "bash" / "completions").mkdir(parents=True)
    (programs / "zsh").mkdir()
    shutil.copy(COMPLETION / "git-limmat.bash", programs / "bash" / "completions" / "git-limmat")
    shutil.copy(COMPLETION / "_git-limmat", programs / "zsh")
    for folder, name in (("completions", "git-limmat.fish"), ("conf.d", "git-limmat-of-git.fish")):
        (programs / "config" / "fish" / folder).mkdir(parents=True)
        shutil.copy(COMPLETION / name, programs / "config" / "fish" / folder)
    program = programs / "bin" / "git-limmat"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'completion must not start the program' >&2\nexit 1\n")
    program.chmod(0o755)


def _environment(repo: Repo, programs: Path) -> dict[str, str]:
    return repo.environment | {
        "PATH": f"{programs / 'bin'}{os.pathsep}{repo.environment['PATH']}",
        "XDG_CONFIG_HOME": str(programs / "config"),
        "BASH_COMPLETION_USER_DIR": str(programs / "bash"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
