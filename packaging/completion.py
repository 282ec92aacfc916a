"""Write what bash, zsh and fish complete for `git limmat`, from the command line as the program declares it.

Run it after a change of options: python packaging/completion.py. A test compares the files with its output.
Commands and options are written out, so that a shell starts no Python; names of tests are read from
limmat.toml by awk, and revisions come from git.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import typer

from gitlimmat.cli.main import COMMANDS, build_app
from gitlimmat.cli.options import NAMES

TOP = Path(__file__).parent.parent
KINDS = {
    "REGEX": "test",
    "<test>": "test",
    "<rev>": "revision",
    "<range>": "revision",
    "<base>": "revision",
    "DIR": "directory",
    "FILE": "file",
    "PATH": "file",
    "<path>": "file",
    "COMMAND": "command",
    "<page>": "page",
}
"""What the words that options and arguments are explained by stand for."""


@dataclass(frozen=True)
class Option:
    """One option. `value` is None for a flag; `words` are all that can be given when that is known."""

    spellings: tuple[str, ...]
    summary: str
    value: str | None
    kind: str
    words: tuple[str, ...]
    joined: bool


@dataclass(frozen=True)
class Command:
    """A command: its arguments by position (kind or words), and whether the last one may be repeated."""

    name: str
    summary: str
    options: tuple[Option, ...]
    arguments: tuple[tuple[str, tuple[str, ...]], ...]
    repeated: bool


def read_commands() -> tuple[tuple[Option, ...], tuple[Command, ...]]:
    """Return the global options, and all commands that are not hidden."""
    app = typer.main.get_command(build_app(COMMANDS))
    shown = [each for each in app.commands.values() if not each.hidden]  # type: ignore[attr-defined]
    commands = tuple(_group(each) if hasattr(each, "commands") else _command(each) for each in shown)
    everywhere = tuple(_option(p) for p in app.params if not p.hidden and p.name != "version")
    return (*everywhere, Option(("-h", "--help"), "Show the options", None, "", (), False)), commands


def _command(each: typer.core.TyperCommand) -> Command:
    return Command(
        name=each.name or "",
        summary=_sentence(each.help),
        options=tuple(
            _option(p) for p in each.params if p.param_type_name == "option" and p.name not in NAMES
        ),
        arguments=tuple(_kind(p) for p in each.params if p.param_type_name == "argument"),
        repeated=any(p.nargs == -1 for p in each.params),
    )


def _group(group: typer.core.TyperGroup) -> Command:
    """Return a group as one command: the first argument is one of its commands, options are those of all."""
    below = [_command(each) for each in group.commands.values()]
    options: dict[tuple[str, ...], Option] = {}
    taken: set[str] = set()
    for option in (option for each in below for option in each.options):
        if not taken & set(option.spellings):
            options[option.spellings] = option
            taken |= set(option.spellings)
    words = tuple(each.name for each in below)
    return Command(group.name or "", _sentence(group.help), tuple(options.values()), (("", words),), False)


def pages(commands: tuple[Command, ...]) -> tuple[str, ...]:
    """Return what `git limmat help` takes."""
    others = sorted(path.stem.removeprefix("gitlimmat-") for path in TOP.glob("man/man[57]/*"))
    return (*(each.name for each in commands), *others)


def _option(parameter: typer.core.TyperOption) -> Option:
    spellings = tuple(sorted((*parameter.opts, *parameter.secondary_opts), key=len))
    if parameter.is_flag or parameter.count:
        return Option(spellings, _sentence(parameter.help), None, "", (), False)
    metavar = parameter.metavar or ""
    words = tuple(getattr(parameter.type, "choices", ())) or tuple(
        _alternatives(metavar.lstrip("[=").rstrip("]"))
    )
    words = tuple(str(getattr(word, "value", word)) for word in words)
    kind = "test" if "--test" in spellings else KINDS.get(metavar.strip("[=]"), "")
    joined = metavar.startswith("[=")
    return Option(spellings, _sentence(parameter.help), metavar.strip("[=]"), kind, words, joined)


def _kind(parameter: typer.core.TyperArgument) -> tuple[str, tuple[str, ...]]:
    metavar = parameter.metavar or ""
    found = [KINDS[word] for word in re.findall(r"<\w+>", metavar) if word in KINDS]
    return (found[0] if found else "", () if found else tuple(_alternatives(metavar.strip("[]."))))


def _alternatives(text: str) -> list[str]:
    return text.split("|") if re.fullmatch(r"[a-z]+(\|[a-z]+)+", text) else []


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split()).rstrip(".")


NOTE = """# Written by packaging/completion.py; changes made here are lost."""


