"""Host settings: their sources, and values as git understands them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo

from gitlimmat.config.records import Config
from gitlimmat.config.settings import SETTINGS, Settings, resolve
from gitlimmat.config.sources import Background, Glyphs, Notify, PrePush, Source
from gitlimmat.config.values import expand_home, parse_bool, parse_int, parse_notes_ref
from gitlimmat.errors import ConfigError, UsageError
from gitlimmat.model import ConfigValue, Test


def _git(key: str, value: str | None, scope: str = "local", origin: str = "file:.git/config") -> ConfigValue:
    return ConfigValue(key=key.lower(), value=value, scope=scope, origin=origin)


def _resolve(
    *git: ConfigValue,
    file: Config | None = None,
    environment: dict[str, str] | None = None,
    **options: str | int | Path | None,
) -> Settings:
    return resolve(
        options=options,
        environment=environment or {},
        git=git,
        processors=6,
        cwd=Path("/cwd"),
        top=Path("/top"),
        file=file,
    )


def test_settings_have_defaults() -> None:
    """With nothing said, every setting has its documented default, and says so."""
    found = _resolve()
    assert found == Settings(
        num_worktrees=8,
        jobs=6,
        worktree_dir=None,
        worktree_prefix="limmat-worktree",
        result_db=None,
        base=None,
        notes_ref="refs/notes/limmat",
        config=None,
        cache_size=2 * 1024**3,
        glyphs=Glyphs.ASCII,
        notify=False,
        notify_idle=0,
        http_sockaddr="127.0.0.1:0",
        hostname=None,
        shared_jobs=None,
        shared_resources=(),
        background=Background.HEAD,
        pre_push=PrePush.WARN,
        program=None,
        origins={setting.name: "default" for setting in SETTINGS},
        sources={setting.name: Source.DEFAULT for setting in SETTINGS},
    )
    assert set(Settings.__struct_fields__) - {setting.name for setting in SETTINGS} == {
        "origins",
        "sources",
        "warnings",
    }


def test_settings_take_the_strongest_source() -> None:
    """Option, environment, git config, file, default: the first that says something counts."""
    file = Config(num_worktrees=4)
    git = _git("limmat.numWorktrees", "3")
    environment = {"LIMMAT_NUM_WORKTREES": "2"}
    found = [
        _resolve(git, file=file, environment=environment, num_worktrees=1),
        _resolve(git, file=file, environment=environment),
        _resolve(git, file=file),
        _resolve(file=file),
        _resolve(),
    ]
    assert [each.num_worktrees for each in found] == [1, 2, 3, 4, 8]
    assert [each.origins["num_worktrees"] for each in found] == [
        "option --num-worktrees",
        "environment LIMMAT_NUM_WORKTREES",
        "git config limmat.numWorktrees (local, file:.git/config)",
        "file limmat.toml",
        "default",
    ]
    assert [each.sources["num_worktrees"] for each in found] == list(Source)


def test_settings_take_the_last_value_of_git_config() -> None:
    """git lists values from the weakest to the strongest."""
    found = _resolve(_git("limmat.jobs", "2", "global", "file:/home/u/.gitconfig"), _git("LIMMAT.JOBS", "1k"))
    assert found.jobs == 1024
    assert found.origins["jobs"] == "git config limmat.jobs (local, file:.git/config)"


def test_jobs_follow_the_worktrees_when_those_are_stated() -> None:
    """By default a job for each worktree asked for, else for each processor; 0 asks for the default."""
    assert _resolve(num_worktrees=3).jobs == 3
    assert _resolve(num_worktrees=3, jobs=2).jobs == 2
    assert _resolve(_git("limmat.jobs", "5"), jobs=0).jobs == 6
    assert _resolve(num_worktrees=0).jobs == 6


def test_paths_are_absolute() -> None:
    """Options and environment start where the user is, git config at the top of the worktree or at home."""
    found = _resolve(
        _git("limmat.resultDb", "~/db"),
        _git("limmat.worktreeDir", "w"),
        environment={"HOME": "/home/u", "LIMMAT_CONFIG": "x.toml"},
    )
    assert (found.result_db, found.worktree_dir, found.config) == (
        Path("/home/u/db"),
        Path("/top/w"),
        Path("/cwd/x.toml"),
    )
    assert _resolve(config="/dev/stdin").config == Path("/dev/stdin")
    assert _resolve(_git("limmat.config", "")).config is None


def test_empty_variable_counts_as_unset_but_turns_notes_off() -> None:
    """An empty LIMMAT_CONFIG names no file; an empty notes ref means no notes."""
    empty = {"LIMMAT_CONFIG": "", "LIMMAT_JOBS": "", "LIMMAT_NOTES_REF": ""}
    found = _resolve(_git("limmat.jobs", "2"), environment=empty)
    assert (found.config, found.jobs, found.notes_ref) == (None, 2, None)


def test_shared_resources_are_all_that_git_config_names() -> None:
    """Each value counts once; an empty one takes back those before it, as with other keys of git."""
    key = "limmat.sharedResource"
    assert _resolve(_git(key, "db"), _git(key.upper(), "gpu"), _git(key, "db")).shared_resources == (
        "db",
        "gpu",
    )
    assert _resolve(_git(key, "db"), _git(key, ""), _git(key, "gpu")).shared_resources == ("gpu",)
    assert _resolve(_git(key, "db"), _git(key, "")).shared_resources == ()


def test_no_shared_jobs_means_any_number() -> None:
    """Zero is how a repository says that it does not take part."""
    assert _resolve(_git("limmat.sharedJobs", "3")).shared_jobs == 3
    assert _resolve(_git("limmat.sharedJobs", "3"), _git("limmat.sharedJobs", "0")).shared_jobs is None


def test_base_is_named_by_an_argument() -> None:
    """The range's start is an argument of the command, and is kept as written."""
    found = _resolve(_git("limmat.base", "origin/main"), base="HEAD~3")
    assert (found.base, found.origins["base"]) == ("HEAD~3", "argument")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, True),
        ("yes", True),
        ("1", True),
        ("off", False),
        ("", False),
        ("notify-me --loud", "notify-me --loud"),
        ("99999999999", "99999999999"),
    ],
)
def test_notices_are_off_or_on_or_a_command(value: str | None, expected: Notify) -> None:
    """A truth value is read as git does; all else is a command."""
    assert _resolve(_git("limmat.notify", value)).notify == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Glyphs.ASCII),
        ({"LANG": "de_DE.UTF-8"}, Glyphs.UNICODE),
        ({"LANG": "C.utf8"}, Glyphs.UNICODE),
        ({"LANG": "en_US.UTF-8@euro", "LC_CTYPE": ""}, Glyphs.UNICODE),
        ({"LC_CTYPE": "UTF-8"}, Glyphs.UNICODE),
        ({"LANG": "en_US.UTF-8", "LC_CTYPE": "C"}, Glyphs.ASCII),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, Glyphs.ASCII),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, Glyphs.UNICODE),
        ({"LANG": "de_DE.ISO-8859-1"}, Glyphs.ASCII),
        ({"LC_CTYPE": "C.UTF-8"}, Glyphs.ASCII),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "de_DE.UTF-8"}, Glyphs.UNICODE),
    ],
)
def test_glyphs_are_those_that_the_locale_can_show(environment: dict[str, str], expected: Glyphs) -> None:
    """LC_ALL before LC_CTYPE before LANG; what Python itself puts into LC_CTYPE does not count."""
    assert _resolve(environment=environment).glyphs is expected
    assert _resolve(_git("limmat.glyphs", "Emoji"), environment=environment).glyphs is Glyphs.EMOJI


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "localhost:8080", "[::1]:0", "[fe80::1%eth0]:1", ":65535", "8080"]
)
def test_an_address_is_kept_as_written(address: str) -> None:
    """Whoever listens there wants to see what was asked for."""
    assert _resolve(_git("limmat.httpSockaddr", address)).http_sockaddr == address


