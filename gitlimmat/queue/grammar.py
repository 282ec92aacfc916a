"""The words of commands: Homu's and bors', and those of the command line.

Layer:  pure. May import model and errors.
Source: git-limmat-queue(1), COMMANDS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from gitlimmat.queue.events import Level, Rollup
from gitlimmat.queue.quoting import is_name, quote
from gitlimmat.queue.requests import (
    Approve,
    Cancel,
    Close,
    CloseTree,
    Command,
    Comment,
    Delegate,
    Fault,
    Help,
    Info,
    OpenTree,
    Pause,
    Ping,
    Prioritize,
    Reopen,
    Resume,
    Retarget,
    Retitle,
    Retry,
    SetDraft,
    SetRollup,
    Try,
    TryCancel,
    Unapprove,
    Undelegate,
    Unroll,
)

LEAST_DIGITS = 7
"""Hexadecimal digits that name a commit."""
MOST_TESTS = 100
"""Names of tests in one try."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]+")
_FULL = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
_MODES = {mode.value: mode for mode in Rollup}

Words = tuple[str, ...]
Result = Command | Fault
Options = dict[str, str]


def words_to_command(words: Words) -> Result:
    """Return the command that all of `words` make together."""
    if not words:
        return Fault(message="a command is missing", hint="say 'help' for what can be said")
    if words[:4] == ("are", "you", "still", "there?"):
        return Ping() if len(words) == 4 else _unknown(words[4], ())
    first, rest = words[0], words[1:]
    name, has_value, value = first.partition("=")
    if not has_value:
        plain = _PLAIN.get(first)
        return plain(rest) if plain else _unknown_command(first)
    valued = _VALUED.get(name)
    if valued is None:
        return _unknown_command(first)
    if not value:
        return Fault(message=f"'{name}=' needs a value")
    return valued(value, rest)


def _unknown_command(word: str) -> Fault:
    if word in _VALUED:
        return Fault(message=f"'{word}=' needs a value")
    return _unknown(word.partition("=")[0], tuple(_KNOWN), whole=word)


def _unknown(word: str, known: tuple[str, ...], whole: str = "") -> Fault:
    """A word that means nothing; nothing of its line is done."""
    import difflib  # hooks wait for what is imported

    near = difflib.get_close_matches(word[:40], known, n=1, cutoff=0.6)
    if word in ("+r", "+"):
        near = ["r+"]
    hint = f"did you mean '{near[0]}'?" if near else "say 'help' for what can be said"
    return Fault(message=f"unknown word {quote(whole or word)}", hint=hint)


# Arguments.


def _read(words: Words, aliases: Mapping[str, str]) -> Options | Fault:
    """Return the arguments `key=value` of a command by their first name; bare words have the value ``."""
    found: Options = {}
    for word in words:
        key, has_value, value = word.partition("=")
        name = aliases.get(key + "=" if has_value else key)
        if name is None and key in _KNOWN:
            return _one_a_line(word)
        if name is None:
            return _unknown(key, tuple(each.rstrip("=") for each in aliases), whole=word)
        if name in found:
            return Fault(message=f"'{name}' is said twice")
        if has_value and not value:
            return Fault(message=f"'{key}=' needs a value")
        found[name] = value if has_value else key
    return found


def _integer(name: str, text: str) -> int | Fault:
    return int(text) if _INTEGER.fullmatch(text) else Fault(message=f"'{name}={_bare(text)}' is no number")


def _bare(text: str) -> str:
    return quote(text)[1:-1]


def _mode(text: str) -> Rollup | Fault:
    """Return a mode from what follows `rollup`: a value, or the word itself."""
    if text in ("rollup", "rollup-"):
        return Rollup.ALWAYS if text == "rollup" else Rollup.MAYBE
    mode = _MODES.get(text)
    return Fault(message=f"unknown mode {quote(text)}", hint=_or(tuple(_MODES))) if mode is None else mode


