"""Who someone is comes from the server's set-up: the account, a key for SSH, gitolite, or the web server."""

from __future__ import annotations

import base64
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import Repo
from queue_server import Server, push
from waiting import wait_until

from gitlimmat.cli.queue import COMMANDS
from gitlimmat.queue.rules import Identity
from gitlimmat.service.queue.identity import UnknownPersonError, who
from gitlimmat.service.queue.remote import (
    VERBS,
    ForGit,
    ForQueue,
    RefusedCommandError,
    environment_of,
    parse_line,
)
from gitlimmat.service.queue.setup import Wanted

FOR = "HEAD:refs/for/main"
ALL = {"LIMMAT_QUEUE_USER": "sue", "GL_USER": "gil", "REMOTE_USER": "web", "USER": "eve", "LOGNAME": "eve"}
ACCOUNT = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def server(make_repo: Callable[..., Repo]) -> Server:
    """A server with a queue."""
    return Server(make_repo)


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (Identity.OS, ACCOUNT),
        (Identity.SHELL, "sue"),
        (Identity.GITOLITE, "gil"),
        (Identity.HTTP, "web"),
    ],
)
def test_only_the_source_that_is_set_counts(identity: Identity, name: str) -> None:
    """A variable of another set-up means nothing, and where the right one is missing nobody is known."""
    assert who(identity, ALL) == name
    if identity is not Identity.OS:
        lacking = {key: value for key, value in ALL.items() if value != name}
        with pytest.raises(UnknownPersonError, match="does not say who you are"):
            who(identity, lacking)


@pytest.mark.parametrize(
    "name",
    [
        *("limmat", "Limmat", "LIMMAT", "a b", "-x", "--admin", "*", "a\n", "@bob", "", " ", "\u0430lice"),
        *("bob\u2003", "x" * 101, "a'b", "a;b", "<b>", "a,b", "\x1b[1m"),
    ],
)
def test_what_is_no_name_is_nobody(name: str) -> None:
    """Nobody is called as the queue, or so that the name could be taken for something else."""
    with pytest.raises(UnknownPersonError) as caught:
        who(Identity.HTTP, {"REMOTE_USER": name})
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["alice", "a.b-c_d+e@example.com", "0", "team/alice"])
def test_what_is_a_name_is_taken_as_it_is(name: str) -> None:
    """Names are not folded or cut."""
    assert who(Identity.HTTP, {"REMOTE_USER": name}) == name


def test_the_author_of_a_commit_is_nobody(server: Server) -> None:
    """Anyone can write any name there."""
    clone = server.clone("eve")
    clone.environment |= {"GIT_AUTHOR_NAME": "rita", "GIT_COMMITTER_NAME": "rita"}
    clone.commit("one")

    out = push(clone, FOR, by="eve", options=("r+",), status=1)

    assert "'eve' is no reviewer" in out


def test_an_account_is_who_it_is_whatever_it_says(server: Server) -> None:
    """With identity `os` the variables of others are not looked at."""
    server.set_up(Wanted(identity=Identity.OS))
    clone = server.clone("clone")
    clone.environment |= ALL
    clone.commit("one")

    push(clone, FOR, by="rita")

    assert server.change(1).author == ACCOUNT


# What may be asked for through SSH.


def test_git_is_passed_on_to_git_shell() -> None:
    """With both spellings, and nothing is taken apart."""
    for line in ("git-receive-pack '/srv/a b.git'", "git upload-pack 'x'", "git-upload-archive 'x'"):
        assert parse_line(line, None) == ForGit(line=line)


def test_commands_of_the_queue_are_passed_on_with_the_repository() -> None:
    """That which is named, or the one of the key."""
    for words in ("limmat", "git-limmat", "git limmat"):
        assert parse_line(f"{words} queue approve 7", "/srv/x.git") == ForQueue(
            words=("--repo", "/srv/x.git", "queue", "approve", "7")
        )
    assert parse_line("limmat --repo y.git queue comment 7 'a b'", None) == ForQueue(
        words=("--repo", "y.git", "queue", "comment", "7", "a b")
    )
    with pytest.raises(RefusedCommandError, match="no repository is named"):
        parse_line("limmat queue list", None)


