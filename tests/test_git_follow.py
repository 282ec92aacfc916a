"""Followers are told what may have changed, in whatever way git or an editor does it, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path

import pytest
from conftest import Repo
from watchfiles._rust_notify import WatchfilesRustInternalError

from gitlimmat.git import follow
from gitlimmat.git.follow import Follower, Means, News, is_remote
from gitlimmat.git.inotify import Inotify, file_system, find_mount
from gitlimmat.git.places import Ground
from gitlimmat.git.repository import find_repository

REFS, RESULTS, CONFIG, GONE = News.REFS, News.RESULTS, News.CONFIG, News.GONE
NOTHING = News(0)
_DEADLINE_S = 30

BOTH = pytest.mark.parametrize("means", [Means.KERNEL, Means.PORTABLE], ids=lambda means: means.name.lower())


class Told:
    """What a follower has told since the last look."""

    def __init__(self) -> None:
        self.news = NOTHING
        self._changed = asyncio.Event()

    def tell(self, news: News) -> None:
        """Take news, as a follower gives it."""
        self.news |= news
        self._changed.set()

    async def until(self, wanted: News) -> News:
        """Return all that was told, once `wanted` is among it, and forget it."""
        async with asyncio.timeout(_DEADLINE_S):
            while wanted not in self.news:
                self._changed.clear()
                await self._changed.wait()
        found, self.news = self.news, NOTHING
        return found


class Followed:
    """A follower of a repository at work. `marker` is a file it follows."""

    def __init__(self, where: Path, results: Path | None, means: Means) -> None:
        self.repository = find_repository(where)
        self.told = Told()
        self.marker = self.repository.common_dir.parent.parent / f"marker-{where.name}"
        self.marker.touch()
        self.follower = Follower(
            self.repository, results or self.repository.common_dir, self.told.tell, means=means
        )
        self.follower.set_files([self.marker])
        self._count = 0

    async def after(self, action: Callable[[], object] | None = None) -> News:
        """Do something, and return what was told because of it.

        The kernel keeps the order, so all is told when the marker, which is changed last, is. CONFIG is only
        among what is returned if it was told before that.
        """
        if action is not None:
            await asyncio.to_thread(action)
        before = self.told.news
        replacement = self.marker.with_suffix(".new")
        self._count += 1
        replacement.write_text(str(self._count))
        self.told.news = NOTHING
        replacement.replace(self.marker)
        return (before | await self.told.until(CONFIG)) & ~CONFIG


@contextlib.asynccontextmanager
async def following(
    where: Path, results: Path | None = None, means: Means = Means.KERNEL
) -> AsyncIterator[Followed]:
    """Follow a repository, from when everything was told first."""
    followed = Followed(where, results, means)
    task = asyncio.create_task(followed.follower.run())
    try:
        await followed.told.until(REFS | RESULTS | CONFIG)
        await followed.after()
        yield followed
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def run(coroutine: Coroutine[None, None, None]) -> None:
    """Run a scenario."""
    asyncio.run(coroutine)


@pytest.fixture
def grown(repo: Repo) -> Repo:
    """A repository with branches, packed and loose, a remote and a worktree in our pool's manner."""
    repo.commit("base")
    repo.commit("packed", "main")
    repo.git("pack-refs", "--all")
    repo.commit("feature/one", "main")
    repo.commit("topic", "main")
    repo.git("branch", "other", "main")
    repo.git("clone", "-q", "--bare", ".", "../remote.git")
    repo.git("remote", "add", "origin", "../remote.git")
    repo.git("worktree", "add", "-q", "--detach", "../pool")
    return repo


def git(*arguments: str) -> Callable[[Repo], object]:
    """Return what runs git in a repository."""
    return lambda repo: repo.git(*arguments)


def touch_files(repo: Repo) -> list[Path]:
    """Make the index doubt what it knows of each file."""
    files = list(repo.path.glob("file-*"))
    for file in files:
        os.utime(file, (1, 1))
    return files


def replace_by_rename(path: Path, text: str) -> None:
    """Write a file as editors do."""
    new = path.with_name(path.name + ".swp")
    new.write_text(text)
    new.replace(path)


