"""What processes take, read from real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from registry_mesh.assembly.supervision.processes import Processes


def test_processor_time_of_the_ended_is_kept() -> None:
    processes = Processes()
    busy = "import os\nwhile os.times().user < 0.3: pass\nprint(1, flush=True)\nimport signal; signal.pause()"
    with subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        before = processes.usage([os.getpid(), child.pid, 0])
        child.send_signal(signal.SIGKILL)
        child.wait()
    after = processes.usage([os.getpid()])
    assert before.resident > after.resident > 0
    assert before.files > after.files > 0
    assert after.cpu >= before.cpu >= 0.3
