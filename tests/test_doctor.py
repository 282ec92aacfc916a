"""`git limmat doctor`: it names what is broken, mends what it may, and leaves all else alone."""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Repo
from waiting import is_alive, wait_for_file, wait_until

from gitlimmat.service.logfile import Log

CONFIG = """
[[tests]]
name = "unit"
command = "echo unit; mkdir $LIMMAT_ARTIFACTS/deep; echo kept >$LIMMAT_ARTIFACTS/deep/file"

[[tests]]
name = "style"
command = "echo style"
cache = "by_tree"
"""
DEAD = 2**22 - 1  # no process has this number
OLD = time.time() - 100_000


@pytest.fixture
def tested(repo: Repo) -> Repo:
    """Two commits with results of two tests each."""
    repo.config(CONFIG)
    repo.commit("first")
    repo.commit("second")
    repo.limmat("run", "HEAD", "HEAD~1", "-j1")
    unpack(repo)
    return repo


def unpack(repo: Repo) -> None:
    """Make a file of each object, so that each can be lost alone."""
    for pack in (repo.path / ".git" / "objects" / "pack").glob("*.pack"):
        aside = pack.rename(repo.path.parent / pack.name)
        pack.with_suffix(".idx").unlink()
        with aside.open("rb") as content:
            subprocess.run(["git", "unpack-objects", "-q"], cwd=repo.path, stdin=content, check=True)


def levels(said: str) -> dict[str, list[str]]:
    """Return what a report says, by its levels."""
    lines: dict[str, list[str]] = {}
    for line in said.splitlines():
        level, _, rest = line.partition(" ")
        if level:
            lines.setdefault(level, []).append(rest.strip())
    return lines


def stored(repo: Repo, pattern: str) -> Path:
    """Return the loose object of the first stored thing whose path matches."""
    listed = repo.git("ls-tree", "-r", "-t", "--name-only", "refs/limmat/results").splitlines()
    path = next(path for path in listed if re.search(pattern, path))
    oid = repo.git("rev-parse", f"refs/limmat/results:{path}")
    file = repo.path / ".git" / "objects" / oid[:2] / oid[2:]
    assert file.exists()
    return file


def put(path: Path, content: str = "", when: float | None = None) -> None:
    """Write a file, and say that it was long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    if when is not None:
        os.utime(path, (when, when))


def pool(repo: Repo) -> Path:
    """Return the directory of the pool of worktrees."""
    return next((Path(repo.environment["XDG_CACHE_HOME"]) / "limmat").iterdir())


def remove_worktree(repo: Repo) -> None:
    """Do what a user does who clears the cache."""
    subprocess.run(["rm", "-rf", pool(repo) / "1"], check=True)


def leave_run(repo: Repo) -> None:
    """Leave what a killed process does."""
    runs = repo.path / ".git" / "limmat" / "runs"
    put(runs / f"{DEAD}-0123abcd.1" / "job.json", "{}")
    put(runs / f"{DEAD}-0123abcd.lock")


def lie_in_a_note(repo: Repo) -> None:
    """Change the outcome that a note tells."""
    text = repo.git("notes", "--ref=limmat", "show", "HEAD").replace("passed", "failed")
    repo.git("notes", "--ref=limmat", "add", "-f", "-m", text, "HEAD")


def hold_pack(repo: Repo, reason: str = "limmat") -> Path:
    """Leave what a process does that was killed while it wrote beside a gc."""
    repo.git("repack", "-q")
    pack = next((repo.path / ".git" / "objects" / "pack").glob("*.pack"))
    put(pack.with_suffix(".keep"), f"{reason}\n", OLD)
    return pack.with_suffix(".keep")


def empty(path: Path) -> None:
    """Do to a file what the end of the machine's power does."""
    path.chmod(0o644)
    path.write_bytes(b"")


