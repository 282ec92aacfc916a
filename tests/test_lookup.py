"""`get`, `artifacts`, `show`, `status`, `forget` and `config`, as their user sees them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from conftest import Repo

UNIT = """[[tests]]
name = "unit"
command = "echo out; echo err >&2; echo kept >$LIMMAT_ARTIFACTS/file; echo ran >>$LIMMAT_ORIGIN/ran.log"
"""


def unit(extra: str = "", command: str = "") -> str:
    """The config with one test, changed a little."""
    return UNIT.replace("echo ran", f"{command}; echo ran" if command else "echo ran") + extra


@pytest.fixture
def tested(repo: Repo) -> Repo:
    """A repository with a commit that was tested."""
    repo.config(UNIT)
    repo.commit("base")
    repo.limmat("run", "HEAD")
    return repo


def test_get_prints_a_file_that_exists(tested: Repo) -> None:
    """The path is absolute and holds both outputs in their order."""
    path = Path(tested.limmat("get", "unit", "HEAD").removesuffix("\n"))

    assert path.is_absolute()
    assert path.read_text() == "out\nerr\n"


def test_get_tells_separate_outputs_apart(repo: Repo) -> None:
    """With separate_outputs each stream has its own file, named as in Limmat."""
    repo.config(unit("separate_outputs = true\n"))
    repo.commit("base")
    repo.limmat("run", "HEAD")

    out = Path(repo.limmat("get", "unit", "HEAD").removesuffix("\n"))
    err = Path(repo.limmat("get", "unit", "HEAD", "stderr").removesuffix("\n"))

    assert (out.name, out.read_text()) == ("stdout.txt", "out\n")
    assert (err.name, err.read_text()) == ("stderr.txt", "err\n")


@pytest.mark.parametrize("command", ["get", "artifacts"])
def test_a_missing_result_exits_50_and_creates_nothing(repo: Repo, command: str) -> None:
    """Limmat's status for "no result" is kept; a lookup writes nothing."""
    repo.config(UNIT)
    repo.commit("base")

    repo.limmat(command, "unit", "HEAD", status=50)

    assert repo.git("for-each-ref", "refs/limmat") == ""
    assert not (repo.path / ".git" / "limmat").exists()


@pytest.mark.parametrize("extra", ["", 'cache = "no_caching"\n', 'cache = "by_tree"\n'])
def test_get_run_runs_the_test_if_need_be(repo: Repo, extra: str) -> None:
    """`--run` works with each cache policy; what may be reused is run once."""
    repo.config(unit(extra))
    repo.commit("base")

    first = repo.limmat("get", "--run", "unit", "HEAD")
    second = repo.limmat("get", "--run", "unit", "HEAD")

    assert Path(first.removesuffix("\n")).read_text() == "out\nerr\n"
    assert Path(second.removesuffix("\n")).exists()
    assert len(repo.lines("ran.log")) == (2 if "no_caching" in extra else 1)


def test_get_of_a_failed_test_exits_0_but_get_run_exits_1(repo: Repo) -> None:
    """A stored failure is found; with --run the outcome counts, as in Limmat."""
    repo.config(UNIT + "\n")
    repo.config(UNIT.replace('ran.log"', 'ran.log; false"'))
    repo.commit("base")

    repo.limmat("get", "--run", "unit", "HEAD", status=1)

    repo.limmat("get", "unit", "HEAD")


@pytest.mark.parametrize(
    ("command", "status"), [("true", 0), ("false", 1), ("exit 5", 77), ("exit 6", 50), ("kill -9 $$", 50)]
)
def test_get_exit_code_tells_the_outcome(repo: Repo, command: str, status: int) -> None:
    """0 passed, 1 failed, 77 skipped, 50 nothing that counts."""
    repo.config(
        f'[[tests]]\nname = "unit"\ncommand = "{command}"\nskip_exit_codes = [5]\nerror_exit_codes = [6]\n'
    )
    repo.commit("base")
    repo.limmat("run", "HEAD", status=None)

    repo.limmat("get", "--exit-code", "unit", "HEAD", status=status)


def test_artifacts_prints_a_directory_with_what_was_kept(tested: Repo) -> None:
    """The directory is made from git when asked for, and again when someone removed or changed it."""
    path = Path(tested.limmat("artifacts", "unit", "HEAD").removesuffix("\n"))
    assert (path / "file").read_text() == "kept\n"
    (path / "file").write_text("changed")

    again = Path(tested.limmat("artifacts", "unit", "HEAD").removesuffix("\n"))

    assert (again / "file").read_text() == "kept\n"