CHANGING: dict[str, Callable[[Repo], object]] = {
    "commit": git("commit", "-q", "--allow-empty", "-m", "x"),
    "amend": git("commit", "-q", "--amend", "--allow-empty", "-m", "x"),
    "reset": git("reset", "-q", "--hard", "HEAD~1"),
    "rebase": git("rebase", "-q", "--force-rebase", "main"),
    "fetch": git("fetch", "-q", "origin"),
    "delete a loose branch": git("branch", "-D", "other"),
    "delete a packed branch": git("branch", "-D", "packed"),
    "new branch": git("branch", "new"),
    "new branch in a new directory": git("branch", "very/deep/new"),
    "new branch in a directory": git("branch", "feature/two"),
    "rename": git("branch", "-m", "other", "feature/another"),
    "tag": git("tag", "v1"),
    "checkout": git("checkout", "-q", "other"),
    "checkout of the same commit": git("checkout", "-q", "-b", "same"),
    "detach": git("checkout", "-q", "--detach"),
    "pack refs": git("pack-refs", "--all"),
    "gc": git("gc", "-q"),
    "orphan": git("checkout", "-q", "--orphan", "fresh"),
    "other worktree": lambda repo: repo.git("-C", "../pool", "branch", "-f", "other"),
    "push into it": lambda repo: repo.git("-C", "../remote.git", "push", "-q", str(repo.path), "main:pushed"),
    "symbolic ref": git("symbolic-ref", "HEAD", "refs/heads/other"),
    "by hand": lambda repo: repo.write(".git/refs/heads/hand", repo.git("rev-parse", "HEAD") + "\n"),
}


@BOTH
@pytest.mark.parametrize("change", CHANGING)
def test_changes_of_refs_are_told(grown: Repo, means: Means, change: str) -> None:
    """Whatever moves HEAD, a branch, a remote's branch or a tag."""

    async def scenario() -> None:
        async with following(grown.path, means=means) as followed:
            news = await followed.after(lambda: CHANGING[change](grown))

            assert REFS in news
            assert GONE not in news
            assert means is Means.PORTABLE or REFS not in await followed.after()

    run(scenario())


QUIET: dict[str, Callable[[Repo], object]] = {
    "status": lambda repo: (repo.write("new", "x"), repo.git("-c", "core.fsmonitor=false", "status")),
    "refresh": lambda repo: (touch_files(repo), repo.git("update-index", "--refresh")),
    "add": lambda repo: (repo.write("new", "x"), repo.git("add", "-A")),
    "object": lambda repo: repo.git("hash-object", "-w", "--stdin", stdin="text"),
    "checkout in the pool": lambda repo: repo.git("-C", "../pool", "checkout", "-q", "--detach", "main"),
    "commit in the pool": lambda repo: repo.git("-C", "../pool", "commit", "-q", "--allow-empty", "-m", "x"),
    "new worktree": lambda repo: repo.git("worktree", "add", "-q", "--detach", "../pool2"),
    "removed worktree": lambda repo: repo.git("worktree", "remove", "--force", "../pool"),
    "note": lambda repo: repo.git("notes", "--ref=limmat", "add", "-m", "text"),
    "state": lambda repo: repo.write(".git/limmat/runs/1/output", "text"),
    "share": lambda repo: repo.git("update-ref", "refs/limmat/share/host", "HEAD"),
    "diff": lambda repo: repo.git("diff", "HEAD~1"),
    "log": lambda repo: repo.git("log", "--all", "--oneline"),
    "build": lambda repo: repo.write("build/deep/output", "x"),
    "file at the top": lambda repo: repo.write("limmat.toml.bak", "x"),
    "failed lock": lambda repo: repo.git("update-ref", "refs/heads/other", "main", "topic", check=False),
}


@BOTH
@pytest.mark.parametrize("change", QUIET)
def test_other_changes_are_not_told(grown: Repo, means: Means, change: str) -> None:
    """Indexes, objects, logs, our worktrees, notes and state are nobody's business."""

    async def scenario() -> None:
        async with following(grown.path, means=means) as followed:
            assert await followed.after(lambda: QUIET[change](grown)) & ~RESULTS == NOTHING

    run(scenario())


def test_publishing_results_tells_of_results_only(grown: Repo) -> None:
    """The ref appears, moves, is packed and appears again."""
    trees = [grown.git("rev-parse", f"{name}^{{tree}}") for name in ("main", "packed", "topic")]

    async def scenario() -> None:
        async with following(grown.path) as followed:
            for tree in trees[:2]:
                move = functools.partial(grown.git, "update-ref", "refs/limmat/results", tree)
                assert await followed.after(move) == RESULTS
            assert RESULTS in await followed.after(lambda: grown.git("pack-refs", "--all"))
            news = await followed.after(lambda: grown.git("update-ref", "refs/limmat/results", trees[2]))
            assert news == RESULTS

    run(scenario())


