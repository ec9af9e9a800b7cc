"""Threads share heaps."""

import subprocess
import sys

PROGRAM = """
import re, sys, threading
from registry_mesh.assembly.supervision.allocator import few_arenas
if sys.argv[1] == "few":
    assert few_arenas()
together = threading.Barrier(12)
def work():
    kept = [bytes(20_000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
[each.start() for each in threads]
[each.join() for each in threads]
maps = open("/proc/self/maps").read()
print(sum(int(each, 16) % (64 << 20) == 0 for each in re.findall("^([0-9a-f]+)-", maps, re.M)))
"""


def arenas(how: str) -> int:
    """Heaps besides the first: each begins at a multiple of 64 MiB (malloc(3), `HEAP_MAX_SIZE`)."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True)
    return int(ended.stdout)


def test_threads_share_heaps() -> None:
    assert arenas("few") <= 2 < arenas("as it comes")