FAULTS: dict[str, tuple[Callable[[Repo], object], str]] = {
    "worktree removed": (remove_worktree, "worktrees – 1 registration of worktrees that are gone"),
    "process killed": (leave_run, "state – 2 leftovers of dead processes"),
    "results locked": (
        lambda repo: put(repo.path / ".git/refs/limmat/results.lock", when=OLD),
        "ref locks – 'refs/limmat/results' was locked",
    ),
    "notes locked": (
        lambda repo: put(repo.path / ".git/refs/notes/limmat.lock", when=OLD),
        "ref locks – 'refs/notes/limmat' was locked",
    ),
    "results ref empty": (
        lambda repo: put(repo.path / ".git/refs/limmat/results"),
        "results – all are lost: cannot read 'refs/limmat/results'",
    ),
    "results ref to nothing": (
        lambda repo: put(repo.path / ".git/refs/limmat/results", "1" * 40 + "\n"),
        "results – the tree of results: cannot read tree",
    ),
    "pack held": (hold_pack, "objects – 1 pack still marked to be kept"),
    "definition lost": (
        lambda repo: stored(repo, "^definitions/").unlink(),
        "results – definition '",
    ),
    "all definitions lost": (
        lambda repo: stored(repo, "^definitions$").unlink(),
        "results – directory 'definitions'",
    ),
    "list of results lost": (
        lambda repo: stored(repo, "/results$").unlink(),
        "results – the list of results of '",
    ),
    "output lost": (
        lambda repo: stored(repo, "/output/unit/.*/output").unlink(),
        "is missing or damaged",
    ),
    "artifact lost": (
        lambda repo: stored(repo, "/deep/file$").unlink(),
        "is missing or damaged",
    ),
    "directory of artifacts lost": (
        lambda repo: stored(repo, "/deep$").unlink(),
        "a directory of artifacts of '",
    ),
    "notes ref empty": (
        lambda repo: put(repo.path / ".git/refs/notes/limmat"),
        "notes – cannot read 'refs/notes/limmat'",
    ),
    "notes ref gone": (
        lambda repo: repo.git("update-ref", "-d", "refs/notes/limmat"),
        "notes – 2 notes not as the results are",
    ),
    "note lies": (lie_in_a_note, "notes – 1 note not as the results are"),
    "note removed": (
        lambda repo: repo.git("notes", "--ref=limmat", "remove", "HEAD"),
        "notes – 1 note not as the results are",
    ),
}


def traces(repo: Repo) -> dict[str, tuple[int, int]]:
    """Return when each file of a repository and of its user was last written, and its size."""
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for top in (repo.path, Path(repo.environment["HOME"]))
        for path in top.rglob("*")
    }


def test_all_is_well_after_a_run(tested: Repo) -> None:
    """Nothing but ok, one line a thing."""
    said = tested.limmat("doctor")

    assert set(levels(said)) == {"ok"}
    assert "git – version " in said
    assert "4 results about 4 subjects, 2 definitions, 3 files" in said
    assert "2 notes in 'refs/notes/limmat'" in said
    assert "\x1b" not in said


def test_all_is_well_before_anything_has_run(repo: Repo) -> None:
    """An unborn branch and a repository without tests are no errors, and no directory is made."""
    before = traces(repo)

    said = repo.limmat("doctor")

    assert "error" not in levels(said)
    assert levels(said)["warning"][0] == "config – no limmat.toml"
    assert traces(repo) == before


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_mended(tested: Repo, fault: str) -> None:
    """Looking changes nothing; mending tells what it does; then all is well, for git too."""
    spoil, named = FAULTS[fault]
    spoil(tested)
    before = traces(tested)

    said = tested.limmat("doctor", status=None)
    assert named in said
    assert "git limmat doctor --fix mends this" in said
    assert traces(tested) == before

    mended = tested.limmat("doctor", "--fix")
    assert levels(mended)["mended"]
    after = levels(tested.limmat("doctor"))
    assert set(after) == {"ok"}
    assert tested.git("fsck", "--no-dangling") == ""
    tested.limmat("run", "HEAD", "HEAD~1")
    assert set(levels(tested.limmat("doctor"))) == {"ok"}


def test_an_error_makes_the_exit_status_1_and_a_warning_does_not(tested: Repo) -> None:
    """Scripts can tell what works less well from what does not work."""
    leave_run(tested)
    tested.limmat("doctor", status=0)
    stored(tested, "/deep/file$").unlink()

    tested.limmat("doctor", status=1)