def test_results_may_be_elsewhere_and_not_there_yet(grown: Repo, tmp_path: Path) -> None:
    """A directory for results is noticed when it is made, and followed then."""
    results = tmp_path / "deep" / "results.git"

    async def scenario() -> None:
        async with following(grown.path, results) as followed:
            await asyncio.to_thread(results.parent.mkdir)
            await asyncio.to_thread(grown.git, "init", "-q", "--bare", str(results))
            assert await followed.told.until(RESULTS) & (REFS | GONE) == NOTHING
            await followed.after()
            blob = grown.git(f"--git-dir={results}", "hash-object", "-w", "--stdin", stdin="x")
            move = (f"--git-dir={results}", "update-ref", "refs/limmat/results", blob)
            assert await followed.after(lambda: grown.git(*move)) == RESULTS
            assert (
                await followed.after(lambda: grown.git("update-ref", "refs/limmat/results", "HEAD"))
                == NOTHING
            )

    run(scenario())


@BOTH
def test_linked_worktree_has_its_own_head(grown: Repo, means: Means) -> None:
    """A watch in a linked worktree follows that HEAD and not the main one, and all branches."""
    grown.git("worktree", "add", "-q", "../linked", "other")
    linked = grown.path.parent / "linked"

    async def scenario() -> None:
        async with following(linked, means=means) as followed:
            assert REFS in await followed.after(
                lambda: grown.git("-C", "../linked", "checkout", "-q", "--detach")
            )
            assert await followed.after(lambda: grown.git("checkout", "-q", "--detach")) == NOTHING
            assert REFS in await followed.after(lambda: grown.git("branch", "new"))
            grown.git("config", "extensions.worktreeConfig", "true")
            await followed.told.until(CONFIG)
            await asyncio.to_thread(grown.git, "-C", "../linked", "config", "--worktree", "color.ui", "never")
            await followed.told.until(CONFIG)
            assert GONE in await followed.after(
                lambda: grown.git("worktree", "remove", "--force", "../linked")
            )

    run(scenario())


def link_there(path: Path) -> None:
    """Replace a file by a symbolic link that leads nowhere."""
    path.with_name("c").symlink_to("d")
    path.with_name("c").replace(path)


def hard_link_there(path: Path) -> None:
    """Make a complete file appear, which is neither written nor renamed."""
    path.with_name("c").write_text("c")
    path.unlink()
    path.hardlink_to(path.with_name("c"))


EDITS: dict[str, Callable[[Path], object]] = {
    "write": lambda path: path.write_text("b"),
    "rename": lambda path: replace_by_rename(path, "b"),
    "remove": lambda path: path.unlink(),
    "move away": lambda path: path.rename(path.with_name("c")),
    "backup and write": lambda path: (path.rename(path.with_name("c")), path.write_text("b")),
    "link": link_there,
    "hard link": hard_link_there,
}


@BOTH
@pytest.mark.parametrize("edit", EDITS)
def test_files_are_followed(grown: Repo, means: Means, edit: str) -> None:
    """Written, replaced, removed: CONFIG; the same for a file that is made later."""
    path = grown.config("a")

    async def scenario() -> None:
        async with following(grown.path, means=means) as followed:
            followed.follower.set_files([path, grown.path / "later"])
            await followed.told.until(CONFIG)
            await asyncio.to_thread(EDITS[edit], path)
            assert GONE not in await followed.told.until(CONFIG)
            await asyncio.to_thread((grown.path / "later").write_text, "x")
            assert GONE not in await followed.told.until(CONFIG)

    run(scenario())


@BOTH
def test_files_may_be_in_directories_that_come_and_go(grown: Repo, means: Means) -> None:
    """The nearest directory that is there is watched, also while somebody stands in one that is not."""
    path = grown.path / "ci" / "deep" / "limmat.toml"

    async def scenario() -> None:
        async with following(grown.path, means=means) as followed:
            followed.follower.set_files([path])
            await followed.told.until(CONFIG)
            for _ in range(2):
                await asyncio.to_thread(path.parent.mkdir, parents=True)
                await followed.told.until(CONFIG)
                await asyncio.to_thread(path.write_text, "a")
                await followed.told.until(CONFIG)
                stands = os.open(path.parent.parent, os.O_RDONLY)
                await asyncio.to_thread(shutil.rmtree, path.parent.parent)
                await followed.told.until(CONFIG)
                os.close(stands)

    run(scenario())


