"""Check from git alone that nothing reached a target of a queue untested, unapproved or twice.

Shares no code with the queue, on purpose: it calls plain git, reads JSON and TOML, and believes nobody.
Run as a program: `queue_audit.py REPOSITORY TARGET [START]`; it prints what is wrong and exits 1, or how much
it has looked at.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]
QUEUE = "limmat"
EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
AUTO_END = {"cancel-requested", "retry-requested", "run-ended"}


@dataclass
class Member:
    """What a timeline said of its change at one moment."""

    head: str = ""
    target: str = ""
    approved: str = ""
    is_open: bool = False
    is_draft: bool = False
    is_opened: bool = False

    def allows(self, head: str, target: str) -> bool:
        """Whether it may land now, with that head."""
        wanted = (head, head, target, True, False)
        return (self.head, self.approved, self.target, self.is_open, self.is_draft) == wanted

    def step(self, event: Event) -> None:
        """Take note of an event."""
        kind = event["type"]
        if not self.is_opened:
            if kind == "opened":
                self.head, self.target = event["head"], event["target"]
                self.is_draft = event.get("draft", False)
                self.is_open = self.is_opened = True
            return
        match kind:
            case "head-moved" if event["new"] != self.head:
                self.head, self.approved = event["new"], ""
            case "target-changed":
                self.target, self.approved = event["target"], ""
            case "draft-set":
                self.is_draft = event["draft"]
                self.approved = "" if self.is_draft else self.approved
            case "closed" if self.is_open:
                self.is_open, self.approved = False, ""
            case "reopened":
                self.is_open = True
            case "approved" if event["head"] == self.head and self.is_open and not self.is_draft:
                self.approved = event["head"]
            case "unapproved":
                self.approved = ""


@dataclass
class Timeline:
    """One chain of commits: their ids, oldest first, and all events."""

    name: str
    commits: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def of_run(self, run: str, *kinds: str) -> list[Event]:
        """Return events of some kinds that name a run, oldest first."""
        return [each for each in self.events if each.get("run") == run and each["type"] in kinds]


class Audit:
    """All that is wrong is in `faults`; `landed` has the runs that brought the target where it is, in order.

    Where `may_be_late`, a queue was killed at some time: it may have told only later that a change landed.
    """

    def __init__(self, repository: Path, target: str, *, may_be_late: bool = False) -> None:
        self.repository = repository
        self.target = target
        self.may_be_late = may_be_late
        self.faults: list[str] = []
        self.landed: list[str] = []
        self.timelines: dict[int, Timeline] = {}
        self._trees: dict[str, Mapping[str, Any] | None] = {}

    def check(self, start: str, observed: Iterable[Mapping[str, str]] = ()) -> list[str]:
        """Check everything since the target was at `start`, and return what is wrong.

        `observed` are the refs of the queue as they were at some moments: all must still be part of it.
        """
        refs = self._refs()
        for name, tip in refs.items():
            if name.startswith("refs/limmat/queue/changes/") and name.endswith("/meta"):
                self.timelines[int(name.split("/")[4])] = self._read(name, tip)
        if "refs/limmat/queue/tree/meta" in refs:
            self._read("refs/limmat/queue/tree/meta", refs["refs/limmat/queue/tree/meta"])
        for moment in observed:
            self._check_kept(refs, moment)
        self._check_heads(refs)
        runs = self._runs()
        self._check_runs(runs, refs)
        self._check_target(start, runs)
        self._check_said()
        broken = self._git("fsck", "--connectivity-only", "--no-dangling", check=False)
        self._expect(not broken.strip(), f"git fsck says: {broken.strip()[:200]}")
        return self.faults

    def expect_events(self, wanted: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """Check that events which someone was told are stored are there, by some fields, in order."""
        places: dict[int, int] = {}
        for number, fields in wanted:
            events = self.timelines[number].events if number in self.timelines else []
            place = places.get(number, 0)
            while place < len(events) and not fields.items() <= events[place].items():
                place += 1
            self._expect(place < len(events), f"change {number} has lost {dict(fields)}")
            places[number] = place + 1

    def _expect(self, fact: object, fault: str) -> bool:
        if not fact:
            self.faults.append(fault)
        return bool(fact)

    # Reading.

    def _git(self, *words: str, check: bool = True) -> str:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", "--no-replace-objects", "-C", str(self.repository), *words],
            env=environment | {"LIMMAT_OWN": "1", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"git {words}: {done.stderr.decode(errors='replace')}")
        said = done.stdout if done.returncode == 0 or check else done.stdout + done.stderr
        return said.decode(errors="surrogateescape")

    def _refs(self) -> dict[str, str]:
        listed = self._git("for-each-ref", "--format=%(refname) %(objectname)", "refs/limmat/queue")
        return {name: oid for name, _, oid in (line.partition(" ") for line in listed.splitlines())}

    def _read(self, name: str, tip: str) -> Timeline:
        """Return a timeline, which is a chain without branches, each commit with events and no files."""
        found = Timeline(name)
        said = self._git("log", "--reverse", "--topo-order", "-z", "--format=%H %T %P%n%B", tip)
        before = ""
        for text in said.rstrip("\0").split("\0"):
            about, _, message = text.partition("\n")
            oid, tree, *parents = about.split()
            self._expect(parents == ([before] if before else []), f"{name}: {oid} is not next to {before}")
            self._expect(tree == EMPTY, f"{name}: {oid} has files")
            before = oid
            found.commits.append(oid)
            lines = message.partition("\n\n")[2].split("\n")  # JSON may have other line breaks in it
            events = [self._parsed(name, line) for line in lines if line]
            self._expect(events, f"{name}: {oid} has no events")
            found.events += [each for each in events if each is not None]
        return found

    def _parsed(self, name: str, line: str) -> Event | None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        whole = isinstance(event, dict) and all(each in event for each in ("type", "actor", "at"))
        return event if self._expect(whole, f"{name}: no event: {line[:80]}") else None

    # What is kept.

    def _check_kept(self, refs: Mapping[str, str], moment: Mapping[str, str]) -> None:
        """Timelines only get longer, and heads stay."""
        for name, oid in moment.items():
            if name.endswith("/meta"):
                if "/changes/" not in name:
                    continue
                timeline = self.timelines.get(int(name.split("/")[4]))
                kept = timeline is not None and oid in timeline.commits
                self._expect(kept, f"{name} was at {oid[:12]} and has lost it")
            elif "/heads/" in name:
                self._expect(refs.get(name) == oid, f"{name} was {oid[:12]} and is {refs.get(name)}")

    def _check_heads(self, refs: Mapping[str, str]) -> None:
        """Every head that was ever pushed is kept by a ref."""
        for number, timeline in self.timelines.items():
            below = f"refs/limmat/queue/changes/{number}/heads/"
            kept = {oid for name, oid in refs.items() if name.startswith(below)}
            said = {each["head"] for each in timeline.events if each["type"] == "opened"}
            said |= {each["new"] for each in timeline.events if each["type"] == "head-moved"}
            self._expect(said <= kept, f"change {number}: no ref keeps {sorted(said - kept)}")
            first = timeline.events[0]["type"] if timeline.events else ""
            self._expect(first == "opened", f"change {number} begins with {first!r}")

    # Runs.

    def _runs(self) -> dict[str, Event]:
        """Return how each run started, which all its members tell alike."""
        runs: dict[str, Event] = {}
        for number, timeline in self.timelines.items():
            for event in timeline.events:
                if event["type"] != "run-started":
                    continue
                self._expect(event["actor"] == QUEUE, f"run {event['run']} was started by {event['actor']}")
                first = runs.setdefault(event["run"], event)
                self._expect(first == event, f"run {event['run']} is told in two ways")
                told = [each["change"] for each in event["members"]]
                self._expect(number in told, f"run {event['run']} is told in change {number} of others")
                again = len(timeline.of_run(event["run"], "run-started"))
                self._expect(again == 1, f"run {event['run']} has started {again} times in change {number}")
        return runs

    def _check_runs(self, runs: Mapping[str, Event], refs: Mapping[str, str]) -> None:
        for run, started in runs.items():
            name = f"refs/limmat/queue/runs/{run}"
            self._expect(refs.get(name, started["merge"]) == started["merge"], f"{name} is another merge")
            for member in started["members"]:
                timeline = self.timelines.get(member["change"])
                told = timeline is not None and timeline.of_run(run, "run-started")
                self._expect(told, f"run {run} is not told in its member {member['change']}")

    def open_runs(self) -> list[str]:
        """Return the runs that some timeline has no end of."""
        return sorted(
            {
                event["run"]
                for timeline in self.timelines.values()
                for event in timeline.events
                if event["type"] == "run-started" and not timeline.of_run(event["run"], *AUTO_END)
            }
        )

    # The target.

    def _check_target(self, start: str, runs: Mapping[str, Event]) -> None:
        """Go along the target: each step is a run that has landed, from one commit of it to a later one."""
        tip = self._git("rev-parse", self.target).strip()
        steps = self._git("rev-list", "--first-parent", "--reverse", f"{start}..{tip}").split()
        landings = {
            (event["old"], event["new"]): event["run"]
            for timeline in self.timelines.values()
            for event in timeline.events
            if event["type"] == "landed" and event["run"] and event["target"] == self.target
        }
        at, heads = start, set[tuple[int, str]]()
        while steps:
            found = next((each for each in steps if (at, each) in landings), None)
            if found is None:
                self.faults.append(f"nothing says how {steps[0]} came to the target after {at}")
                return
            passed, steps = steps[: steps.index(found) + 1], steps[steps.index(found) + 1 :]
            run = landings[at, found]
            self.landed.append(run)
            self._check_landing(run, runs.get(run), at, passed)
            for member in runs.get(run, {}).get("members", ()):
                key = member["change"], member["head"]
                self._expect(key not in heads, f"change {key[0]} has landed twice")
                heads.add(key)
            at = found

    def _check_landing(self, run: str, started: Event | None, old: str, passed: Sequence[str]) -> None:
        if not self._expect(started is not None, f"run {run} has landed and never started"):
            return
        assert started is not None
        new = passed[-1]
        said = (started["kind"], started["target"], started["base"], started["merge"])
        self._expect(said == ("auto", self.target, old, new), f"run {run} is not what has landed: {said}")
        self._check_shape(run, started, old, passed)
        tests = self._tests(run, new if started.get("repair") else old)
        if not started.get("repair"):
            self._expect(tests, f"run {run}: no tests at {old}")
        for member in started["members"]:
            timeline = self.timelines.get(member["change"])
            if timeline is not None:
                self._check_member(timeline, started, member["head"], tests)

    def _check_shape(self, run: str, started: Event, old: str, passed: Sequence[str]) -> None:
        """Check that what landed is made of the old tip and the approved heads, and of nothing else."""
        new, policy = passed[-1], started.get("policy", "merge")
        heads = [member["head"] for member in started["members"]]
        parents = self._git("rev-list", "--parents", "-1", new).split()[1:]
        if policy == "merge":
            self._expect(parents == [old, *heads], f"run {run}: {new} merges {parents}, not {heads}")
            self._expect(list(passed) == [new], f"run {run} brought more than a merge: {passed}")
        elif policy == "autosquash":
            folded = len(parents) == 2 and parents[0] == old
            self._expect(folded, f"run {run}: {new} does not merge one head into {old}")
            if folded:
                trees = [self._git("rev-parse", f"{each}^{{tree}}") for each in (parents[1], heads[0])]
                self._expect(trees[0] == trees[1], f"run {run}: what was folded is not what was approved")
        elif policy == "squash":
            self._expect(parents == [old], f"run {run}: {new} is no single commit")
        if len(heads) == 1 and policy != "linear":
            merged = self._git("merge-tree", "--write-tree", old, heads[0], check=False)[:40]
            tree = self._git("rev-parse", f"{new}^{{tree}}").strip()
            self._expect(merged == tree, f"run {run}: {new} is not what git merges")

    def _tests(self, run: str, commit: str) -> set[str]:
        """Return the tests that a commit says run by default, and all these depend on."""
        text = self._git("show", f"{commit}:limmat.toml", check=False)
        try:
            tests = {each["name"]: each for each in tomllib.loads(text).get("tests", ())}
        except ValueError:
            self.faults.append(f"run {run}: {commit} has no tests")
            return set()
        wanted = {name for name, each in tests.items() if each.get("run_by_default", True)}
        waiting = list(wanted)
        while waiting:
            for name in tests[waiting.pop()].get("depends_on", ()):
                if name not in wanted:
                    wanted.add(name)
                    waiting.append(name)
        return wanted

    def _check_member(self, timeline: Timeline, started: Event, head: str, tests: set[str]) -> None:
        """Check that one member was approved and tested when it landed."""
        run, new, name = started["run"], started["merge"], timeline.name
        ends = timeline.of_run(run, *AUTO_END)
        passed = ends and (ends[0]["type"], ends[0].get("outcome")) == ("run-ended", "passed")
        self._expect(passed, f"{name}: run {run} has landed and its end is {ends[:1]}")
        late = any(each.get("outcome") == "superseded" for each in ends)
        self._expect(not late, f"{name}: run {run} has landed though it was superseded")
        jobs = timeline.of_run(run, "job-ended")
        fine = {each["test"] for each in jobs if (each["commit"], each["outcome"]) == (new, "passed")}
        self._expect(tests <= fine, f"{name}: run {run} lacks {sorted(tests - fine)} on {new}")
        self._expect(
            all(each["actor"] == QUEUE for each in (*jobs, *ends[:1])), f"{name}: run {run} is forged"
        )
        landed = [each for each in timeline.events if each["type"] == "landed"]
        self._expect(len(landed) == 1 and landed[0]["run"] == run, f"{name} has landed by {landed}")
        wanted = (QUEUE, started["base"], new)
        for each in landed:
            self._expect(
                (each["actor"], each["old"], each["new"]) == wanted, f"{name}: {each} is not the run"
            )
        self._expect(
            any(member.allows(head, self.target) for member in self._while_landing(timeline, run)),
            f"{name}: {head} was not approved when run {run} landed",
        )

    def _while_landing(self, timeline: Timeline, run: str) -> Iterator[Member]:
        """Yield the change as it was when it landed; if that was told late, at each moment it may have."""
        member = Member()
        has_passed = False
        for event in timeline.events:
            if event["type"] == "landed":
                yield member
                return
            if self.may_be_late and has_passed:
                yield member
            member.step(event)
            has_passed = has_passed or (event["type"] == "run-ended" and event.get("run") == run)

    def _check_said(self) -> None:
        """What a timeline says has landed is on the target."""
        own = set(self._git("rev-list", "--first-parent", self.target).split())
        everything = set(self._git("rev-list", self.target).split())
        for timeline in self.timelines.values():
            for event in timeline.events:
                if event["type"] != "landed" or event["target"] != self.target:
                    continue
                there = own if event["run"] else everything
                self._expect(event["new"] in there, f"{timeline.name}: {event['new']} is not on the target")
                if event.get("came_with"):
                    self._check_came(timeline, event["came_with"])

    def _check_came(self, timeline: Timeline, run: str) -> None:
        """The run that is said to have brought a head has it, and its base has not; it has landed."""
        told = [each for other in self.timelines.values() for each in other.of_run(run, "run-started")]
        moves = [each for each in timeline.events if each["type"] in ("opened", "head-moved")]
        head = moves[-1].get("new") or moves[-1]["head"]
        brought = told and self._git("rev-list", told[0]["merge"], f"^{told[0]['base']}").split()
        self._expect(brought and head in brought, f"{timeline.name}: run {run} has not brought {head}")
        landed = any(other.of_run(run, "landed") for other in self.timelines.values())
        self._expect(landed, f"{timeline.name}: run {run} has not landed")


def main(repository: str, target: str, start: str = "") -> int:
    """Print what is wrong with a queue."""
    audit = Audit(Path(repository), target, may_be_late=True)
    if not start:
        listed = subprocess.run(
            ["git", "-C", repository, "rev-list", "--max-parents=0", "--first-parent", target],
            capture_output=True, check=True, text=True,
        )  # fmt: skip
        start = listed.stdout.split()[0]
    for fault in audit.check(start):
        print(fault)
    if not audit.faults:
        print(f"{len(audit.timelines)} changes, {len(audit.landed)} landings: nothing is wrong")
    return 1 if audit.faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
