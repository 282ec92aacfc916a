"""The text of the `limmat.toml` that is proposed to the user.

Layer: service.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from gitlimmat.config.parse import parse
from gitlimmat.service.init_tests import Proposal

_WIDTH = 92
_POOL = "all_processors"

_HEAD = """\
# The tests that git limmat runs on each commit, proposed by 'git limmat init'.
# Change whatever is not right: each [[tests]] table is a command and what git limmat knows about it.
# 'git limmat run' tries it out on your commits. All keys are explained in limmat.toml(5).
"""
_POOL_TEXT = f"""
# Tests that use all processors take one of these tokens, so that no more than two run at once.
[[resources]]
name = "{_POOL}"
count = 2
"""
_MORE = """
# More that can be said about a test:
#   resources = ["database"]     things that only one job at a time may use, to be named above
#   requires_worktree = false    looks at the commit without having it checked out: LIMMAT_COMMIT
#   skip_exit_codes = [77]       exit codes that say that the test does not apply to the commit
#   separate_outputs = true      keeps standard output and standard error apart
#   inputs = ["../config/*"]     files outside the commit that decide about the result
"""
_NOTHING = """
# Nothing was recognized here, so this is only an example: it tests nothing, and exits with a code
# that means 'skipped'. Put the command in that tests your project, such as 'make check', and remove
# skip_exit_codes.
[[tests]]
name = "test"
command = "echo 'limmat.toml does not yet say how to test this project'; exit 77"
skip_exit_codes = [77]
cache = "by_tree"
timeout_s = 1800
"""


def proposed_config(proposals: Sequence[Proposal]) -> bytes:
    """Return a commented config file, which can be read by this version.

    Raises: ConfigError never; anything else would be a bug, and it is parsed to find out.
    """
    parts = [_HEAD]
    if any(each.alone for each in proposals):
        parts.append(_POOL_TEXT)
    names = _names(proposals)
    builds = {each.tool: names[index] for index, each in enumerate(proposals) if each.name == "build"}
    for index, each in enumerate(proposals):
        parts.append(_table(each, names[index], builds.get(each.tool), first=index == 0))
    parts.append(_MORE if proposals else _NOTHING + _MORE)
    text = "".join(parts).encode()
    parse(text, source="limmat.toml")
    return text


def _names(proposals: Sequence[Proposal]) -> list[str]:
    """Return a name for each test: a plain one where only one tool has it."""
    plain = [each.name for each in proposals]
    several = len({each.tool for each in proposals}) > 1
    return [
        f"{each.tool}-{each.name}" if several else name for each, name in zip(proposals, plain, strict=True)
    ]


def _table(proposal: Proposal, name: str, build: str | None, *, first: bool) -> str:
    lines = [""]
    if proposal.why:
        lines += [f"# {line}" for line in textwrap.wrap(proposal.why, _WIDTH)]
    if proposal.optional:
        lines.append("# Seems to do what the tests above do, so it runs only if '--tests' names it.")
    lines += ["[[tests]]", f"name = {_string(name)}", f"command = {_string(proposal.command)}"]
    note = "  # commits with the same files share a result" if first else ""
    lines.append(f'cache = "by_tree"{note}')
    if proposal.depends and build is not None and not proposal.optional:
        lines.append(f"depends_on = [{_string(build)}]{'  # not run where that fails'}")
    if proposal.alone:
        lines.append(f"resources = [{_string(_POOL)}]")
    note = "  # a program is missing: no fault of the commit" if first else ""
    lines.append(f"error_exit_codes = [127]{note}")
    if proposal.skip:
        codes = ", ".join(map(str, proposal.skip))
        lines.append(f"skip_exit_codes = [{codes}]  # no tests in this commit")
    if proposal.optional:
        lines.append("run_by_default = false")
    lines.append(f"timeout_s = {proposal.timeout * 60}")
    return "".join(f"{line}\n" for line in lines)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