@pytest.mark.parametrize("name", ["desk", "desk.example.org", "10.0.0.1", "::1", "[::1]", "büro"])
def test_a_host_has_a_name_or_an_address(name: str) -> None:
    """All that can stand for a host in a URL."""
    assert _resolve(_git("limmat.hostname", name)).hostname == name


@pytest.mark.parametrize(
    ("git", "message"),
    [
        (
            _git("limmat.jobs", "x"),
            "bad numeric config value 'x' for 'limmat.jobs' in file:.git/config: invalid unit",
        ),
        (
            _git("limmat.jobs", None),
            "bad numeric config value '' for 'limmat.jobs' in file:.git/config: invalid unit",
        ),
        (
            _git("limmat.cacheSize", "9999999999g"),
            "bad numeric config value '9999999999g' for 'limmat.cacheSize' in file:.git/config: out of range",
        ),
        (
            _git("limmat.numWorktrees", "-1"),
            "bad numeric config value '-1' for 'limmat.numWorktrees' in file:.git/config: negative",
        ),
        (
            _git("limmat.notesRef", "a..b"),
            "bad config value 'a..b' for 'limmat.notesRef' in file:.git/config: not a valid ref name",
        ),
        (
            _git("limmat.base", None),
            "bad config value '' for 'limmat.base' in file:.git/config: it has no value",
        ),
        (
            _git("limmat.config", "~u/x"),
            "bad config value '~u/x' for 'limmat.config' in file:.git/config: only '~/' is understood",
        ),
        (
            _git("limmat.worktreePrefix", "a/b"),
            "bad config value 'a/b' for 'limmat.worktreePrefix' in file:.git/config: it has a '/'",
        ),
        (
            _git("limmat.glyphs", "runes"),
            "bad config value 'runes' for 'limmat.glyphs' in file:.git/config: not emoji, unicode or ascii",
        ),
        (
            _git("limmat.background", "on"),
            "bad config value 'on' for 'limmat.background' in file:.git/config: not off, head or range",
        ),
        (
            _git("limmat.prePush", "refuse"),
            "bad config value 'refuse' for 'limmat.prePush' in file:.git/config: not warn, block or off",
        ),
        (
            _git("limmat.notifyIdle", "soon"),
            "bad numeric config value 'soon' for 'limmat.notifyIdle' in file:.git/config: invalid unit",
        ),
        (
            _git("limmat.httpSockaddr", "localhost"),
            "bad config value 'localhost' for 'limmat.httpSockaddr' in file:.git/config: "
            "not of the form HOST:PORT",
        ),
        (
            _git("limmat.httpSockaddr", ":65536"),
            "bad config value ':65536' for 'limmat.httpSockaddr' in file:.git/config: no such port",
        ),
        (
            _git("limmat.hostname", "http://me/"),
            "bad config value 'http://me/' for 'limmat.hostname' in file:.git/config: not a name of a host",
        ),
    ],
)
def test_settings_name_key_value_and_file_when_git_config_is_bad(git: ConfigValue, message: str) -> None:
    """The user learns which line of which file to mend."""
    with pytest.raises(ConfigError) as caught:
        _resolve(git)
    assert caught.value.message == message
    assert caught.value.faults == (message,)


