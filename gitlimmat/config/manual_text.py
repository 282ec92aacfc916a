"""The parts of limmat.toml(5) that are not made from the tables.

Layer:  pure. Imports nothing of ours.

Words between backquotes are literal.
"""

from __future__ import annotations

DESCRIPTION = (
    "The file `limmat.toml` says which tests `git limmat` runs on a commit. It is TOML 1.1 in UTF-8. A "
    "key that is not listed here is an error, and so is a value that cannot work; all errors of a file "
    "are reported at once, each with its place, such as `tests[2].depends_on[0]` (the first test is "
    "`tests[0]`).",
    "The file is looked for in this order: the option `--config`, the environment variable "
    "`LIMMAT_CONFIG` unless it is empty, the git setting `limmat.config`, then `limmat.toml` and "
    "`.limmat.toml` in the current directory and at the top of the worktree. It is read once, so "
    "`/dev/stdin` will do.",
    "A file written for Limmat is understood without change. The keys `shell`, `timeout_s`, "
    "`skip_exit_codes`, `priority` and `inputs` are additions. `git limmat config --schema` prints a JSON "
    "Schema for editors, `git limmat config` what is in effect.",
)

RESOURCES = (
    "A resource is a pool of tokens that jobs share: boards, licenses, ports, or just leave to use much "
    "memory. A job that needs tokens waits until it can have all of them, and holds up nobody else "
    "meanwhile. Each process has its own pool, unless `limmat.sharedResource` names the resource. A resource "
    "is written as its name, which makes one token, or as a table with these keys, "
    "exactly one of `count` and `tokens` being given:",
)

JOB = (
    "A job inherits the environment of `git limmat`, without the variables by which git would find "
    "another repository. Its standard input is `/dev/null`. It is the leader of a process group of its "
    "own, and when it ends all its processes are ended. All paths are absolute. These variables are set:",
)

JOB_VARIABLES = (
    ("LIMMAT_COMMIT", "Full id of the commit under test."),
    ("LIMMAT_TEST", "Name of the test."),
    ("LIMMAT_JOB", "Tells the processes of this job from all others; they are ended with it."),
    (
        "LIMMAT_ORIGIN",
        "The worktree you are in, or the repository itself when it has none. The job itself runs "
        "elsewhere, unless `requires_worktree` is false.",
    ),
    ("LIMMAT_CONFIG", "The config file; not set for a command given by `--exec`."),
    ("LIMMAT_ARTIFACTS", "An empty directory. Files left there are kept with the result."),
    (
        "LIMMAT_ARTIFACTS_NAME",
        "For each name in `depends_on`, the artifacts that this test has left on the same commit. Not to "
        "be written to.",
    ),
    ("LIMMAT_RESOURCE_NAME_0", "The first token held of a resource; the others follow with `_1` and so on."),
    ("LIMMAT_RESOURCE_NAME", "The token, when exactly one of this resource is held."),
    ("LIMMAT_SLOT", "Number of the worktree. No two jobs that run at the same time have the same."),
    (
        "LIMMAT_PREVIOUS_COMMIT",
        "The commit that was checked out in this worktree before; not set in a new one.",
    ),
)

JOB_NAMES = (
    "When a name of a test or a resource has a character that is neither an ASCII letter or digit nor "
    "`_`, the variable is also set under the name with `_` in place of each such character, unless this "
    "would be the name of another one too.",
)

OUTCOMES = (
    ("passed", "The command exited with 0."),
    ("failed", "It exited with a code that is not listed in one of the keys below."),
    (
        "skipped",
        "It exited with a code in `skip_exit_codes`, or a test that it depends on was skipped. Not a "
        "failure.",
    ),
    (
        "errored",
        "It exited with a code in `error_exit_codes`, could not be started, was ended by a signal, ran "
        "longer than `timeout_s`, or a test that it depends on did not pass.",
    ),
    ("cancelled", "It was stopped because nobody wanted to know any more."),
)

REUSE = (
    "Passed, failed and skipped are verdicts, which are used again. Errored and cancelled are kept to be "
    "seen, and the test is run again the next time. A shell reports a signal that ended one of its "
    "commands as code 128 plus the number of the signal; that is a code like others.",
)

VALIDITY = (
    "A result is used again for the same commit or tree (see `cache`) as long as the definition of the "
    "test is the same. These keys are part of the definition, their order and whether a default is "
    "spelled out are not:",
    "Of `inputs` the paths and contents of the files count; of `depends_on` the definitions of these "
    "tests, and of those that they depend on; `shell` counts only when the command is a string. The other "
    "keys of a test change when and where it runs but not what comes out, and results stay valid when "
    "they change:",
    "Nothing else counts: not the tokens of resources, the environment, the versions of tools, and files "
    "outside the commit that are not declared in `inputs`.",
)

SETTINGS = (
    "What belongs to a host rather than to a project comes from git's configuration. The first of these "
    "that says something counts: option, environment variable, git config, this file, default. Numbers "
    "may end in `k`, `m` or `g`; relative paths in git config start at the top of the worktree.",
)

EXAMPLES = (
    (
        "A build, and tests that use what it left:",
        """\
num_worktrees = 4

[[tests]]
name = "build"
command = "make -j4 && cp app $LIMMAT_ARTIFACTS/"
cache = "by_tree"

[[tests]]
name = "unit"
command = ["./run-tests", "--quick"]
depends_on = ["build"]
timeout_s = 300
""",
    ),
    (
        "Two boards, one of which is taken by each job; exit code 50 says that the board did not answer:",
        """\
resources = [
    "license",
    { name = "memory", count = 8 },
    { name = "board", tokens = ["10.0.0.7", "10.0.0.8"] },
]

[[tests]]
name = "boot"
command = "flash $LIMMAT_RESOURCE_board && boot-test"
resources = ["board", { name = "memory", count = 2 }]
error_exit_codes = [50]
separate_outputs = true
shutdown_grace_period_s = 10
""",
    ),
    (
        "A check that reads the message, wants no worktree, does not apply to merges, and depends on its "
        "own rules:",
        """\
[[tests]]
name = "message"
command = '''
cd "$LIMMAT_ORIGIN"
git rev-parse -q --verify "$LIMMAT_COMMIT^2" && exit 77
git log -1 --format=%B "$LIMMAT_COMMIT" | ./check-message
'''
shell = ["sh", "-e", "-c"]
requires_worktree = false
skip_exit_codes = [77]
inputs = ["check-message", "rules/**/*.txt"]
priority = 10

[[tests]]
name = "bench"
command = "./bench"
cache = "no_caching"
run_by_default = false
""",
    ),
)
