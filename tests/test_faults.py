"""Whatever happens at whatever moment: nothing reported is lost, nothing wrong is tested, nothing is left."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Repo
from waiting import wait_until

ROUNDS = 50 if os.environ.get("LIMMAT_SOAK") == "1" else 20  # in each of four histories
TRUST = "git config --global --add safe.directory"

EXACT = """num_worktrees = 2
[[tests]]
name = "exact"
command = '''
test "$(git rev-parse HEAD)" = "$LIMMAT_COMMIT" || { echo "wrong HEAD" >>$LIMMAT_ORIGIN/wrong.log; exit 1; }
test -z "$(git status --porcelain)" || { git status --porcelain >>$LIMMAT_ORIGIN/wrong.log; exit 1; }
git ls-files | sort >>"$LIMMAT_ARTIFACTS/files"
echo edited >file; echo new >untracked
'''
[[tests]]
name = "after"
depends_on = ["exact"]
command = 'test -s "$LIMMAT_ARTIFACTS_exact/files"'
"""


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_at_a_random_moment_loses_and_leaves_nothing(repo: Repo, seed: int) -> None:
    """Killed at any point, a run has stored all it reported, and the next one starts from exact trees."""
    chance = random.Random(seed)
    repo.config(EXACT)
    for number in range(8):
        repo.commit(f"c{number}", file=str(number), **{f"dir{number % 3}/f": str(number)})
    before = repo.git("for-each-ref", "refs/heads"), repo.git("rev-parse", "HEAD")
    reported: set[tuple[str, str]] = set()

    for _ in range(ROUNDS):
        process = repo.start("run", "HEAD~7..HEAD", "--rerun" if chance.random() < 0.3 else "-j2")
        delay = chance.uniform(0.05, 0.6)
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            process.kill()
        out, _ = process.communicate()
        for line in out.decode().splitlines():
            if "passed" in line:
                reported.add(tuple(line.split()[:2]))  # type: ignore[arg-type]
        known = {
            (fields[0][:7], fields[1])
            for fields in (
                line.split("\t") for line in repo.limmat("status", "--porcelain", "HEAD~7..HEAD").splitlines()
            )
            if fields[2] == "passed"
        }
        assert {(short[:7], test) for short, test in reported} <= known

    repo.limmat("run", "HEAD~7..HEAD")
    assert repo.lines("wrong.log") == []
    assert (repo.git("for-each-ref", "refs/heads"), repo.git("rev-parse", "HEAD")) == before
    assert repo.git("status", "--porcelain") == ""
    git_dir = repo.path / ".git"
    assert [path for path in git_dir.rglob("*.lock") if git_dir / "limmat" not in path.parents] == []
    repo.git("fsck", "--strict")


def test_a_full_disk_while_storing_keeps_outcome_and_exit_status(repo: Repo) -> None:
    """With no room for objects the outcome is printed, the status is right, and there is one warning."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "head -c 6000000 /dev/urandom; exit 3"\n')
    repo.commit("base")
    objects = repo.path / ".git" / "objects"
    aside = repo.path / ".git" / "aside"
    shutil.copytree(objects, aside)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(objects)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("may not mount a small file system")
    try:
        shutil.copytree(aside, objects, dirs_exist_ok=True)
        done = repo.program("run", "HEAD")
        again = repo.program("status", "--porcelain", "HEAD")
    finally:
        subprocess.run(["umount", str(objects)], check=True)

    assert b"unit  failed (exit 3" in done.stdout
    assert done.returncode == 1
    assert done.stderr.count(b"warning: ") == 1, done.stderr.decode()
    assert b"unknown" in again.stdout


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        ("rm -rf ../1 2>/dev/null; cd /; rm -rf $OLDPWD; true", "passed"),
        ("echo edited >file; git add file; git -c user.name=j -c user.email=j commit -qm mine", "passed"),
        ("git checkout -q --orphan other; git rm -rfq .", "passed"),
        ("chmod 0 file; mkdir -p a/b; echo x >a/b/c", "passed"),
        ("rm .git; git init -q .; git config core.bare true", "passed"),
        ("ln -sf / file; mkdir dir0.d; mv dir* .. 2>/dev/null; true", "passed"),
    ],
)
def test_what_a_job_does_to_its_worktree_does_not_reach_the_next(
    repo: Repo, command: str, outcome: str
) -> None:
    """Each job finds exactly its commit, whatever the one before it left."""
    check = 'test "$(git rev-parse HEAD)" = "$LIMMAT_COMMIT" && test -z "$(git status --porcelain)"'
    repo.config(f"[[tests]]\nname = \"unit\"\ncommand = '''{check} || exit 9\nPWD=$(pwd); {command}'''\n")
    for number in range(4):
        repo.commit(f"c{number}", file=str(number), **{f"dir{number % 2}/f": str(number)})

    out = repo.limmat("run", "HEAD~3..HEAD", "-j1", status=None)

    assert out.count(f"unit  {outcome}") == 3, out
    assert repo.git("status", "--porcelain") == ""