def test_status_shows_a_table_of_commits_and_tests(tested: Repo) -> None:
    """One line a commit, one column a test, `-` where nothing is known."""
    tested.commit("second")

    out = tested.limmat("status", "HEAD~1", "HEAD").splitlines()

    assert out[0].split() == ["unit"]
    assert out[1].split()[1:] == ["passed", "base"]
    assert out[2].split()[1:] == ["-", "second"]


def test_status_json_follows_its_schema(tested: Repo) -> None:
    """`--json` has the shape that `--schema` tells."""
    tested.commit("second")
    schema = json.loads(tested.limmat("status", "--schema"))

    status = json.loads(tested.limmat("status", "--json", "HEAD", "HEAD~1"))

    jsonschema.validate(status, schema)
    assert [commit["results"]["unit"] is None for commit in status["commits"]] == [True, False]
    assert status["commits"][1]["results"]["unit"]["outcome"] == "passed"


def test_status_porcelain_has_a_line_for_each_commit_and_test(tested: Repo) -> None:
    """Fields are separated by tabs: commit, test, outcome, exit status, signal, started, elapsed, tested."""
    commit = tested.git("rev-parse", "HEAD")

    fields = tested.limmat("status", "--porcelain", "HEAD").removesuffix("\n").split("\t")

    assert fields[:5] == [commit, "unit", "passed", "0", "-"]
    assert fields[7] == commit


def test_status_writes_nothing(repo: Repo) -> None:
    """Readers create nothing (DESIGN section 1, principle 6)."""
    repo.config(UNIT)
    repo.commit("base")
    before = sorted(str(path) for path in (repo.path / ".git").rglob("*"))

    repo.limmat("status", "HEAD")

    assert sorted(str(path) for path in (repo.path / ".git").rglob("*")) == before


def test_show_tells_everything_about_a_result(tested: Repo) -> None:
    """Outcome, times, host, command, output and artifacts; -vv prints the output as it was."""
    out = tested.limmat("show", "-vv", "HEAD", "unit")

    assert "unit  passed" in out
    for label in ("started:", "took:", "host:", "command:", "definition:", "output:", "artifacts:"):
        assert label in out
    assert "out\nerr\n" in out
    assert "  file\n" in out


def test_show_v_shortens_long_output(repo: Repo) -> None:
    """-v prints the first and last lines and says how many are between them."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "seq 100"\n')
    repo.commit("base")
    repo.limmat("run", "HEAD")

    out = repo.limmat("show", "-v", "HEAD", "unit")

    assert "\n5\n… 90 lines …\n96\n" in out


def test_show_says_that_a_definition_has_changed(tested: Repo) -> None:
    """A result of an older definition is shown as what it is."""
    tested.config(UNIT.replace("echo out", "echo other"))

    out = tested.limmat("show", "HEAD", "unit")

    assert "another definition" in out


def test_show_says_from_which_commit_a_result_is_known(repo: Repo) -> None:
    """After a reword the result belongs to the same tree, tested as another commit."""
    repo.config(unit('cache = "by_tree"\n'))
    old = repo.commit("base")
    repo.limmat("run", "HEAD")
    repo.reword("main", "other")

    out = repo.limmat("show", "HEAD", "unit")

    assert f"known from: {old}" in out


def test_forget_removes_results_and_their_notes(tested: Repo) -> None:
    """After `forget` the test runs again; a dry run removes nothing."""
    assert "would forget unit passed" in tested.limmat("forget", "-n", "HEAD")
    tested.limmat("get", "unit", "HEAD")

    assert "forgot unit passed" in tested.limmat("forget", "HEAD")

    tested.limmat("get", "unit", "HEAD", status=50)
    assert "unit" not in tested.git("log", "-1", "--notes=limmat")


def test_config_tells_where_each_value_comes_from(repo: Repo) -> None:
    """Option beats environment beats git config beats file beats default."""
    repo.commit("base")
    repo.config("num_worktrees = 3\n" + UNIT)

    def said(*options: str, **environment: str) -> str:
        lines = repo.limmat("config", *options, **environment).splitlines()
        return next(" ".join(line.split()) for line in lines if line.startswith("num_worktrees"))

    assert said().startswith("num_worktrees = 3 (file ")
    repo.git("config", "limmat.numWorktrees", "4")
    assert said().startswith("num_worktrees = 4 (git config limmat.numWorktrees (local")
    assert said(LIMMAT_NUM_WORKTREES="5") == "num_worktrees = 5 (environment LIMMAT_NUM_WORKTREES)"
    assert said("--num-worktrees=6", LIMMAT_NUM_WORKTREES="5") == "num_worktrees = 6 (option --num-worktrees)"


def test_all_faults_of_a_config_are_reported_at_once(repo: Repo) -> None:
    """Each fault has its place in the file; the exit status is 128."""
    repo.config('nosuch = 1\n[[tests]]\nname = "a"\n[[tests]]\nname = "b"\ncommand = 3\ndepends_on = ["c"]\n')
    repo.commit("base")

    done = repo.program("run", "HEAD")

    assert done.returncode == 128
    for place in (b"nosuch", b"tests[0]", b"tests[1].command"):
        assert place in done.stderr


def test_the_config_may_come_from_standard_input(repo: Repo) -> None:
    """`--config /dev/stdin` is read once, before any job."""
    repo.commit("base")

    repo.limmat("--config", "/dev/stdin", "run", "HEAD", stdin=UNIT)

    assert repo.lines("ran.log") == ["ran"]


def test_test_runs_in_the_user_worktree_and_prints_only_the_output(repo: Repo) -> None:
    """Uncommitted changes are included; standard output is the test's own."""
    repo.config(
        '[[tests]]\nname = "dep"\ncommand = "echo hidden; echo made >$LIMMAT_ARTIFACTS/made"\n'
        '[[tests]]\nname = "unit"\ndepends_on = ["dep"]\ncommand = "cat mine $LIMMAT_ARTIFACTS_dep/made"\n'
    )
    repo.commit("base")
    repo.write("mine", "uncommitted\n")

    assert repo.limmat("test", "unit") == "uncommitted\nmade\n"


