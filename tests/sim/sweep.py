"""The n-th call of the hub's commit path fails, n = 1, 2, 3 ... until a run is not touched any more.

    sweep.py STRIDE [JOBS]     every STRIDE-th write, each sweep from a random one on, every sync and name, and every
                               STRIDE * 20-th allocation
    sweep.py 1                 every n
"""
import errno
import os
import subprocess
import sys
import time

import sim
from hub_cuts import in_children

# name, classes, action, errno
SWEEPS = [
    ("write fails", sim.WRITE, sim.ONCE, errno.EIO),
    ("write fails from then on", sim.WRITE, sim.EVER, errno.EIO),
    ("write finds the disk full", sim.WRITE, sim.ONCE, errno.ENOSPC),
    ("write is short", sim.WRITE, sim.SHORT, 0),
    ("killed at a write", sim.WRITE, sim.KILL, 0),
    ("sync fails", sim.SYNC, sim.ONCE, errno.EIO),
    ("sync fails from then on", sim.SYNC, sim.EVER, errno.EIO),
    ("killed at a sync", sim.SYNC, sim.KILL, 0),
    ("name or size fails", sim.RENAME | sim.CREATE | sim.RESIZE | sim.UNLINK, sim.ONCE, errno.EIO),
    ("name or size finds the disk full", sim.RENAME | sim.CREATE | sim.RESIZE, sim.ONCE, errno.ENOSPC),
    ("killed at a name or size", sim.RENAME | sim.CREATE | sim.RESIZE | sim.UNLINK, sim.KILL, 0),
    ("memory is refused", sim.ALLOCATE, sim.ONCE, errno.ENOMEM),
    ("memory is refused from then on", sim.ALLOCATE, sim.EVER, errno.ENOMEM),
    ("killed when asking for memory", sim.ALLOCATE, sim.KILL, 0),
]
MEMORY_STRIDE = 20


def sweep(name, classes, action, error, first, stride, space):
    control = sim.Control(space / "control")
    environment = {**sim.ENVIRONMENT, **control.environment(space), "TMPDIR": str(space), "CASEBUS_SIM_SYNC_US": "0"}
    done = subprocess.run([sim.HELPERS / "sim_commit", *map(str, (classes, action, error, 1, first, stride))], capture_output=True,
                          text=True, env=environment)
    last = done.stdout.splitlines()[-1] if done.stdout.strip() else ""
    if done.returncode != 0 or not last.startswith("swept "):
        raise AssertionError(f"{name} (from {first} by {stride}): {done.stdout[-800:]}{done.stderr[-800:]}")
    runs, ended, killed = map(int, last.split()[1:])
    return {name: runs, "runs": runs, "ended with a sentence": ended, "killed": killed}


def main():
    stride = int(sys.argv[1])
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else min(2, os.cpu_count() or 1)
    chance = sim.chance("sweep")
    only = os.environ.get("CASEBUS_SIM_ONLY", "")
    plan = []
    for entry in SWEEPS:
        step = {sim.ALLOCATE: stride * MEMORY_STRIDE if stride > 1 else 1, sim.WRITE: stride}.get(entry[1], 1)
        plan.append((*entry, chance.randrange(step) + 1, step))
    plan = [entry for entry in plan if only in entry[0]]

    def work(job, place):
        counts = {}
        for index, entry in enumerate(plan[job::jobs]):
            folder = place / str(index)
            folder.mkdir()
            for key, value in sweep(*entry, folder).items():
                counts[key] = counts.get(key, 0) + value
        return counts

    began = time.monotonic()
    with sim.space() as space:
        counts = in_children(jobs, space, work)
    print(f"every acknowledged event is there after {dict(counts)} in {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
