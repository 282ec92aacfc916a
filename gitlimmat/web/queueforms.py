"""The buttons of a queue's pages: who presses them, and what that does.

Layer: web.

Nobody has a right here without a login that the server vouches for: a web server before these pages that has
asked for a password says in `limmat.queue.proxyHeader` who someone is. Anyone else on the machine could send
that header too, so it counts only beside a secret that this web server and the queue alone can read.
"""

from __future__ import annotations

import asyncio
import hmac
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from aiohttp import web

from gitlimmat.errors import LimmatError
from gitlimmat.queue.auth import ANYONE, Allowed, Principal, authorize_command
from gitlimmat.queue.events import QUEUE, Rollup
from gitlimmat.queue.quoting import is_name
from gitlimmat.queue.requests import (
    Approve,
    Cancel,
    Command,
    Prioritize,
    Retry,
    SetRollup,
    Try,
    TryCancel,
    Unapprove,
)
from gitlimmat.queue.rules import Identity, Rules
from gitlimmat.queue.state import Change, Forge
from gitlimmat.service.queue.session import submit
from gitlimmat.web.forms import read_form
from gitlimmat.web.guard import Guard, RefusedError
from gitlimmat.web.queueview import QueueView
from gitlimmat.web.queuewords import visible_lines

SECRET_HEADER = "X-Limmat-Proxy-Secret"  # noqa: S105 - the name of it
_SHORTEST = 16
_LONGEST_NAME = 200
_READ_ONLY = RefusedError(
    405, "These pages can only be looked at.", "Use git push or git limmat queue, or log in."
)


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A web server before these pages: the header it names people in, and what it knows."""

    header: str
    secret: bytes

    def __repr__(self) -> str:
        """Return what may stand in a log."""
        return f"Proxy(header={self.header!r})"

    def visitor(self, request: web.BaseRequest) -> Principal | None:
        """Return who asks; None for someone whom the web server has not named, or when it was not it.

        What is said twice counts as said by nobody: one of the two may be the visitor's own.
        """
        secrets = request.headers.getall(SECRET_HEADER, [])
        names = request.headers.getall(self.header, [])
        if len(secrets) != 1 or len(names) != 1:
            return None
        given = secrets[0].encode(errors="surrogateescape")
        if not hmac.compare_digest(given, self.secret):
            return None
        name = names[0].strip()
        if not is_name(name) or len(name) > _LONGEST_NAME or name in (QUEUE, ANYONE):
            return None
        return Principal(name=name)


def read_proxy(rules: Rules) -> Proxy | None:
    """Return the web server that the rules trust; None when people cannot log in here.

    Raises: LimmatError when it is set up in a way that lets others be anyone.
    """
    if not rules.proxy_header and not rules.proxy_secret_file:
        return None
    if rules.identity is not Identity.HTTP:
        raise LimmatError(
            "cannot let a web server say who someone is: 'limmat.queue.identity' is not http",
            hint="set it, or remove 'limmat.queue.proxyHeader'",
        )
    if not rules.proxy_header or not rules.proxy_secret_file:
        missing = "proxySecretFile" if rules.proxy_header else "proxyHeader"
        raise LimmatError(
            f"cannot let a web server say who someone is: 'limmat.queue.{missing}' is missing",
            hint="see PAGES in git-limmat-queue(1)",
        )
    return Proxy(header=rules.proxy_header, secret=_secret(Path(rules.proxy_secret_file)))


def _secret(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        text = path.read_bytes().strip()
    except OSError as error:
        raise LimmatError(f"cannot read '{path}': {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o007:
        raise LimmatError(
            f"cannot use '{path}': everybody on this machine can read it", hint=f"chmod o= '{path}'"
        )
    if len(text) < _SHORTEST:
        raise LimmatError(
            f"cannot use '{path}': its secret has fewer than {_SHORTEST} characters",
            hint=f"openssl rand -hex 32 >'{path}'",
        )
    return text


class Button(msgspec.Struct, frozen=True, kw_only=True):
    """A button as the page of a change has it. `field` is what it asks for beside being pressed."""

    action: str
    label: str
    field: str = ""
    value: str = ""
    choices: tuple[str, ...] = ()


def buttons(change: Change, visitor: Principal, rules: Rules) -> list[Button]:
    """Return what a visitor may do with a change as it is; that is asked again when a button is pressed."""
    return [
        each
        for each in _sensible(change)
        if isinstance(authorize_command(visitor, _ASKED[each.action], change, rules), Allowed)
    ]


def _sensible(change: Change) -> list[Button]:
    """Return what can be done with a change, by those who may."""
    if change.forge is not Forge.OPEN:
        return []
    auto, tried = change.auto, change.last_try
    found = []
    if not change.is_draft and not change.is_approved:
        found.append(Button(action="approve", label="Approve"))
    if change.approval is not None:
        found.append(Button(action="unapprove", label="Take approval back"))
    if auto is not None and auto.is_open:
        found += [
            Button(action="cancel", label="Cancel"),
            Button(action="yield", label="Let others go first"),
        ]
    over = [run for run in (auto, tried) if run is not None and not run.is_open]
    if over:
        found.append(Button(action="retry", label="Retry"))
    if tried is not None and tried.is_open:
        found.append(Button(action="try-cancel", label="Cancel try"))
    else:
        found.append(Button(action="try", label="Try", field="tests"))
    found.append(Button(action="priority", label="Set", field="priority", value=str(change.priority)))
    found.append(
        Button(action="rollup", label="Set", field="rollup", value=change.rollup.value, choices=tuple(Rollup))
    )
    return found


_Form = Mapping[str, str]


def _priority(form: _Form) -> Command:
    try:
        return Prioritize(priority=int(form.get("priority", "")))
    except ValueError as error:
        raise RefusedError(400, "A priority is a whole number.") from error


def _rollup(form: _Form) -> Command:
    try:
        return SetRollup(mode=Rollup(form.get("rollup", "")), note=form.get("note", ""))
    except ValueError as error:
        raise RefusedError(400, "There is no such rollup mode.") from error


def _approve(form: _Form) -> Command:
    if len(form.get("head", "")) != 40:  # never of a head that the page did not show
        raise RefusedError(400, "This form is incomplete.")
    return Approve(head=form["head"])


_COMMANDS: Mapping[str, Callable[[_Form], Command]] = {
    "approve": _approve,
    "unapprove": lambda form: Unapprove(),
    "retry": lambda form: Retry(),
    "cancel": lambda form: Cancel(),
    "yield": lambda form: Cancel(yielding=True),
    "try": lambda form: Try(tests=tuple(form.get("tests", "").replace(",", " ").split())),
    "try-cancel": lambda form: TryCancel(),
    "priority": _priority,
    "rollup": _rollup,
}


_ASKED: Mapping[str, Command] = {
    "approve": Approve(),
    "unapprove": Unapprove(),
    "retry": Retry(),
    "cancel": Cancel(),
    "yield": Cancel(yielding=True),
    "try": Try(),
    "try-cancel": TryCancel(),
    "priority": Prioritize(priority=0),
    "rollup": SetRollup(mode=Rollup.MAYBE),
}
"""What each button asks for, to find out who may."""


async def press(
    view: QueueView, number: int, request: web.BaseRequest, guard: Guard, proxy: Proxy | None
) -> None:
    """Do what a button says.

    Raises: RefusedError when it is not one of our buttons, nobody is logged in, or he may not.
    """
    form = await read_form(request)
    principal = proxy.visitor(request) if proxy is not None else None
    if principal is None:
        raise _READ_ONLY
    guard.check_form(request, form.get("secret"), principal.name)
    make = _COMMANDS.get(form.get("action", ""))
    if make is None:
        raise RefusedError(400, "There is no such button.")
    command = make(form)
    async with view.held(to_write=True) as session:
        answer = await asyncio.to_thread(submit, session, number, command, principal, via="web")
    if answer.is_refused:
        raise RefusedError(409, visible_lines(answer.reply))