def test_settings_tell_all_faults() -> None:
    """Several bad values are one error; a bad value that a stronger source hides is none."""
    with pytest.raises(ConfigError, match="2 settings are bad") as caught:
        _resolve(_git("limmat.jobs", "x"), _git("limmat.cacheSize", "y"), environment={"LIMMAT_BASE": "z"})
    assert len(caught.value.faults) == 2
    assert _resolve(_git("limmat.jobs", "x"), jobs=1).jobs == 1


def test_settings_blame_the_command_line_when_an_option_is_bad() -> None:
    """A bad option is a usage error."""
    with pytest.raises(UsageError, match="bad numeric value 'many' for '--jobs': invalid unit"):
        _resolve(jobs="many")
    with pytest.raises(ConfigError, match="bad numeric value 'many' for 'LIMMAT_JOBS'"):
        _resolve(environment={"LIMMAT_JOBS": "many"})


def test_settings_refuse_no_worktrees_when_a_test_needs_one() -> None:
    """Nobody waits for a worktree that never comes; what says 0 is named."""
    file = Config(tests=(Test(name="a", command="b"),))
    with pytest.raises(ConfigError, match=r"'0' for 'limmat.numWorktrees' in .*: test 'a' needs a worktree"):
        _resolve(_git("limmat.numWorktrees", "0"), file=file)
    inside = Config(tests=(Test(name="a", command="b", requires_worktree=False),))
    assert _resolve(file=inside, num_worktrees=0).num_worktrees == 0