def bash(everywhere: tuple[Option, ...], commands: tuple[Command, ...]) -> str:
    """Return the completion for bash, by the functions of git's own."""
    kinds = [
        f"\t{'|'.join(f'{name}:{spelling}' for spelling in option.spellings)}) kind='{_bash_kind(option)}' ;;"
        for name, option in _valued(everywhere, commands)
    ]
    options = [f"\t\t{each.name}) options='{_listed(each.options)}' ;;" for each in commands if each.options]
    arguments = [
        f"\t{each.name}:{place}) kind='{kind or ' '.join(words)}' ;;"
        for each in commands
        for place, kind, words in _places(each)
        if kind or words
    ]
    return _filled(
        "completion.bash.in",
        tests=_tests(),
        kinds="\n".join(kinds),
        options="\n".join(options),
        everywhere=_listed(everywhere),
        arguments="\n".join(arguments),
        commands=" ".join(each.name for each in commands),
        pages=" ".join(pages(commands)),
    )


def _places(command: Command) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return each argument: its place, `*` for those that may be repeated, its kind and its words."""
    last = len(command.arguments) - 1
    return [
        ("*" if command.repeated and place == last else str(place), kind, words)
        for place, (kind, words) in enumerate(command.arguments)
    ]


def _valued(everywhere: tuple[Option, ...], commands: tuple[Command, ...]) -> list[tuple[str, Option]]:
    """Return the options that take the next word as their value, with their command or `*`."""
    return [
        *(("*", option) for option in everywhere if option.value is not None),
        *((each.name, option) for each in commands for option in each.options if option.value is not None),
    ]


def _bash_kind(option: Option) -> str:
    kind = " ".join(option.words) or option.kind or "nothing"
    return f"={kind}" if option.joined else kind


def _listed(options: tuple[Option, ...]) -> str:
    return " ".join(
        f"{o.spellings[-1]}{'=' if o.joined else ''}" for o in options if o.spellings[-1].startswith("--")
    )


def zsh(everywhere: tuple[Option, ...], commands: tuple[Command, ...]) -> str:
    """Return the completion for zsh, which its completion of git finds as `_git-limmat`."""
    described = [f"\t{_zsh_quoted(each.name + ':' + each.summary)}" for each in commands]
    cases = []
    for each in commands:
        specs = [_zsh_option(option) for option in each.options]
        for place, kind, words in _places(each):
            action = f"({' '.join(words)})" if words else ZSH_ACTIONS.get(kind, " ")
            number = place if place == "*" else str(int(place) + 1)
            specs.append(_zsh_quoted(f"{number}:{kind or 'argument'}:{action}"))
        lines = " \\\n".join(f"\t\t\t{spec}" for spec in ("$everywhere", *specs))
        cases.append(f"\t\t{each.name})\n\t\t_arguments -s -S \\\n{lines} && ret=0\n\t\t;;")
    return _filled(
        "completion.zsh.in",
        tests=_tests(),
        commands="\n".join(described),
        everywhere="\n".join(f"\t{_zsh_option(option)}" for option in everywhere),
        cases="\n".join(cases),
        pages=" ".join(pages(commands)),
    )


ZSH_ACTIONS = {
    "test": "__git_limmat_test_names",
    "revision": "__git_limmat_revisions",
    "directory": "_directories",
    "file": "_files",
    "command": "_command_names -e",
    "page": "__git_limmat_pages",
}


def _zsh_option(option: Option) -> str:
    summary = re.sub(r"([\[\]:\\])", r"\\\1", option.summary)
    if option.value is None:
        spelled = _braced(option.spellings)
        return f"'*'{spelled}{_zsh_quoted(f'[{summary}]')}"
    action = f"({' '.join(option.words)})" if option.words else ZSH_ACTIONS.get(option.kind, " ")
    signs = ["+" if len(spelling) == 2 else "=" for spelling in option.spellings]
    if option.joined:
        signs, action = ["=-" for _ in signs], f":{action}"
    spelled = _braced(tuple(s + sign for s, sign in zip(option.spellings, signs, strict=True)))
    value = ":" + re.sub(r"([\[\]:\\])", r"\\\1", option.value) if not option.joined else "::value"
    return f"'*'{spelled}{_zsh_quoted(f'[{summary}]{value}:{action.removeprefix(chr(58))}')}"


def _braced(spellings: tuple[str, ...]) -> str:
    return spellings[0] if len(spellings) == 1 else "{" + ",".join(spellings) + "}"


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def fish(everywhere: tuple[Option, ...], commands: tuple[Command, ...]) -> str:
    """Return the completion for fish, whose completion of git asks for that of `git-limmat`."""
    lines = [
        f"complete -c git-limmat -n 'not __git_limmat_at' -a {each.name} -d {_fish_quoted(each.summary)}"
        for each in commands
    ]
    lines += [_fish_option(option, "") for option in everywhere]
    for each in commands:
        lines += [_fish_option(option, f" -n '__git_limmat_at {each.name}'") for option in each.options]
        for place, kind, words in _places(each):
            given = _fish_quoted(" ".join(words) if words else FISH_VALUES.get(kind, ""))
            at = f"{len(each.arguments) - 1} or more" if place == "*" else place
            lines.append(f"complete -c git-limmat -n '__git_limmat_at {each.name} {at}' -a {given}")
    valued = [
        f"{'' if name == '*' else name}:{s}"
        for name, o in _valued(everywhere, commands)
        if not o.joined
        for s in o.spellings
    ]
    return _filled(
        "completion.fish.in",
        tests=_fish_quoted(_tests() + '\n__git_limmat_tests "$@"'),
        valued=" ".join(valued),
        completions="\n".join(lines),
        pages=" ".join(pages(commands)),
    )


FISH_VALUES = {
    "test": "(__git_limmat_tests)",
    "revision": "(__git_limmat_revisions)",
    "directory": "(__fish_complete_directories)",
    "file": "(__fish_complete_path)",
    "command": "(__fish_complete_command)",
    "page": "(__git_limmat_pages)",
}


def _fish_option(option: Option, condition: str) -> str:
    names = " ".join(f"-s {s[1:]}" if len(s) == 2 else f"-l {s[2:]}" for s in option.spellings)
    value = ""
    if option.value is not None:
        given = " ".join(option.words) if option.words else FISH_VALUES.get(option.kind, "")
        value = (" -f" if option.joined else " -x") + (f" -a {_fish_quoted(given)}" if given else "")
    return f"complete -c git-limmat{condition} {names}{value} -d {_fish_quoted(option.summary)}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _filled(template: str, **values: str) -> str:
    text = (TOP / "packaging" / template).read_text(encoding="utf-8")
    for name, value in {"note": NOTE, **values}.items():
        text = text.replace(f"@{name}@", value)
    return text


def _tests() -> str:
    return (TOP / "packaging" / "completion.tests.in").read_text(encoding="utf-8").strip()


def files() -> dict[str, str]:
    """Return the text of each file of completion, by its name."""
    everywhere, commands = read_commands()
    return {
        "git-limmat.bash": bash(everywhere, commands),
        "_git-limmat": zsh(everywhere, commands),
        "git-limmat.fish": fish(everywhere, commands),
    }


if __name__ == "__main__":
    for name, text in files().items():
        (TOP / "completion" / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"completion/{name}\n")