def test_results_that_lost_their_files_run_again(tested: Repo) -> None:
    """What is taken out is no longer known; what is whole stays known."""
    stored(tested, "/deep/file$").unlink()
    tested.limmat("doctor", "--fix")

    said = tested.limmat("run", "HEAD", "HEAD~1", "-j1")

    assert len(re.findall(r"unit +passed(?! \(known)", said)) == 2
    assert len(re.findall(r"style +passed \(known", said)) == 2


def test_an_empty_object_is_taken_out_and_written_again(tested: Repo) -> None:
    """A file that is there and holds nothing counts as lost; the next run replaces it."""
    empty(stored(tested, "/output/unit/.*/output"))
    assert "is missing or damaged" in tested.limmat("doctor", status=1)

    tested.limmat("doctor", "--fix")
    tested.limmat("run", "HEAD", "HEAD~1")

    assert set(levels(tested.limmat("doctor"))) == {"ok"}
    assert tested.git("fsck", "--no-dangling") == ""


def test_objects_that_are_only_out_of_reach_are_not_given_up(tested: Repo, tmp_path: Path) -> None:
    """A disk that is not mounted comes back: until then nothing is taken out."""
    away = tmp_path / "disk"
    shutil.copytree(tested.path / ".git" / "objects", away)
    put(tested.path / ".git" / "objects" / "info" / "alternates", f"{away}\n")
    stored(tested, "/deep/file$").unlink()
    assert set(levels(tested.limmat("doctor"))) == {"ok"}
    away.rename(tmp_path / "unplugged")

    said = tested.limmat("doctor", "--fix", status=1)
    assert f"cannot mend: objects may be out of reach and not lost: '{away}'" in said
    assert "mended" not in levels(said)

    (tmp_path / "unplugged").rename(away)
    assert set(levels(tested.limmat("doctor"))) == {"ok"}


def test_results_elsewhere_are_mended_there(tested: Repo, tmp_path: Path) -> None:
    """With --result-db that repository is looked at, and it is not made by looking."""
    database = tmp_path / "results.git"
    assert "none are stored" in tested.limmat("doctor", "--result-db", str(database))
    assert not database.exists()
    tested.limmat("run", "HEAD", "--result-db", str(database))
    ref = database / "refs/limmat/results"
    ref.write_text("")

    assert "all are lost" in tested.limmat("doctor", "--result-db", str(database), status=1)
    assert "mended" in tested.limmat("doctor", "--fix", "--result-db", str(database))
    assert ref.read_text()


def test_packs_that_others_keep_stay_so(tested: Repo) -> None:
    """The mark of a user is none of ours, and ours may be in use while somebody writes."""
    kept = hold_pack(tested, "for the archive")
    assert set(levels(tested.limmat("doctor", "--fix"))) == {"ok"}
    assert kept.exists()
    put(kept, "limmat\n", OLD)

    with (tested.path / ".git/limmat/update.lock").open("a") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        said = tested.limmat("doctor", "--fix", status=1)

    assert "objects – cannot mend: another process is storing results" in said
    assert kept.exists()


def test_what_is_not_ours_is_left_alone(tested: Repo) -> None:
    """Worktrees, notes, locks and files of somebody else are at most named."""
    tested.git("worktree", "add", "-q", "../mine", "-b", "mine")
    subprocess.run(["rm", "-rf", tested.path.parent / "mine"], check=True)
    tested.git("notes", "--ref=limmat", "add", "-f", "-m", "my own words", "HEAD")
    put(tested.path / ".git/packed-refs.lock", when=OLD)
    put(tested.path / ".git/refs/heads/main.lock", when=OLD)
    put(pool(tested) / "notes.txt", "keep me")

    said = tested.limmat("doctor", "--fix")

    assert "mended" not in levels(said)
    warnings = "\n".join(levels(said)["warning"])
    assert "packed-refs.lock' is there for long" in warnings
    assert "1 note in 'refs/notes/limmat' from somebody else" in warnings
    assert "notes.txt': not from git limmat" in warnings
    assert (tested.path / ".git/worktrees/mine").exists()
    assert (tested.path / ".git/refs/heads/main.lock").exists()
    assert tested.git("notes", "--ref=limmat", "show", "HEAD") == "my own words"