def test_unknown_keys_of_ours_are_warnings() -> None:
    """A misspelt key does not stop anyone, but is not silent either; keys of others are not our concern."""
    found = _resolve(_git("limmat.numWorktree", "3"), _git("limmat.x.y", "1"), _git("core.bare", "false"))
    assert found.warnings == (
        "unknown git setting 'limmat.numworktree' in file:.git/config, did you mean 'numWorktrees'?",
        "unknown git setting 'limmat.x.y' in file:.git/config",
    )


NUMBERS = (
    "0", "1", "-1", "+7", " 5", "5 ", "010", "08", "0x10", "0X1f", "0xg", "1k", "1K", "3m", "1g", "2g", "-2g",
    "1kk", "k", "2147483647", "2147483648", "-2147483648", "-2147483649", "1.5", "1_0", "",
    "x", "0x", "1 k", "--1", "٣", "\t1",
)  # fmt: skip
WORDS = (
    "true",
    "TRUE",
    "yes",
    "Yes",
    "on",
    "false",
    "no",
    "off",
    "",
    "1",
    "0",
    "2",
    "-1",
    "0x0",
    "1k",
    "y",
    "t",
    "x",
)
REFS = (
    "a", "a/b", "notes/a", "refs/notes/a", "refs/heads/a", "a.lock", "a.lock/b", "a..b", ".a", "a/.b", "a.",
    "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a@{1}", "@", "a//b", "/a", "a/", "a\x7f", "é",
    "a\tb", "a.lockx", "{", "-a",
)  # fmt: skip


def _git_says(repo: Repo, kind: str, value: str) -> str | None:
    done = subprocess.run(
        ["git", "config", "--file", "-", f"--type={kind}", "x.y"],
        input='[x]\n\ty = "' + value.replace("\\", "\\\\") + '"\n',
        cwd=repo.path,
        env=repo.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _ours(read: Callable[[str], object], value: str) -> str | None:
    try:
        return str(read(value)).lower()
    except ValueError:
        return None


def test_numbers_are_those_of_git(repo: Repo) -> None:
    """Units, bases, signs and blanks: what git takes for a number we do, up to the range of an int."""

    def wide(text: str) -> int:
        return parse_int(text, limit=(1 << 63) - 1)

    assert {text: _ours(wide, text) for text in NUMBERS} == {
        text: _git_says(repo, "int", text) for text in NUMBERS
    }
    assert (_ours(parse_int, "2g"), _ours(parse_int, "2147483647")) == (None, "2147483647")


def test_truth_values_are_those_of_git(repo: Repo) -> None:
    """Words in any case, numbers, and a key without a value."""
    assert {text: _ours(parse_bool, text) for text in WORDS} == {
        text: _git_says(repo, "bool", text) for text in WORDS
    }
    assert parse_bool(None) is True


def test_notes_refs_are_those_of_git(repo: Repo) -> None:
    """A short name is completed as `git notes --ref` does, and one that no ref can have is refused."""
    for name in REFS:
        completed = repo.git("notes", f"--ref={name}", "get-ref")
        checked = subprocess.run(["git", "check-ref-format", completed], env=repo.environment, check=False)
        assert _ours(parse_notes_ref, name) == (completed if checked.returncode == 0 else None), name


@pytest.mark.parametrize("word", ["off", "no", "false", "", "0", "OFF"])
def test_notes_are_off_when_the_value_is_false(word: str) -> None:
    """Any spelling of false turns the view off; true gives the default back."""
    assert parse_notes_ref(word) is None
    assert parse_notes_ref("true") == parse_notes_ref(None) == "refs/notes/limmat"


def test_home_is_expanded_as_git_does() -> None:
    """Only a leading tilde means the home directory."""
    assert expand_home("~", "/h").rstrip("/") == "/h"
    assert expand_home("~/a/~", "/h") == "/h/a/~"
    assert expand_home("a/~", None) == "a/~"
    with pytest.raises(ValueError, match="HOME"):
        expand_home("~/a", None)