@BOTH
def test_links_are_followed(grown: Repo, tmp_path: Path, means: Means) -> None:
    """What a link leads to is a file that is followed, too, step by step."""
    target, middle = tmp_path / "dotfiles" / "limmat.toml", tmp_path / "middle"
    target.parent.mkdir()
    target.write_text("a")
    middle.symlink_to("dotfiles/limmat.toml")
    (grown.path / "limmat.toml").symlink_to(middle)

    async def scenario() -> None:
        async with following(grown.path, means=means) as followed:
            followed.follower.set_files([grown.path / "limmat.toml"])
            await followed.told.until(CONFIG)
            await asyncio.to_thread(replace_by_rename, target, "b")
            await followed.told.until(CONFIG)
            await asyncio.to_thread(middle.unlink)
            await followed.told.until(CONFIG)

    run(scenario())


@BOTH
def test_configuration_of_git_is_followed(grown: Repo, means: Means) -> None:
    """It may have limmat.base, or an upstream."""

    async def scenario() -> None:
        async with following(grown.path, means=means) as followed:
            followed.follower.set_files([])
            await asyncio.to_thread(grown.git, "config", "limmat.base", "main")
            await followed.told.until(CONFIG)

    run(scenario())


@BOTH
def test_repository_is_removed_replaced_and_back(
    grown: Repo, make_repo: Callable[..., Repo], means: Means
) -> None:
    """Each is told as GONE, and what is there is followed, though our own directory is the old one."""
    other = make_repo("another")
    other.commit("different")
    git_dir, aside = grown.path / ".git", grown.path.parent / "aside"

    async def scenario() -> None:
        async with following(grown.path, means=means) as followed:
            await asyncio.to_thread(git_dir.rename, aside)
            assert GONE in await followed.told.until(GONE)
            await asyncio.to_thread(aside.rename, git_dir)
            assert REFS | CONFIG | RESULTS in await followed.told.until(GONE)
            await followed.after()
            assert await followed.after(lambda: grown.git("branch", "new")) == REFS

            await asyncio.to_thread(shutil.rmtree, git_dir)
            await followed.told.until(GONE)
            await asyncio.to_thread((other.path / ".git").rename, git_dir)
            await followed.told.until(GONE)
            await followed.after()
            assert await followed.after(lambda: grown.git("branch", "newer")) == REFS

            stands = os.open(grown.path, os.O_RDONLY)
            await asyncio.to_thread(shutil.rmtree, grown.path)
            await followed.told.until(GONE)
            await asyncio.to_thread(grown.path.mkdir)
            await asyncio.to_thread(grown.git, "init", "-q")
            await followed.told.until(GONE)
            os.close(stands)
            await followed.after()
            assert REFS in await followed.after(lambda: grown.commit("anew"))

    run(scenario())


def test_renamed_ancestor_is_a_repository_gone(grown: Repo, tmp_path: Path) -> None:
    """Renaming a directory above takes the repository from its place without touching it."""
    deep = tmp_path / "a" / "b" / "clone"
    grown.git("clone", "-q", ".", str(deep))

    async def scenario() -> None:
        async with following(deep) as followed:
            await asyncio.to_thread((tmp_path / "a").rename, tmp_path / "elsewhere")
            await followed.told.until(GONE)
            await asyncio.to_thread((tmp_path / "elsewhere").rename, tmp_path / "a")
            await followed.told.until(GONE)
            await asyncio.to_thread(grown.git, "-C", str(deep), "branch", "new")
            await followed.told.until(REFS)

    run(scenario())


def test_bare_repository_is_followed(grown: Repo) -> None:
    """A repository without worktree, pushed to."""

    async def scenario() -> None:
        async with following(grown.path.parent / "remote.git") as followed:
            assert REFS in await followed.after(
                lambda: grown.git("push", "-q", "origin", "HEAD:refs/heads/x/y")
            )

    run(scenario())


def test_directories_of_refs_that_come_and_go_are_followed(grown: Repo) -> None:
    """Branches in directories made and removed again and again; the last one is still seen."""

    async def scenario() -> None:
        async with following(grown.path) as followed:
            for place in range(30):
                await asyncio.to_thread(grown.git, "branch", f"come/and/go/{place % 3}/x")
                await asyncio.to_thread(grown.git, "branch", "-D", f"come/and/go/{place % 3}/x")
            await followed.after()
            assert REFS in await followed.after(lambda: grown.git("branch", "come/and/stay"))
            assert REFS in await followed.after(lambda: grown.git("branch", "-f", "come/and/stay", "HEAD~1"))

    run(scenario())