def test_a_job_that_floods_output_is_kept_whole(repo: Repo) -> None:
    """Output goes to a file and from there to a blob, never through our memory."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "yes | head -c 200000000"\n')
    repo.commit("base")

    repo.limmat("run", "HEAD")

    path = Path(repo.limmat("get", "unit", "HEAD").removesuffix("\n"))
    assert path.stat().st_size == 200_000_000


def test_a_range_of_five_thousand_commits_is_tested(repo: Repo) -> None:
    """All commits of a long range are listed and looked up; nothing is cut off."""
    repo.config('[[tests]]\nname = "unit"\nrequires_worktree = false\ncommand = ["true"]\n')
    stream = ["commit refs/heads/main\ncommitter A <a@b> 1750000000 +0000\ndata 4\nroot\n"]
    stream += [
        f"commit refs/heads/main\ncommitter A <a@b> {1750000000 + n} +0000\ndata 1\nx\n" for n in range(5000)
    ]
    repo.git("fast-import", "--quiet", stdin="".join(stream))

    out = repo.limmat("run", "-n", "main~5000..main", status=125)
    rows = repo.limmat("status", "main~5000..main").splitlines()

    assert out == ""
    assert len(rows) == 5001


def test_corrupt_results_are_as_good_as_none(repo: Repo) -> None:
    """A results ref that points to garbage is a warning; the next run stores anew."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "true"\n')
    repo.commit("base")
    repo.limmat("run", "HEAD")
    ref = repo.path / ".git" / "refs" / "limmat" / "results"
    ref.write_text("1" * 40 + "\n")

    assert "unknown" in repo.limmat("status", "--porcelain", "HEAD")
    repo.limmat("run", "HEAD")

    assert "passed" in repo.limmat("status", "HEAD")


@pytest.mark.parametrize("kind", ["bare", "unborn", "no repository"])
def test_unusual_places_are_told_clearly(repo: Repo, tmp_path: Path, kind: str) -> None:
    """No traceback, no hang: an error that names the place, or work done where it can be."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "true"\n')
    config = str(repo.path / "limmat.toml")
    if kind == "unborn":
        done = repo.program("run")
        assert done.returncode == 128
        assert b"no commits" in done.stderr
    elif kind == "no repository":
        done = repo.program("run", cwd=tmp_path)
        assert done.returncode == 128
        assert b"not a git repository" in done.stderr
    else:
        repo.commit("base")
        repo.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
        done = repo.program("-c", config, "run", "HEAD", cwd=tmp_path / "bare.git")
        assert done.returncode == 0, done.stderr.decode()
        assert b"unit  passed" in done.stdout
        test = repo.program("-c", config, "test", "unit", cwd=tmp_path / "bare.git")
        assert test.returncode == 128


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_someone_else_is_refused_with_what_git_advises(repo: Repo) -> None:
    """As git refuses it, and with the command that makes git trust it."""
    subprocess.run(["chown", "-R", "65534:65534", repo.path], check=True)

    said = repo.program("status").stderr.decode()

    assert "dubious ownership" in said
    assert f"hint: it belongs to someone else; if you trust that: {TRUST} {repo.path}" in said


@pytest.mark.parametrize(
    ("option", "word"), [("--object-format=sha256", b"sha256"), ("--ref-format=reftable", b"reftable")]
)
def test_sha256_and_reftable_repositories_are_refused_with_a_reason(
    repo: Repo, tmp_path: Path, option: str, word: bytes
) -> None:
    """libgit2 cannot read them, and half-working is worse than a clear word."""
    made = subprocess.run(
        ["git", "init", "-q", option, str(tmp_path / "new")],
        check=False,
        env=repo.environment,
        capture_output=True,
    )
    if made.returncode != 0:
        pytest.skip("this git cannot make one")

    done = repo.program("run", "-x", "true", cwd=tmp_path / "new")

    assert done.returncode == 128
    assert word in done.stderr


def test_git_maintenance_leaves_all_results_intact(repo: Repo, tmp_path: Path) -> None:
    """gc, repack, clone and fsck keep what is reachable from our refs."""
    repo.config(
        '[[tests]]\nname = "unit"\ncommand = "echo out; cd $LIMMAT_ARTIFACTS; echo kept >file; mkdir empty"\n'
    )
    repo.commit("base")
    repo.limmat("run", "HEAD")

    repo.git("gc", "-q", "--prune=now")
    repo.git("repack", "-adq")
    repo.git("fsck", "--strict")
    repo.git("clone", "-q", "--mirror", ".", str(tmp_path / "mirror"))
    shutil.rmtree(repo.path / ".git" / "limmat")

    assert Path(repo.limmat("get", "unit", "HEAD").removesuffix("\n")).read_text() == "out\n"
    directory = Path(repo.limmat("artifacts", "unit", "HEAD").removesuffix("\n"))
    assert sorted(path.name for path in directory.iterdir()) == ["empty", "file"]
    assert repo.git("--git-dir", str(tmp_path / "mirror"), "rev-parse", "refs/limmat/results")


def test_a_waiting_run_ends_at_once_when_told_to(repo: Repo) -> None:
    """Waiting for another process's case is cancellable."""
    repo.config(
        '[[tests]]\nname = "unit"\n'
        'command = "echo $$ >$LIMMAT_ORIGIN/pid.log; while :; do sleep 0.05; done"\n'
    )
    repo.commit("base")
    holder = repo.start("run", "HEAD")
    wait_until(lambda: (repo.path / "pid.log").exists(), "the job")
    waiter = repo.start("run", "HEAD")
    assert waiter.stderr is not None
    waiter.stderr.readline()

    waiter.terminate()
    out, _ = waiter.communicate(timeout=10)
    holder.terminate()
    holder.communicate(timeout=30)

    assert waiter.returncode == 130
    assert out == b""