@pytest.mark.parametrize("command", ["false", "kill -9 $$", "exit 77"])
def test_test_exits_1_unless_it_passed(repo: Repo, command: str) -> None:
    """Only a passed test exits 0."""
    repo.config(f'[[tests]]\nname = "unit"\ncommand = "{command}"\nskip_exit_codes = [77]\n')
    repo.commit("base")

    repo.limmat("test", "unit", status=1)


def test_results_in_a_database_of_their_own_leave_the_repository_alone(repo: Repo, tmp_path: Path) -> None:
    """`--result-db` keeps the truth in a bare repository there."""
    repo.config(UNIT)
    repo.commit("base")
    database = tmp_path / "results"

    repo.limmat("--result-db", str(database), "run", "HEAD")

    assert repo.git("for-each-ref", "refs/limmat") == ""
    assert "passed" in repo.limmat("--result-db", str(database), "status", "HEAD")
    assert repo.git("--git-dir", str(database), "ls-tree", "--name-only", "refs/limmat/results")


def test_global_options_work_before_and_after_the_command(tested: Repo, tmp_path: Path) -> None:
    """`-r` before or after `status` is the same."""
    before = tested.program(
        "-r", str(tested.path), "status", "HEAD", "-c", str(tested.path / "limmat.toml"), cwd=tmp_path
    )
    after = tested.program(
        "status", "HEAD", "-r", str(tested.path), "-c", str(tested.path / "limmat.toml"), cwd=tmp_path
    )

    assert before.returncode == after.returncode == 0
    assert before.stdout == after.stdout
    assert b"passed" in before.stdout


def test_results_of_exec_are_found_without_a_config(repo: Repo) -> None:
    """After `run -x` every command that reads results works with the name it printed."""
    repo.commit("base")
    repo.limmat("run", "-x", "echo out", "HEAD")

    assert "passed" in repo.limmat("status", "HEAD")
    assert "echo out" in repo.limmat("show", "HEAD")
    assert Path(repo.limmat("get", "echo-out", "HEAD").removesuffix("\n")).read_text() == "out\n"
    repo.limmat("artifacts", "echo-out", "HEAD")


@pytest.mark.parametrize("command", [["gc"], ["forget", "HEAD"]])
def test_a_broken_config_is_not_in_the_way_of_cleaning_up(tested: Repo, command: list[str]) -> None:
    """What needs no tests reads no config."""
    tested.config("broken")

    tested.limmat(*command)


def test_a_config_without_tests_can_be_looked_at_but_not_run(repo: Repo) -> None:
    """`config` shows what there is; `run` says what is missing."""
    repo.commit("base")
    repo.config('resources = ["port"]\n')

    assert "resource 'port': port-0" in repo.limmat("config")
    assert b"no tests in" in repo.program("run", "HEAD").stderr


def test_a_test_can_be_looked_at_without_what_it_depends_on(repo: Repo) -> None:
    """`--tests` of a reader selects columns; nothing has to run."""
    repo.config(UNIT + '[[tests]]\nname = "use"\ndepends_on = ["unit"]\ncommand = "true"\n')
    repo.commit("base")
    repo.limmat("run", "HEAD")

    assert repo.limmat("status", "--tests", "use", "HEAD").splitlines()[0].split() == ["use"]