def test_settling_is_while_a_rebase_or_a_lock_is_fresh(grown: Repo) -> None:
    """A lock that is old, or a rebase that waits for its user, does not count."""
    git_dir = grown.path / ".git"

    async def scenario() -> None:
        async with following(grown.path) as followed:
            follower = followed.follower
            assert not follower.is_settling
            for name in ("HEAD.lock", "packed-refs.lock"):
                (git_dir / name).touch()
                assert follower.is_settling
                os.utime(git_dir / name, (1, 1))
                assert not follower.is_settling
                assert (REFS in await followed.after((git_dir / name).unlink)) is (name == "HEAD.lock")
            for name in ("rebase-merge", "rebase-apply"):
                assert REFS in await followed.after((git_dir / name).mkdir)
                assert follower.is_settling
                assert REFS in await followed.after((git_dir / name).rmdir)
                assert not follower.is_settling

    run(scenario())


def test_lost_events_tell_everything(grown: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the queue of the kernel overflows, all may have changed, and following goes on."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())

    async def scenario() -> None:
        async with following(grown.path) as followed:
            file = grown.path / ".git" / "x"
            file.touch()
            for _ in range(limit):  # the loop, which would read them, waits for this
                file.rename(file.with_suffix(".y"))
                file.with_suffix(".y").rename(file)
            assert await followed.told.until(REFS | RESULTS | CONFIG)
            await followed.after()
            assert await followed.after(lambda: grown.git("branch", "new")) == REFS

    run(scenario())


@pytest.mark.parametrize(
    ("number", "limit"),
    [(errno.ENOSPC, "max_user_watches"), (errno.EMFILE, "max_user_instances"), (errno.ENOSYS, None)],
)
def test_looks_often_when_watches_are_used_up(
    grown: Repo, monkeypatch: pytest.MonkeyPatch, number: int, limit: str | None
) -> None:
    """The limit is named, changes are found all the same, and it is heard again when there is room."""
    monkeypatch.setattr(follow, "_OFTEN_S", 0.01)
    monkeypatch.setattr(follow, "_SELDOM_S", 0.5)
    refused = pytest.MonkeyPatch()
    tries: list[Path] = []

    def refuse(*_: object) -> int:
        tries.append(grown.path)
        raise OSError(number, os.strerror(number))

    refused.setattr(Inotify, "add" if number == errno.ENOSPC else "__init__", refuse)

    async def scenario() -> None:
        async with following(grown.path) as followed:
            problem = followed.follower.problem
            assert f"fs.inotify.{limit} (" in str(problem) if limit else problem is None
            assert REFS in await followed.after(lambda: grown.git("branch", "new"))

            refused.undo()
            count = len(tries)
            await followed.told.until(REFS | RESULTS | CONFIG)
            assert followed.follower.problem is None
            assert len(tries) == count
            assert REFS in await followed.after(lambda: grown.git("branch", "newer"))

    try:
        run(scenario())
    finally:
        refused.undo()


def test_looks_often_when_watchfiles_cannot(grown: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux it is the same."""
    monkeypatch.setattr(follow, "_OFTEN_S", 0.01)

    def refuse(*_: object, **__: object) -> None:
        raise WatchfilesRustInternalError("OS file watch limit reached")

    monkeypatch.setattr("watchfiles.main.RustNotify", refuse)

    async def scenario() -> None:
        async with following(grown.path, means=Means.PORTABLE) as followed:
            assert "used up" in str(followed.follower.problem)
            assert REFS in await followed.after(lambda: grown.git("branch", "new"))

    run(scenario())


def test_hidden_directories_are_looked_at(grown: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that may be passed and not read cannot be watched; its files are looked at."""
    monkeypatch.setattr(follow, "_OFTEN_S", 0.01)
    hidden = grown.path / "hidden"
    hidden.mkdir()
    add = Inotify.add

    def refuse_hidden(kernel: Inotify, path: bytes, mask: int) -> int:
        if path == os.fsencode(hidden):  # root, who may run this, may read everything
            raise PermissionError(errno.EACCES, "Permission denied")
        return add(kernel, path, mask)

    monkeypatch.setattr(Inotify, "add", refuse_hidden)

    async def scenario() -> None:
        async with following(grown.path) as followed:
            followed.follower.set_files([hidden / "limmat.toml"])
            await asyncio.to_thread((hidden / "limmat.toml").write_text, "a")
            await followed.told.until(CONFIG)
            replace_by_rename(hidden / "limmat.toml", "other")
            await followed.told.until(CONFIG)

    run(scenario())


@pytest.mark.parametrize("change", CHANGING)
def test_looking_finds_what_notification_would(
    grown: Repo, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Where nobody tells us, the same changes are found in the files."""
    monkeypatch.setattr(follow, "_OFTEN_S", 0.01)

    async def scenario() -> None:
        async with following(grown.path, means=Means.LOOKING) as followed:
            await asyncio.to_thread(CHANGING[change], grown)
            assert GONE not in await followed.told.until(REFS)

    run(scenario())


def test_looking_finds_a_repository_gone_and_back(grown: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory is among what is looked at."""
    monkeypatch.setattr(follow, "_OFTEN_S", 0.01)
    aside = grown.path.parent / "aside"

    async def scenario() -> None:
        async with following(grown.path, means=Means.LOOKING) as followed:
            await asyncio.to_thread(grown.path.rename, aside)
            await followed.told.until(GONE)
            await asyncio.to_thread(aside.rename, grown.path)
            assert REFS in await followed.told.until(GONE)

    run(scenario())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *(
            (kind, True)
            for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "vboxsf", "virtiofs", "ceph")
        ),
        *(
            (kind, False)
            for kind in ("ext4", "btrfs", "xfs", "overlay", "tmpfs", "zfs", "fuseblk", "apfs", "")
        ),
    ],
)
def test_remote_file_systems_are_known(kind: str, expected: bool) -> None:
    """Others write to them without our kernel knowing."""
    assert is_remote(kind) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/home/u", "ext4"),
        (b"/mnt", "ext4"),
        (b"/mnt/my disk", "nfs4"),
        (b"/mnt/my disk/deep/down", "nfs4"),
        (b"/mnt/my diskette", "ext4"),
        (b"/over/x", "tmpfs"),
    ],
)
def test_innermost_mount_counts(path: bytes, expected: str) -> None:
    """Names of mount points are escaped; a later mount hides an earlier one; fields before the dash vary."""
    mounts = (
        b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        b"40 22 0:50 / /mnt/my\\040disk rw master:3 propagate_from:2 - nfs4 host:/x rw\n"
        b"41 22 0:51 / /over rw - xfs /dev/sdb rw\n"
        b"42 22 0:52 / /over rw - tmpfs none rw\n"
    )
    assert find_mount(mounts, path) == expected
    assert file_system(b"/proc/self") == "proc"


