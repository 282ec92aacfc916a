"""Show a run: one line a result on standard output, and on a terminal a line of progress below.

Layer: cli.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gitlimmat.cli.output import details, first_names, result_line, stdout_printer
from gitlimmat.git.revision import abbreviations, subjects
from gitlimmat.model import Commit, Outcome, counted, duration
from gitlimmat.plan.cases import Case
from gitlimmat.service.events import Ended, Event, Finished, Planned, Started, Stopping
from gitlimmat.service.project import Project
from gitlimmat.service.run import Summary

_TAIL_LINES = 20
_TAIL_BYTES = 8192
_CLEAR = "\r\x1b[K"


class Progress:
    """Turns events of a run into lines."""

    def __init__(self, project: Project, commits: Sequence[Commit]) -> None:
        ids = [commit.id for commit in commits]
        self._out = stdout_printer(project.color, project.palette)
        self._columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
        self._live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._subjects = subjects(project.repository, ids)
        self._short = abbreviations(project.repository, ids)
        self._width = max((len(test.name) for test in project.tests), default=0)
        self._cases = self._done = 0
        self._outcomes: Counter[Outcome] = Counter()
        self._running: dict[object, Case] = {}
        self._failures: list[Ended] = []

    def show(self, event: Event) -> None:
        """Print what `event` says."""
        self._wipe()
        match event:
            case Planned():
                self._cases = event.cases
                sys.stderr.write(_plan(event) if event.cases else "")
            case Started():
                self._running[event.case.key] = event.case
            case Ended():
                self._running.pop(event.case.key, None)
                self._done += 1
                self._outcomes[event.outcome] += 1
                self._show_end(event)
            case Stopping():
                sys.stderr.write(self._stopping(event))
            case Finished():
                self._live = False
        self._draw()

    def summarize(self, summary: Summary, *, dry: bool) -> None:
        """Print the last lines: counts, and how to see the output of what failed."""
        self._out.stream.flush()
        if not self._cases:
            sys.stderr.write("no commits in this range\n")
            return
        words = [
            f"{count} {outcome.value}" for outcome in Outcome if (count := summary.outcomes.get(outcome))
        ]
        if summary.unfinished:
            words.append(f"{summary.unfinished} {'to run' if dry else 'not run'}")
        known = f" ({summary.known} known)" if summary.known else ""
        time = "" if dry else f" in {duration(summary.elapsed)}"
        sys.stderr.write(f"{', '.join(words)}{known}{time}\n")
        shown = [event for event in self._failures if event.result is not None and event.result.outputs]
        if shown:
            case = shown[0].case
            sys.stderr.write(
                f"hint: git limmat show -v {self._short[case.commit.id]} {shlex.quote(case.test.name)}\n"
            )

    def _show_end(self, event: Ended) -> None:
        if event.outcome is Outcome.FAILED:
            self._failures.append(event)
        self._out.line(self._line(event))
        if not event.known:
            self._out.stream.flush()
        if event.outcome in (Outcome.FAILED, Outcome.ERRORED):
            for output in event.unsaved:
                _show_tail(output)

    def _line(self, event: Ended) -> str:
        commit = event.case.commit.id
        short = self._short[commit]
        more = details(
            event.outcome, event.reason, event.result, known=event.known, commit=commit, digits=len(short)
        )
        return result_line(
            self._out,
            short=short,
            test=event.case.test.name,
            width=self._width,
            outcome=event.outcome,
            more=more,
            subject=self._subjects[commit],
            columns=self._columns,
        )

    def _stopping(self, event: Stopping) -> str:
        why = " after the first failure" if event.after_failure else ""
        if not event.running:
            return f"stopping{why}\n"
        names = [f"{case.test.name} on {self._short[case.commit.id]}" for case in event.running]
        verb, hint = ("killing", "") if event.forced else ("stopping", " (again to kill)")
        return f"{verb} {first_names(names)}{why}{hint}\n"

    def _wipe(self) -> None:
        if self._live:
            sys.stderr.write(_CLEAR)

    def _draw(self) -> None:
        if not self._live:
            return
        failed = self._outcomes[Outcome.FAILED]
        text = f"{self._done}/{self._cases} done, {failed} failed, {len(self._running)} running"
        newest = next(reversed(self._running.values()), None)
        if newest is not None:
            text += f": {newest.test.name} on {self._short[newest.commit.id]}"
        columns = shutil.get_terminal_size().columns
        sys.stderr.write(text[: max(columns - 1, 10)])
        sys.stderr.flush()


def _plan(event: Planned) -> str:
    tests = event.cases // event.commits if event.commits else 0
    text = f"{counted(tests, 'test')} on {counted(event.commits, 'commit')}"
    return f"{text}, {event.known} of {event.cases} known\n" if event.known else f"{text}\n"


def _show_tail(output: Path | bytes) -> None:
    """Print the last lines of output that is not stored anywhere, as it is the only chance to see it."""
    if isinstance(output, Path):
        with output.open("rb") as file:
            file.seek(max(output.stat().st_size - _TAIL_BYTES, 0))
            output = file.read()
    for line in output.splitlines()[-_TAIL_LINES:]:
        sys.stderr.write(f"  | {line.decode(errors='replace')}\n")
