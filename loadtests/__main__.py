"""`python -m loadtests`: install the peers, go into a network of our own, measure, report."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fnmatch
import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import traceback
from pathlib import Path
from typing import Any, Final

import loadtests
from loadtests import peers, report
from loadtests.bench import Bench
from loadtests.corpus import Corpus
from loadtests.scenario import ALL, Outcome, Scenario

REPOSITORY = Path(__file__).parent.parent
SCENARIOS = (
    "site.lazy_ranges",
    "site.manifests",
    "site.layers",
    "site.cold_start",
    "site.long_link",
    "site.storm",
    "site.crowd",
    "site.logins",
    "site.hung_parent",
    "site.slow_parents",
    "site.slow_readers",
    "site.workers",
    "site.working_set",
    "site.growth",
    "site.bucket",
    "origin.uploads",
    "origin.catalog",
    "mesh.tiers",
)
QUICK_SECONDS = 150
"""A quick run begins no scenario after so long: it is promised to end within 3 minutes, on a busy machine too."""
OPEN_FILES: Final = 1_048_576
INSIDE: Final = "REGISTRY_MESH_BENCH_INSIDE"
LOOPBACK: Final = 65536
"""The MTU that loopback has by itself."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=loadtests.__doc__)
    parser.add_argument("names", nargs="*", help="scenarios to run, with wildcards (default: all)")
    parser.add_argument(
        "--quick", action="store_true", help="shorter runs of the main scenarios, under 3 minutes"
    )
    parser.add_argument("--list", action="store_true", help="say what is measured, and stop")
    parser.add_argument("--rounds", type=int, help="rounds of each comparison (default: 3)")
    parser.add_argument(
        "--cache", type=Path, default=REPOSITORY / ".cache/loadtests", help="content and stores"
    )
    parser.add_argument("--soak", type=int, default=600, help="seconds of churn (default: 600)")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--mtu", type=int, default=1500, help="of loopback (default: an Ethernet's)")
    parser.add_argument(
        "--profile", type=Path, help="put py-spy's stacks of our own server here (figures suffer)"
    )
    parser.add_argument("--figures", type=Path, help="draw SVG figures here (docs/figures)")
    return parser.parse_args()


def _load_scenarios() -> None:
    """In the order they are run: what matters most comes first."""
    for place in SCENARIOS:
        importlib.import_module(f"loadtests.{place}")


def _chosen(options: argparse.Namespace) -> list[Scenario]:
    wishes = options.names or ["*"]
    return [
        one
        for name, one in ALL.items()
        if name in wishes
        or ((one.quick or not options.quick) and any(fnmatch.fnmatch(name, f"*{wish}*") for wish in wishes))
    ]


def _go_inside(mtu: int) -> int | None:
    """Again in our own network and process namespaces: loopback has an Ethernet's MTU, nothing outside can be
    reached, and the kernel ends whatever is left when we end. The exit code; None where that is not allowed."""
    base = ["unshare", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    if os.geteuid() != 0:
        base[1:1] = ["--map-root-user"]
    if subprocess.run([*base, "ip", "link", "set", "lo", "up"], capture_output=True).returncode:
        return None
    script = f'ip link set lo mtu {mtu} up && exec "$0" -m loadtests "$@"'
    environment = {**os.environ, INSIDE: "1", "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    command = ["setpriv", "--pdeathsig", "KILL", *base, "sh", "-c", script, sys.executable, *sys.argv[1:]]
    inside = subprocess.Popen(command, cwd=REPOSITORY, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return inside.wait()
    finally:
        inside.kill()
        inside.wait()


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "",
    )
    return {
        "commit": commit.stdout.strip() or "unknown",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model,
        "python": sys.version.split()[0],
        "own_namespaces": INSIDE in os.environ,
        "peers": peers.versions(),
    }


def _run(bench: Bench, one: Scenario, mtu: int) -> Outcome:
    """In namespaces of our own loopback's MTU is ours to set."""
    if INSIDE in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "mtu", str(LOOPBACK if one.crowd else mtu)], check=True)
    try:
        outcome = one.run(bench)
    except Exception as error:  # the outer ring: one scenario's failure is not the others'
        traceback.print_exc()
        outcome = Outcome(remarks=[f"failed: {type(error).__name__}: {error}"[:800]])
    outcome.mtu = int(Path("/sys/class/net/lo/mtu").read_text())
    return outcome


def _open_files() -> None:
    """As many as the systemd unit gives, for every server, where we may."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))


def main() -> int:
    options = _arguments()
    _load_scenarios()
    chosen = _chosen(options)
    if options.list:
        for one in chosen:
            print(
                f"{one.name}{'' if one.quick else '  (full run only)'}\n{textwrap.indent(one.about, '    ')}"
            )
        return 0
    if INSIDE not in os.environ:
        peers.install()
        if (code := _go_inside(options.mtu)) is not None:
            return code
        print("no namespaces of our own here: loopback keeps its MTU, others share it", file=sys.stderr)
    _open_files()
    work = options.cache / f"work-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    facts = _facts(options)
    bench = Bench(Corpus(options.cache / "corpus"), work, quick=options.quick, rounds=options.rounds)
    bench.profiles = options.profile
    bench.soak = options.soak
    outcomes: dict[str, Outcome] = {}
    stamp = datetime.date.today().isoformat()
    file = options.results / f"{stamp}-{facts['commit']}{'-quick' if options.quick else ''}.json"
    begun = time.monotonic()
    try:
        for one in chosen:
            if options.quick and not options.names and time.monotonic() - begun > QUICK_SECONDS:
                print(f"\n{one.name}: left out, no time")
                continue
            bench.dirty = 0.0
            started = time.monotonic()
            outcome = outcomes[one.name] = _run(bench, one, options.mtu)
            if bench.dirty > 0.12:
                outcome.remarks.append(
                    f"others used up to {bench.dirty:.2f} cores during runs that are counted"
                )
            print(f"\n{one.name}  ({time.monotonic() - started:.0f} s)\n{report.table(outcome)}", flush=True)
            facts["seconds"] = round(time.monotonic() - begun)
            report.write(file, outcomes, facts)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        print(f"\n{time.monotonic() - begun:.0f} s, {file}")
    if options.figures:
        from loadtests.figures import draw

        draw(report.rows(file), options.figures)
    failed = [
        name for name, outcome in outcomes.items() if any(r.startswith("failed:") for r in outcome.remarks)
    ]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
