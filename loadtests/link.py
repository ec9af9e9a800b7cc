"""The simulated wide-area link as a process of its own, so that its CPU is apart from everybody's."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from tests.simulators.link import Conditions, Link
from tests.simulators.ports import free_port

GIGABIT = 125_000_000


@dataclass(frozen=True, slots=True)
class Upstream:
    """What went over the link since it was last asked to forget."""

    connections: int
    requests: int
    body_bytes: int


class LinkProcess:
    """A link in front of 127.0.0.1:`to_port`. Use as a context."""

    def __init__(self, to_port: int, conditions: Conditions) -> None:
        self.port = free_port()
        self._first = conditions
        self._to_port = to_port
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> LinkProcess:
        command = [sys.executable, "-m", "loadtests.link", str(self.port), str(self._to_port)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        self.change(self._first)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def _ask(self, question: dict[str, object]) -> dict[str, int]:
        assert (
            self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        )
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer

    def change(self, conditions: Conditions) -> None:
        self._ask({"conditions": asdict(conditions)})

    def seen(self) -> Upstream:
        return Upstream(**self._ask({}))

    def forget(self) -> None:
        self._ask({"forget": True})


async def _serve(port: int, to_port: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Link("127.0.0.1", to_port, port=port) as link:
        while line := await reader.readline():
            question = json.loads(line)
            if "conditions" in question:
                link.conditions = Conditions(**question["conditions"])
            if "forget" in question:
                link.reset_counts()
            counts = link.counts
            seen = Upstream(counts.connections, counts.requests, counts.body_bytes)
            print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