def _level(words: Words) -> Level | Fault:
    if not words:
        return Level.REVIEW
    if len(words) > 1:
        return _unknown(words[1], ())
    if words[0] not in (Level.TRY, Level.REVIEW):
        return _unknown(words[0], (Level.TRY, Level.REVIEW))
    return Level(words[0])


def _or(words: tuple[str, ...]) -> str:
    return "say " + ", ".join(words[:-1]) + " or " + words[-1]


# Commands.


def _alone(command: Command) -> Callable[[Words], Result]:
    return lambda rest: _one_a_line(rest[0]) if rest else command


_APPROVAL = {
    "p=": "priority",
    "priority=": "priority",
    "rollup": "rollup",
    "rollup-": "rollup",
    "rollup=": "rollup",
    "note=": "note",
    "repair": "repair",
}


def _approve(rest: Words, by: str = "") -> Result:
    head = ""
    if rest and _HEX.fullmatch(rest[0]):
        head, rest = rest[0].lower(), rest[1:]
        if not LEAST_DIGITS <= len(head) <= 64:
            return Fault(
                message=f"{quote(head)} is no commit", hint=f"give at least {LEAST_DIGITS} digits of it"
            )
    options = _read(rest, _APPROVAL)
    if isinstance(options, Fault):
        return options
    priority = _integer("p", options["priority"]) if "priority" in options else None
    mode = _mode(options["rollup"]) if "rollup" in options else None
    if isinstance(priority, Fault):
        return priority
    if isinstance(mode, Fault):
        return mode
    note = options.get("note", "")
    return Approve(head=head, by=by, repair="repair" in options, priority=priority, rollup=mode, note=note)


def _approve_by(value: str, rest: Words) -> Result:
    names = [name.removeprefix("@") for name in value.split(",")]
    if wrong := next((name for name in names if not is_name(name)), None):
        return Fault(message=f"{quote(wrong)} is no name")
    if "" in names:
        return Fault(message="'r=' needs a name")
    return _approve(rest, "" if names == ["me"] else ",".join(names))


def _try(rest: Words) -> Result:
    if rest[:1] == ("cancel",):
        return _alone(TryCancel())(rest[1:])
    tests = dict.fromkeys(("tests=", "test=", "jobs=", "job="), "tests")
    options = _read(rest, {"parent=": "parent"} | tests)
    if isinstance(options, Fault):
        return options
    parent = options.get("parent", "")
    if parent not in ("", "last") and not _FULL.fullmatch(parent):
        return Fault(message=f"{quote(parent)} is no full commit id", hint="give all of it, or 'last'")
    names = tuple(dict.fromkeys(name for name in options.get("tests", "").split(",") if name))
    if "tests" in options and not names:
        return Fault(message="'tests=' needs a name")
    if len(names) > MOST_TESTS:
        return Fault(message=f"a try cannot name more than {MOST_TESTS} tests")
    return Try(tests=names, parent=parent.lower())


def _prioritize(value: str, rest: Words) -> Result:
    if rest:
        return _one_a_line(rest[0])
    number = _integer("p", value)
    return number if isinstance(number, Fault) else Prioritize(priority=number)


def _rollup(value: str, rest: Words) -> Result:
    mode = _mode(value)
    options = _read(rest, {"note=": "note"})
    if isinstance(mode, Fault):
        return mode
    return options if isinstance(options, Fault) else SetRollup(mode=mode, note=options.get("note", ""))


def _delegate(value: str, rest: Words) -> Result:
    to = value.removeprefix("@")
    if value in set(Level):
        return Fault(
            message=f"'delegate={value}' names nobody", hint=f"say 'delegate+ {value}' for its author"
        )
    if to and not is_name(to):
        return Fault(message=f"{quote(to)} is no name")
    level = _level(rest)
    return level if isinstance(level, Fault) else Delegate(to=to, level=level)


def _delegate_author(rest: Words) -> Result:
    return _delegate("", rest)


def _close_tree(value: str, rest: Words) -> Result:
    target = next((word[7:] for word in rest[:1] if word.startswith("target=")), "")
    number = _integer("treeclosed", value)
    if isinstance(number, Fault):
        return number
    return CloseTree(below=number, target=target, reason=_text(rest[1:] if target else rest))