def test_a_key_for_one_repository_is_for_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However its path is written; and git gets the one that the server has named."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    repo = tmp_path / "it's.git"
    repo.mkdir()
    (tmp_path / "link").symlink_to(repo)
    wanted = "git-receive-pack '{}'".format(str(repo).replace("'", "'\\''"))
    for path in (
        str(repo),
        str(tmp_path / "it's"),
        "it's.git",
        "~/it's.git",
        "link",
        f"{tmp_path}/x/../it's.git",
    ):
        assert parse_line(f"git-receive-pack {shlex.quote(path)}", str(repo)) == ForGit(line=wanted)
    for line in (
        *("git-upload-pack 'other.git'", "git-upload-pack '/'", "git-upload-pack", "git-upload-pack a b"),
        *("git-upload-pack '~nobody-there/x'", "limmat --repo other.git queue list", "git-upload-pack '\0'"),
    ):
        with pytest.raises(RefusedCommandError, match="this key is not for"):
            parse_line(line, str(repo))
    named = parse_line("limmat --repo link queue list", str(repo))
    assert named == ForQueue(words=("--repo", str(repo), "queue", "list"))


@pytest.mark.parametrize(
    "line",
    [
        *("", "sh", "bash -i", "/usr/bin/git-receive-pack x", "git", "git config -l", "git-shell", "'"),
        *(
            "limmat",
            "limmat run",
            "limmat run -x sh",
            "limmat queue",
            "limmat queue init",
            "limmat queue serve",
        ),
        *("limmat queue shell bob", "limmat queue receive proc-receive", "limmat --git-binary=sh queue list"),
        *("limmat queue list --git-binary=/tmp/x", "limmat queue list --git-binary /tmp/x"),
        *(
            "limmat queue show 1 -c /etc/passwd",
            "limmat queue show 1 -qr /",
            "limmat queue list --result-db=/x",
        ),
        *("limmat queue comment 1 -F /etc/passwd", "limmat queue comment 1 --file=/etc/passwd"),
        *("limmat -r x -c y queue list", "limmat queue --help", "GIT_DIR=x git-upload-pack y"),
    ],
)
def test_nothing_else_can_be_called(line: str) -> None:
    """No shell, no other command of git or of git limmat, and no option that names a program or a file."""
    with pytest.raises(RefusedCommandError):
        parse_line(line, "/srv/x.git")


def test_what_a_client_sends_does_not_become_the_environment() -> None:
    """sshd may be set to accept variables; those that git and git limmat read are dropped."""
    sent = {
        "GIT_DIR": "x",
        "GIT_CONFIG_COUNT": "1",
        "LIMMAT_QUEUE_USER": "ada",
        "GL_USER": "ada",
        "HOME": "/h",
    }
    sent |= {"GIT_PROTOCOL": "version=2", "PYTHONPATH": "/tmp", "LD_PRELOAD": "x", "LIMMAT_HOOK_AGAIN": "1"}

    got = environment_of("bob", sent)

    assert got["LIMMAT_QUEUE_USER"] == "bob"
    assert got["GIT_PROTOCOL"] == "version=2"
    assert got["HOME"] == "/h"
    dropped = ("GIT_DIR", "GIT_CONFIG_COUNT", "GL_USER", "PYTHONPATH", "LD_PRELOAD", "LIMMAT_HOOK_AGAIN")
    assert not set(got) & set(dropped)


# A real sshd.


