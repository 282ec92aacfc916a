"""The process that ends our jobs when we cannot do so any more.

Layer: runner.

Jobs are in groups of their own, so nothing ends them when this program is killed by SIGKILL. A shell at
the other end of a pipe is told of every group that starts and ends; when the pipe closes, whatever is
still on its list is ended. It is small, in a session of its own, without any of our files (a lock must not
outlive us through it) and deaf to the signals of a terminal.
"""

from __future__ import annotations

import os
import signal
import subprocess

from gitlimmat.git.environment import OWN_MARK

# Words are `+<group>` and `-<group>`, one a line. At the end, processes outside of the groups are known by
# the mark in their environment (see `strays`); grep and /proc may be missing, then there are only groups.
# The marks also find a job that we had no time to put on the list: hence a second look after a moment.
# `kill -s NAME --` is the one spelling that dash takes for groups.
_SCRIPT = r"""
trap '' HUP INT QUIT TERM PIPE TSTP TTIN TTOU USR1 USR2
groups=' '
while read -r word; do
  group=${word#?}
  case $word in
  +*) groups="$groups$group " ;;
  -*) case $groups in *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;; esac ;;
  esac
done
marked() {
  grep -lF "$1" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ pid _; do
    read -r line <"/proc/$pid/stat" || continue
    set -- ${line##*) }
    case $groups in *" $3 "*) ;; *) echo "$pid" ;; esac
  done 2>/dev/null
}
each() {
  for group in $groups; do kill -s "$1" -- "-$group" 2>/dev/null; done
  for pid in $strays; do kill -s "$1" -- "$pid" 2>/dev/null; done
}
left() {
  for group in $groups; do kill -s 0 -- "-$group" 2>/dev/null && return 0; done
  for pid in $strays; do kill -s 0 -- "$pid" 2>/dev/null && return 0; done
  return 1
}
strays=$(marked "$1")
each TERM
each CONT
turn=0
while [ $turn -eq 0 ] || { left && [ $turn -lt 20 ]; }; do
  sleep 0.1 2>/dev/null || sleep 1
  turn=$((turn + 1))
done
strays=$(marked "$1")
each KILL
"""


class Guardian:
    """Ends the groups on its list within about two seconds after this program is gone.

    `host` is the beginning of the marks of all our jobs. A guardian that was killed or does not listen is
    replaced at the next word; where no shell can be started, jobs run unguarded.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._groups: set[int] = set()
        self._shell: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    def start(self) -> None:
        """Start the shell, with all groups known so far; does nothing when it runs already."""
        if self._shell is not None:
            return
        read_end, write_end = os.pipe()
        try:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "limmat-guardian", self._host],
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), OWN_MARK: "1"},
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            os.close(write_end)
            return
        finally:
            os.close(read_end)
        os.set_blocking(write_end, False)
        self._pipe = write_end
        for group in self._groups:
            self._say(b"+%d\n" % group)

    def add(self, group: int) -> None:
        """Put a group on the list."""
        self._groups.add(group)
        self._tell(b"+%d\n" % group)

    def remove(self, group: int) -> None:
        """Take a group off the list; to be done before its number can be used again."""
        self._groups.discard(group)
        self._tell(b"-%d\n" % group)

    def close(self) -> None:
        """End the guardian without letting it do anything."""
        if self._shell is None:
            return
        self._shell.send_signal(signal.SIGKILL)
        self._shell.wait()
        os.close(self._pipe)
        self._shell, self._pipe = None, -1

    def _tell(self, words: bytes) -> None:
        if self._shell is not None and not self._say(words):
            self.close()
            self.start()

    def _say(self, words: bytes) -> bool:
        try:
            return os.write(self._pipe, words) == len(words)
        except OSError:  # EPIPE: it was killed; EAGAIN: it is stopped
            return False