def test_remote_file_systems_are_looked_at(grown: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the files are looked at although the kernel tells of what this machine does."""
    monkeypatch.setattr(follow, "_OFTEN_S", 0.01)
    monkeypatch.setattr(follow, "file_system", lambda _: "nfs4")
    looks: list[Ground] = []
    look = follow._look

    def counted(ground: Ground) -> object:
        looks.append(ground)
        return look(ground)

    monkeypatch.setattr(follow, "_look", counted)

    async def scenario() -> None:
        async with following(grown.path) as followed:
            assert followed.follower.problem is None
            async with asyncio.timeout(_DEADLINE_S):
                while len(looks) < 3:
                    await asyncio.sleep(0)

    run(scenario())


def test_nothing_wakes_while_nothing_happens(grown: Repo) -> None:
    """Following is asleep between events: the loop has no timer that is due soon, and no thread is busy."""

    async def scenario() -> None:
        async with following(grown.path):
            loop = asyncio.get_running_loop()
            timers: Sequence[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]
            async with asyncio.timeout(_DEADLINE_S) as deadline:
                while not (
                    due := [t.when() for t in timers if not t.cancelled() and t.when() != deadline.when()]
                ):
                    await asyncio.sleep(0)  # the first look at the files is made by a thread
            assert min(due) - loop.time() > 50

    run(scenario())


def test_many_branches_cost_one_watch_a_directory(grown: Repo) -> None:
    """A fetch of a thousand branches in a hundred new directories is seen to its last."""
    head = grown.git("rev-parse", "HEAD")
    lines = "".join(f"create refs/remotes/up/{n % 100}/{n} {head}\n" for n in range(1000))

    async def scenario() -> None:
        async with following(grown.path) as followed:
            assert REFS in await followed.after(lambda: grown.git("update-ref", "--stdin", stdin=lines))
            assert (
                await followed.after(lambda: grown.git("update-ref", "refs/remotes/up/99/999", "main"))
                == REFS
            )

    run(scenario())