class Ssh:
    """An sshd on the loopback, where each person's key starts `git limmat queue shell`."""

    def __init__(self, directory: Path, server: Server, people: tuple[str, ...]) -> None:
        self.directory, self.server = directory, server
        directory.mkdir(mode=0o700)
        self._keygen("host")
        kept = ("HOME", "PATH", "PYTHONPATH", "GIT_CONFIG_NOSYSTEM", "LC_ALL")
        words = [f"{name}={server.bare.environment[name]}" for name in kept]
        start = shlex.join(["env", *words, sys.executable, "-m", "gitlimmat", "queue", "shell"])
        lines = []
        for name in people:
            public = self._keygen(name)
            lines.append(f'command="{start} --repo={server.path} {name}",restrict {public}')
        (directory / "authorized_keys").write_text("\n".join(lines))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have it run."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        program = shutil.which("sshd") or "/usr/sbin/sshd"
        settings = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.directory / "host",
            "AuthorizedKeysFile": self.directory / "authorized_keys",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "forced-commands-only",
            "AcceptEnv": "GIT_* LIMMAT_*",
        }
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        log = self.directory / "log"
        with log.open("wb") as out:
            daemon = subprocess.Popen([program, "-D", "-e", "-f", "/dev/null", *options], stderr=out)
        try:
            wait_until(lambda: "Server listening" in log.read_text() or daemon.poll() is not None, "sshd")
            assert daemon.poll() is None, log.read_text()
            yield
        finally:
            daemon.terminate()
            daemon.wait()

    def argv(self, name: str) -> list[str]:
        """Return how somebody calls ssh; the host comes after it."""
        known = f"UserKnownHostsFile={self.directory / 'known'}"
        options = ("IdentitiesOnly=yes", "StrictHostKeyChecking=no", "LogLevel=ERROR", known)
        words = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "/dev/null", "-i", str(self.directory / name), "-p", str(self.port), *words]

    def call(self, name: str, line: str, **sent: str) -> tuple[int, str]:
        """Return the status of a command and what it says."""
        words = [word for key in sent for word in ("-o", f"SendEnv={key}")]
        done = subprocess.run(
            [*self.argv(name), *words, f"{ACCOUNT}@127.0.0.1", *([line] if line else [])],
            env=self.server.bare.environment | sent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    def clone(self, name: str) -> Repo:
        """Return a clone that goes through here as somebody."""
        made = self.server.clone(name)
        made.git("remote", "set-url", "origin", f"ssh://{ACCOUNT}@127.0.0.1{self.server.path}")
        made.environment |= {"GIT_SSH_COMMAND": shlex.join(self.argv(name))}
        return made

    def _keygen(self, name: str) -> str:
        path = self.directory / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path.with_suffix(".pub").read_text().strip()


def test_over_ssh_the_key_says_who_it_is(server: Server, tmp_path: Path) -> None:
    """Pushes, commands and fetches; what the client says in variables changes nothing."""
    ssh = Ssh(tmp_path / "ssh", server, ("alice", "rita"))
    with ssh.running():
        alice = ssh.clone("alice")
        alice.commit("one")
        assert "change 1 is new: one" in push(alice, FOR, by="ada")
        assert server.change(1).author == "alice"
        assert "'alice' is no reviewer" in push(alice, FOR, options=("r+",), by="rita", status=1)
        assert "moved by the merge queue only" in push(alice, "HEAD:main", status=1)
        rita = ssh.clone("rita")
        rita.git("fetch", "-q", "origin", "refs/limmat/queue/*:refs/limmat/remotes/origin/queue/*")
        rita.git("checkout", "-q", "--detach", "refs/limmat/remotes/origin/queue/changes/1/heads/1")
        push(rita, "HEAD:refs/for/main/1", options=("r+",), by="")
        approval = server.change(1).approval
        assert approval is not None
        assert approval.by == "rita"

        status, said = ssh.call("alice", "limmat queue comment 1 --message 'a b'", LIMMAT_QUEUE_USER="ada")
        assert status == 0, said
        assert [(each.actor, each.text) for each in server.change(1).comments] == [("alice", "a b")]
        assert "one" in ssh.call("rita", "git limmat queue list")[1]
        for line, words in (("", "there is no shell here"), ("id", "cannot be called from afar")):
            status, said = ssh.call("alice", line, LIMMAT_QUEUE_USER="ada")
            assert status == 128
            assert words in said
        status, said = ssh.call("alice", f"git-upload-pack '{tmp_path}/nothing'")
        assert status == 128
        assert "Traceback" not in said


@pytest.mark.parametrize("name", ["limmat", "a b", "-x"])
def test_a_bad_name_in_authorized_keys_gets_nothing(server: Server, name: str) -> None:
    """The one who has set the server up sees what is wrong when it is tried."""
    done = server.bare.program("queue", "shell", name, SSH_ORIGINAL_COMMAND="git-upload-pack 'x'")
    assert done.returncode in (128, 129)
    assert b"Traceback" not in done.stderr


# A real git http-backend.


def told_to_set() -> list[str]:
    """Return the variables that the man page has a web server set; what is missing there is missing here."""
    page = Path(__file__).parent.parent / "man" / "man1" / "git-limmat-queue.1"
    return re.findall(r"^SetEnv (\w+)", page.read_text(), re.MULTILINE)


class Backend(BaseHTTPRequestHandler):
    """A web server in small: a login by any password, then git http-backend."""

    root: Path
    environment: dict[str, str]
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        login = self.headers.get("Authorization", "").partition("Basic ")[2]
        if not login:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length", "0")
        variables = {
            **dict.fromkeys(told_to_set(), ""),
            "GIT_PROJECT_ROOT": str(self.root),
            "REMOTE_USER": base64.b64decode(login).decode().partition(":")[0],
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": length,
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "LIMMAT_QUEUE_USER": "ada",
        }
        done = subprocess.run(
            ["git", "http-backend"],
            env=self.environment | variables,
            input=self.rfile.read(int(length)),
            stdout=subprocess.PIPE,
            check=False,
        )
        headers, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in headers.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def test_over_http_the_login_says_who_it_is(server: Server) -> None:
    """REMOTE_USER is what the web server vouches for."""
    server.set_up(Wanted(identity=Identity.HTTP))
    handler = type(
        "Handler", (Backend,), {"root": server.path.parent, "environment": server.bare.environment}
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        try:
            clone = server.clone("clone")
            clone.commit("one")

            def address(name: str) -> str:
                return f"http://{name}:x@127.0.0.1:{web.server_port}/server.git"

            assert "change 1 is new: one" in push(clone, FOR, to=address("walt"))
            assert server.change(1).author == "walt"
            assert "is no reviewer" in push(clone, FOR, to=address("walt"), options=("r+",), status=1)
            push(clone, "HEAD:refs/for/main/1", to=address("rita"), options=("r+",))
            assert server.change(1).is_approved
            assert "is the queue itself" in push(clone, FOR, to=address("limmat"), status=1)
            assert "moved by the merge queue only" in push(clone, "HEAD:main", to=address("ada"), status=1)
        finally:
            web.shutdown()
            thread.join()


# A real gitolite.


class Gitolite:
    """A gitolite in a home of its own, and what stands for ssh: it starts gitolite's shell for somebody."""

    def __init__(self, make_repo: Callable[..., Repo], directory: Path) -> None:
        self.home = directory
        directory.mkdir()
        key = directory / "ada"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self.first = make_repo("first")
        self.environment = self.first.environment | {"HOME": str(directory), "USER": ACCOUNT}
        gitolite = shutil.which("gitolite")
        assert gitolite is not None, "gitolite3 is not installed"
        done = subprocess.run(
            [gitolite, "setup", "-pk", f"{key}.pub"], env=self.environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        place = subprocess.run(
            [gitolite, "query-rc", "GL_BINDIR"],
            env=self.environment,
            capture_output=True,
            check=True,
            text=True,
        )
        shell = Path(place.stdout.strip()) / "gitolite-shell"
        self.ssh = directory / "fake-ssh"
        self.ssh.write_text(
            "#!/bin/sh\n# the host, then the command\nshift\n"
            f'export HOME={shlex.quote(str(directory))} SSH_ORIGINAL_COMMAND="$1"\n'
            "export SSH_CONNECTION='127.0.0.1 1 127.0.0.1 22' LIMMAT_QUEUE_USER=ada REMOTE_USER=ada\n"
            f'exec {shlex.quote(str(shell))} "$GITOLITE_PERSON"\n'
        )
        self.ssh.chmod(0o755)
        self.bare = Repo(directory / "repositories" / "testing.git", self.environment)

    def go_through(self, repo: Repo, name: str) -> Repo:
        """Let a repository come here as somebody."""
        repo.environment |= {"GIT_SSH": str(self.ssh), "GIT_SSH_VARIANT": "simple", "GITOLITE_PERSON": name}
        repo.git("remote", "remove", "origin", check=False)
        repo.git("remote", "add", "origin", "git@host:testing")
        return repo


def test_over_gitolite_its_user_counts(make_repo: Callable[..., Repo], tmp_path: Path) -> None:
    """GL_USER is what it vouches for; its own hook goes on running and its rules go on holding."""
    gitolite = Gitolite(make_repo, tmp_path / "gitolite")
    update = gitolite.bare.path / "hooks" / "update"
    before = update.readlink()
    words = ("--identity", "gitolite", "--admin", "ada", "--reviewer", "rita", "--target", "main")
    gitolite.bare.limmat("queue", "init", "--yes", *words)
    first = gitolite.go_through(gitolite.first, "ada")
    base = first.commit("base")
    push(first, "HEAD:main", by="")
    first.commit("one")

    gitolite.go_through(first, "bob")
    assert "change 1 is new: one" in push(first, FOR)
    assert "moved by the merge queue only" in push(first, "HEAD:main", status=1)
    push(first, "HEAD:topic")
    gitolite.go_through(first, "rita")
    push(first, "HEAD:refs/for/main/1", options=("r+",))

    said = gitolite.bare.git("log", "--format=%an %s", "refs/limmat/queue/changes/1/meta").splitlines()
    assert [line.split()[0] for line in said] == ["rita", "bob"]
    assert gitolite.bare.git("rev-parse", "main") == base
    assert update.readlink() == before


def test_commands_from_afar_are_commands_of_the_queue() -> None:
    """Of all there are, those that set the server up, run on it or serve it are left out."""
    assert set(COMMANDS) - VERBS <= {"init", "serve", "web", "html", "follow", "diff", "share"}
    assert set(COMMANDS) >= VERBS