def _open_tree(rest: Words) -> Result:
    options = _read(rest, {"target=": "target"})
    return options if isinstance(options, Fault) else OpenTree(target=options.get("target", ""))


def _unroll(rest: Words) -> Result:
    if len(rest) > 1:
        return _unknown(rest[1], ())
    return Unroll(run=rest[0] if rest else "")


def _text(words: Words) -> str:
    """Return what the rest of a line says; `reason=` and `note=` may begin it."""
    text = " ".join(words)
    return text.removeprefix("reason=").removeprefix("note=")


def _retarget(value: str, rest: Words) -> Result:
    return _one_a_line(rest[0]) if rest else Retarget(target=value)


def _one_a_line(word: str) -> Fault:
    name = word.partition("=")[0]
    if name in _KNOWN:
        return Fault(message=f"{quote(word)} is another command", hint="give each its own line")
    return _unknown(word, ())


def _never(message: str, hint: str) -> Callable[[Words], Result]:
    return lambda rest: Fault(message=message, hint=hint)


_SQUASH = _never("how changes become commits is for the queue's settings", "see limmat.queue.policy")


_PLAIN: dict[str, Callable[[Words], Result]] = {
    "r+": _approve,
    "approve": _approve,
    "merge": _approve,
    "r-": _alone(Unapprove()),
    "unapprove": _alone(Unapprove()),
    "merge-": _alone(Unapprove()),
    "try": _try,
    "try-": _alone(TryCancel()),
    "retry": _alone(Retry()),
    "clean": _alone(Retry()),
    "cancel": _alone(Cancel()),
    "yield": _alone(Cancel(yielding=True)),
    "rollup": lambda rest: _rollup("rollup", rest),
    "rollup-": lambda rest: _rollup("rollup-", rest),
    "unroll": _unroll,
    "delegate": _delegate_author,
    "delegate+": _delegate_author,
    "d+": _delegate_author,
    "delegate-": _alone(Undelegate()),
    "undelegate": _alone(Undelegate()),
    "d-": _alone(Undelegate()),
    "close": lambda rest: Close(reason=_text(rest)),
    "reopen": _alone(Reopen()),
    "draft": _alone(SetDraft(draft=True)),
    "draft-": _alone(SetDraft(draft=False)),
    "ready": _alone(SetDraft(draft=False)),
    "treeclosed-": _open_tree,
    "treeopen": _open_tree,
    "tree-open": _open_tree,
    "pause": lambda rest: Pause(reason=_text(rest)),
    "resume": _alone(Resume()),
    "ping": _alone(Ping()),
    "hello?": _alone(Ping()),
    "help": _alone(Help()),
    "info": _alone(Info()),
    "squash": _SQUASH,
    "squash-": _SQUASH,
    "force": _never("'force' is not needed here", "say 'yield' to the change that is being tested"),
}
_VALUED: dict[str, Callable[[str, Words], Result]] = {
    "r": _approve_by,
    "merge": _approve_by,
    "approve": _approve_by,
    "try": lambda value, rest: _try((f"tests={value}", *rest)),
    "p": _prioritize,
    "priority": _prioritize,
    "rollup": _rollup,
    "unroll": lambda value, rest: _unroll((value, *rest)),
    "delegate": _delegate,
    "d": _delegate,
    "close": lambda value, rest: Close(reason=_text((value, *rest))),
    "title": lambda value, rest: Retitle(title=" ".join((value, *rest))),
    "retitle": lambda value, rest: Retitle(title=" ".join((value, *rest))),
    "target": _retarget,
    "retarget": _retarget,
    "treeclosed": _close_tree,
    "tree-close": _close_tree,
    "comment": lambda value, rest: Comment(text=" ".join((value, *rest))),
    "pause": lambda value, rest: Pause(reason=_text((value, *rest))),
}
_KNOWN = dict.fromkeys([*_PLAIN, *_VALUED])
