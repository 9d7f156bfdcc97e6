"""A process that reads what strangers sent: bounded in time and memory, and without this process's environment.

Parsers of XML and HTML can be made to compute for hours and to fill the memory, and nothing in Python ends them. So the
bytes go to a process of their own, one body after the other, and it is killed with one that takes too long; the next
body finds a new one. It has no keys: of the environment it gets what it needs to find its modules.

What reads them is a module with ``answer(about, body) -> bytes``, named when the process is made.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from types import TracebackType
from typing import IO, Self

#: Lengths of what is told about a body, and of the body.
_ASKED = struct.Struct(">II")
_ANSWERED = struct.Struct(">Q")
#: No more is taken for an answer: what a text becomes in JSON, and some.
_LONGEST = 8
_ROOM = 1 << 20
#: Where libraries are looked for, and the mark by which a world finds the processes that it left behind.
_KEPT = ("LD_LIBRARY_PATH", "TRADING_ASSETS_CHILD")
_OUT_OF_MEMORY = 77
_MIB = 1 << 20

About = Mapping[str, str | None]


class Unread(Exception):
    """A body that was given up; says why, as the end of a sentence that begins with what it is ("the page ...")."""


class NotStarted(Unread):
    """No process could be started: nothing was tried, and nothing is known of the body."""


class ReaderProcess:
    """Lets ``answer`` of ``module`` read bodies in a process that is started with the first one; a context manager.

    ``seconds`` is the longest time of the wall for one body, the start of a process included; ``memory_mib`` all the
    memory of the process, its libraries included. One body at a time.
    """

    def __init__(self, module: str, *, seconds: float, memory_mib: int) -> None:
        self._module, self._seconds, self._memory_mib = module, seconds, memory_mib
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def read(self, about: About, body: bytes) -> bytes:
        """What the module answers to ``body``. Raises ``Unread`` if that takes too much time or memory, or fails."""
        try:
            self._process = self._process or self._start()
        except OSError as problem:
            raise NotStarted(f"cannot be read: no process could be started ({problem})") from problem
        process, late = self._process, threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        limit = threading.Timer(self._seconds, give_up)
        limit.daemon = True
        limit.start()
        try:
            found = _exchange(process, json.dumps(dict(about)).encode(), body)
        finally:
            limit.cancel()
            limit.join()
        if found is not None and not late.is_set():
            return found
        # A process that broke off what it began is not asked again, nor one that was killed after its answer.
        status = self._end()
        if found is not None:
            return found
        if late.is_set():
            raise Unread(f"takes longer than {self._seconds:g} s to read")
        if status == _OUT_OF_MEMORY:
            raise Unread(f"takes more memory than {self._memory_mib} MiB to read")
        raise Unread(f"cannot be read (exit code {status})")

    def _start(self) -> subprocess.Popen[bytes]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        found = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)
        bounds = str(math.ceil(self._seconds)), str(self._memory_mib)
        return subprocess.Popen(
            [sys.executable, "-m", "trading_assets.news.reader_process", self._module, *bounds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": found, **kept},
        )

    def _end(self) -> int | None:
        """How the process ended, by itself or now; None if there is none."""
        process, self._process = self._process, None
        if process is None:
            return None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        # Without its standard input it ends by itself unless it is busy: then there is no use in waiting.
        try:
            return process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _exchange(process: subprocess.Popen[bytes], about: bytes, body: bytes) -> bytes | None:
    """One question and its answer; None if the process ended before the answer was complete, or told too much."""
    assert process.stdin is not None and process.stdout is not None  # both are pipes
    try:
        process.stdin.write(_ASKED.pack(len(about), len(body)) + about)
        process.stdin.write(body)
        process.stdin.flush()
        head = process.stdout.read(_ANSWERED.size)
        if len(head) < _ANSWERED.size:
            return None
        (length,) = _ANSWERED.unpack(head)
        if length > _LONGEST * len(body) + _ROOM:
            return None
        found = process.stdout.read(length)
    except BrokenPipeError:
        return None
    return found if len(found) == length else None


# --- the process itself -----------------------------------------------------------------------------------------------


def serve(module: str, seconds: int, memory_mib: int, asked: IO[bytes], answered: IO[bytes]) -> None:
    """Answer until there is no more to read."""
    _limit(resource.RLIMIT_AS, memory_mib * _MIB)
    answer = import_module(module).answer
    while len(head := asked.read(_ASKED.size)) == _ASKED.size:
        sizes = _ASKED.unpack(head)
        about, body = json.loads(asked.read(sizes[0])), asked.read(sizes[1])
        # Whoever asked may have been killed: then nobody else ends this.
        _limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + seconds + 1)
        found = answer(about, body)
        answered.write(_ANSWERED.pack(len(found)) + found)
        answered.flush()


def _limit(kind: int, most: int) -> None:
    """No more than ``most``, nor than whoever started this may have."""
    _, hard = resource.getrlimit(kind)
    # Not every system can bound the memory of a process; time is bounded all the same.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    try:
        serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.stdin.buffer, sys.stdout.buffer)
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)
