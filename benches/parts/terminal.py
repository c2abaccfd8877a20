"""A program in a pseudo-terminal: when it wrote what, and what it takes."""
import fcntl
import glob
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from common import TICK, stat
from screen import Screen

SIZE = (120, 40)
class Term:
    """A program in a pseudo-terminal: when it wrote what."""

    def __init__(self, command, env, cwd, size=SIZE):
        self.began = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            try:
                os.execvpe(command[0], command, env)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.raw, self.over, self.screen = bytearray(), False, Screen(*size)

    def read(self, until):
        """Reads until a moment or some bytes; answers the questions that a terminal is asked."""
        left = until - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            data = b""
        if not data:
            self.over = True
            return False
        self.raw += data
        self.screen.feed(data)
        for asked, answer in ((b"\x1b[6n", b"\x1b[1;1R"), (b"\x1b[c", b"\x1b[?62;c"), (b"\x1b[>c", b"\x1b[>0;0;0c")):
            if asked in data:
                os.write(self.fd, answer)
        return True

    def type(self, keys):
        os.write(self.fd, keys)

    def answer(self, keys, mark, longest):
        """Seconds from some keys until a mark stands in another row; what changes by itself meanwhile does not count."""
        rows = lambda: [n for n, row in enumerate(self.screen.rows) if mark in row]
        began, before = time.monotonic(), rows()
        self.type(keys)
        while rows() == before:
            if not self.read(began + longest) and time.monotonic() >= began + longest:
                raise RuntimeError(f"{keys!r} was not answered within {longest} s")
        return time.monotonic() - began

    def until(self, pattern, longest=120):
        """Seconds from the start until the screen shows it."""
        deadline = time.monotonic() + longest
        while not re.search(pattern, self.screen.text()):
            self.read(deadline)
            if self.over or time.monotonic() >= deadline:
                raise RuntimeError(f"never showed {pattern!r}:\n{self.screen.text()}")
        return time.monotonic() - self.began

    def rest(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.over:
            self.read(deadline)

    def family(self, pid=None):
        pid = pid or self.pid
        all_of_it = [pid]
        for path in glob.glob(f"/proc/{pid}/task/*/children"):
            try:
                for child in open(path, encoding="ascii").read().split():
                    all_of_it += self.family(int(child))
            except OSError:
                pass
        return all_of_it

    def memory(self):
        """Resident memory of it and its children in MiB."""
        total = 0
        for pid in self.family():
            text = open(f"/proc/{pid}/status", encoding="utf-8").read()
            total += int(re.search(r"VmRSS:\s+(\d+)", text).group(1))
        return total / 1024

    def processor(self):
        total = 0
        for pid in self.family():
            fields = stat(pid)
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def end(self):
        for pid in reversed(self.family()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)
