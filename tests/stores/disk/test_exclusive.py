"""One at a time, among tasks and processes; a dead owner is no owner."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from registry_mesh.stores.disk.exclusive import exclusive

HOLDER = """
import asyncio, sys
from pathlib import Path
from registry_mesh.stores.disk.exclusive import exclusive

async def main():
    async with exclusive(Path(sys.argv[1]), lambda owner: None):
        print("in", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_one_at_a_time(tmp_path: Path) -> None:
    inside = most = 0

    async def enter() -> None:
        nonlocal inside, most
        async with exclusive(tmp_path / "run" / "lock", lambda owner: None):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(3)))
    assert most == 1


async def test_waits_for_another_process_names_it_and_goes_on_when_it_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "in\n"
        seen: list[int | None] = []

        def busy(owner: int | None) -> None:
            seen.append(owner)
            holder.kill()

        async with exclusive(lock, busy):
            assert seen == [holder.pid]