def test_jobs_that_run_are_not_leftovers(repo: Repo) -> None:
    """What a living process has is counted, and stays under --fix."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "echo >$LIMMAT_ORIGIN/up.log; read <$LIMMAT_ORIGIN/go"')
    repo.commit("first")
    os.mkfifo(repo.path / "go")
    running = repo.start("run", "HEAD")
    wait_for_file(repo.path / "up.log")

    said = repo.limmat("doctor", "--fix")
    (repo.path / "go").write_text("\n")

    assert "1 job of 1 process" in said
    assert "mended" not in levels(said)
    running.communicate(timeout=60)
    assert running.returncode == 0


def test_temporary_worktrees_of_dead_processes_go(tested: Repo, tmp_path: Path) -> None:
    """Only those of this repository, told by the lock file beside them."""
    place = tmp_path / "trees"
    mine, other = place / f"limmat-worktree-{DEAD}-1", place / f"limmat-worktree-{DEAD}-2"
    for path, owner in ((mine, tested.path / ".git"), (other, tmp_path / "other")):
        put(path / "file")
        put(path.with_name(path.name + ".lock"), f"{owner}\n")
    options = ("--worktree-dir", str(place))

    assert f"temporary worktrees of dead processes: '{mine}'" in tested.limmat("doctor", *options)
    assert f"mended   worktrees – removed '{mine}'" in tested.limmat("doctor", "--fix", *options)
    assert other.exists()
    assert not mine.exists()


def test_faults_of_the_config_are_all_named(tested: Repo) -> None:
    """The other checks go on without the tests."""
    tested.config('[[tests]]\nname = "unit"\ncomand = "true"\n[[tests]]\ncommand = "true"')

    said = tested.limmat("doctor", status=1)

    assert len(levels(said)["error"]) >= 2
    assert "comand" in said
    assert "ok       results" in said


def test_settings_that_are_wrong_are_named(tested: Repo) -> None:
    """An unknown key is a warning; a value that cannot be is one error, and stops some checks."""
    tested.git("config", "limmat.numWorktree", "3")
    assert "limmat.numworktree" in "".join(levels(tested.limmat("doctor"))["warning"]).lower()
    tested.git("config", "limmat.jobs", "many")

    said = tested.limmat("doctor", status=1)

    found = levels(said)
    assert len(found["error"]) == 1
    assert "many" in found["error"][0]
    assert [line for line in found["warning"] if "not checked" in line] == [
        "config – not checked: locks, file system, space, state, worktrees, "
        "ref locks, results, notes, objects"
    ]
    assert "ok       repository" in said


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda git: put(git / "refs/heads/main", "garbage\n"), "HEAD cannot be used"),
        (lambda git: put(git / "refs/heads/main", "1" * 40 + "\n"), "HEAD cannot be used"),
        (lambda git: put(git / "HEAD", "1" * 40 + "\n"), "HEAD cannot be used"),
        (lambda git: [(git / "limmat").rename(git / "gone"), (git / "limmat").touch()], "not a directory"),
        (lambda git: put(git / "refs/limmat/results", "ref: refs/heads/main\n"), "symbolic ref"),
    ],
    ids=["broken branch", "branch to nothing", "detached at nothing", "no state", "symbolic"],
)
def test_what_cannot_be_mended_stays_an_error(
    tested: Repo, spoil: Callable[[Path], object], named: str
) -> None:
    """It is named with and without --fix, and nothing is made worse."""
    spoil(tested.path / ".git")

    assert named in "\n".join(levels(tested.limmat("doctor", status=1))["error"])
    assert named in "\n".join(levels(tested.limmat("doctor", "--fix", status=1))["error"])


def test_results_of_a_newer_version_are_left_alone(tested: Repo) -> None:
    """They can be read, not written; that is a warning."""
    blob = tested.git("hash-object", "-w", "--stdin", stdin="2\n")
    listed = tested.git("ls-tree", "refs/limmat/results").splitlines()
    lines = [f"100644 blob {blob}\tformat" if line.endswith("\tformat") else line for line in listed]
    tree = tested.git("mktree", stdin="".join(f"{line}\n" for line in lines))
    tested.git("update-ref", "refs/limmat/results", tree)

    said = tested.limmat("doctor", "--fix")

    assert "results – format 2, not 1" in said
    assert tested.git("rev-parse", "refs/limmat/results") == tree


def test_without_a_repository_there_is_nothing_to_look_at(repo: Repo, tmp_path: Path) -> None:
    """The machine is reported on, then it is fatal."""
    done = repo.program("doctor", cwd=tmp_path)

    assert done.returncode == 128
    assert done.stdout.startswith(b"ok       git")
    assert done.stderr.startswith(b"fatal: cannot use")


def test_without_git_there_is_nothing_to_look_at(repo: Repo) -> None:
    """The program that is missing is named."""
    done = repo.program("doctor", "--git-binary", "/nowhere/git", "--json")

    assert done.returncode == 128
    assert json.loads(done.stdout)["checks"][0]["level"] == "error"
    assert b"/nowhere/git" in done.stderr


def test_json_has_the_same_reports(tested: Repo) -> None:
    """One document, with the words of the lines."""
    leave_run(tested)
    document = json.loads(tested.limmat("doctor", "--json"))

    found = [each for each in document["checks"] if each["level"] == "warning"]
    assert document["version"] == 1
    assert [(each["check"], each["hint"]) for each in found] == [
        ("state", "git limmat doctor --fix mends this")
    ]


def test_a_bad_color_setting_is_told(tested: Repo) -> None:
    """All commands that print would end with it; this one says so and goes on."""
    tested.git("config", "color.ui", "purple")
    said = tested.limmat("doctor", status=1)
    assert "config – bad boolean config value 'purple' for 'color.ui'" in said
    assert levels(said)["error"] == ["config – bad boolean config value 'purple' for 'color.ui'"]


def test_colors_follow_git(tested: Repo) -> None:
    """The word has its color, the rest none."""
    tested.git("config", "color.ui", "always")

    assert "\x1b[32mok     \x1b[0m  git" in tested.limmat("doctor")


def test_few_open_files_are_an_error(tested: Repo) -> None:
    """The limit of the shell that will start the jobs is what counts."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))

    done = subprocess.run(
        tested.argv("doctor"),
        cwd=tested.path,
        env=tested.environment,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "open files – 48 may be open at once" in done.stdout
    assert "ulimit -n" in done.stdout


def test_a_hook_that_git_ignores_is_named(tested: Repo) -> None:
    """One that calls us has to be executable; what others do in hooks is theirs."""
    hooks = tested.path / ".git" / "hooks"
    put(hooks / "post-commit", "#!/bin/sh\ngit limmat run HEAD\n")
    put(hooks / "pre-push", "#!/bin/sh\ntrue\n")

    said = levels(tested.limmat("doctor"))

    assert ["post-commit" in line for line in said["warning"]] == [True]


def test_recent_errors_in_logs_are_named(tested: Repo, tmp_path: Path) -> None:
    """The last one of each log of this repository, not of others."""
    state = Path(tested.environment["XDG_STATE_HOME"]) / "limmat"
    for name, text in (("watch-repo", "first"), ("watch-repo", "second"), ("watch-other", "third")):
        Log(state / f"{name}.log", pytest.fail).report("page", ValueError(text))

    said = levels(tested.limmat("doctor"))["warning"]

    assert len(said) == 1
    assert "watch-repo.log" in said[0]
    assert "error page: ValueError: second" in said[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    path = tmp_path / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("may not mount a small file system")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_full_disk_is_an_error(tested: Repo, small_disk: Path) -> None:
    """Where worktrees are to be made counts as well as where results are stored."""
    said = tested.limmat("doctor", status=1, XDG_CACHE_HOME=str(small_disk))

    assert f"MiB free in '{small_disk}'" in "".join(levels(said)["error"])


AS_NOBODY = """
import os
from gitlimmat.service.doctor import examine
from gitlimmat.service.request import Request
assert {each.level for each in examine(Request(), fix=False)} == {"ok"}  # all modules are there by now
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
for each in examine(Request(), fix=True):
    print(each.level, each.check, each.detail)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become someone else")
def test_what_may_not_be_written_is_an_error(tested: Repo) -> None:
    """As another user, who owns nothing here: each thing is named, nothing fails as a whole."""
    top = Path(tempfile.gettempdir())
    for path in (*tested.path.parents, *Path(tested.environment["HOME"]).rglob("*")):
        if path.is_dir() and path.is_relative_to(top) and path != top:
            path.chmod(0o755)
    (tested.path / ".git" / "limmat").chmod(0o700)
    trusting = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    said = subprocess.run(
        [sys.executable, "-c", AS_NOBODY],
        cwd=tested.path,
        env=tested.environment | trusting,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "error state '" in said
    assert "cannot be read and written" in said
    assert "warning logs" in said
    assert "ok results" in said


def test_work_that_goes_on_is_nothing_to_mend(repo: Repo, tmp_path: Path) -> None:
    """Notes are written when all that was asked for is done."""
    wait = f"echo x >{tmp_path}/began; while ! test -e {tmp_path}/go; do sleep 0.02; done"
    repo.config(
        '[[tests]]\nname = "fast"\ncommand = "true"\n'
        f'[[tests]]\nname = "slow"\ncommand = "{wait}"\ndepends_on = ["fast"]\n'
    )
    repo.commit("one")
    process = repo.start("run", "HEAD")
    try:
        wait_for_file(tmp_path / "began")
        assert "not as the results are" not in repo.limmat("doctor")
    finally:
        (tmp_path / "go").touch()
        process.communicate()


def test_ordinary_work_leaves_nothing_to_mend(tested: Repo) -> None:
    """Rewording, forgetting, collecting and another config are no faults."""
    tested.reword("main", "better words")
    tested.limmat("run", "HEAD")
    tested.limmat("forget", "HEAD", "--tests", "unit")
    tested.limmat("run", "HEAD~1", "--rerun", "all")
    tested.limmat("gc", "--count", "1")
    tested.config(
        CONFIG.replace('"echo style"', '"false"') + '[[tests]]\nname = "new"\ncommand = "kill -9 $$"'
    )
    tested.limmat("run", "HEAD", status=1)
    tested.git("gc", "-q", "--prune=now")

    assert set(levels(tested.limmat("doctor"))) == {"ok"}


def test_what_a_killed_run_leaves_is_swept(repo: Repo) -> None:
    """The directory of its job is named, and goes; its locks went with it."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "echo $$ >$LIMMAT_ORIGIN/up.log; exec sleep 1000"')
    repo.commit("first")
    running = repo.start("run", "HEAD")
    job = int(wait_for_file(repo.path / "up.log"))
    running.kill()
    running.communicate(timeout=60)
    wait_until(lambda: not is_alive(job), "end of the job")

    assert "leftovers of dead processes" in repo.limmat("doctor")
    assert "mended   state – removed '" in repo.limmat("doctor", "--fix")
    assert set(levels(repo.limmat("doctor"))) == {"ok"}
    assert not [path for path in (repo.path / ".git/limmat/runs").iterdir() if path.is_dir()]


def test_any_worktree_will_do(tested: Repo, tmp_path: Path) -> None:
    """A linked worktree tells of the same results, a bare repository of its own."""
    tested.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    tested.git("clone", "-q", "--bare", ".", str(tmp_path / "bare"))

    linked = tested.limmat("doctor", "--repo", str(tmp_path / "linked"))
    bare = tested.limmat("doctor", "--repo", str(tmp_path / "bare"))

    assert "4 results" in linked
    assert f"bare repository '{tmp_path / 'bare'}'" in bare
    assert set(levels(bare)) == set(levels(linked)) == {"ok"}
