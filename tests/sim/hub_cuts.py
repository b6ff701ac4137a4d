"""Power cuts of a hub: whatever was acknowledged is found, in a ledger that is the beginning of the one that came to be.

    hub_cuts.py N [JOBS]
"""
import collections
import json
import os
import random
import subprocess
import sys
import time

import disk
import sim
from recording import Recording, harness

EVENTS = 500
STATE_EVERY = 8  # looks, one compares the derived state with a rebuilt one


class Checker:
    """sim_hub: one process that forks for each look."""

    def __init__(self, reference):
        self.process = subprocess.Popen([sim.HELPERS / "sim_hub", str(reference)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env={**sim.ENVIRONMENT, **sim.no_sync()})
        self.said = self.process.stdout.readline().rstrip()
        if not self.said.startswith("reference "):
            raise AssertionError(self.said)

    def look(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def cut_some(recording, points, seed, space):
    """A share of the cuts, in a process of its own."""
    chance = random.Random(seed)
    checker = Checker(recording.finished(space / "reference"))
    counts = collections.Counter()
    image = space / "image"
    hub = recording.hub.dir.name
    for n, point in enumerate(sim.told(disk.cuts(recording.model, recording.ops, points, chance), len(points))):
        least = recording.acknowledged(recording.ops[point - 1].time_ns)
        state = chance.getstate()
        manner = recording.model.image(image, chance, under=hub)
        answer = checker.look("state" if n % STATE_EVERY == 0 else "cut", image, least)
        counts[manner] += 1
        if not answer.startswith("ok "):
            chance.setstate(state)
            kept = sim.keep("hub", lambda target: recording.model.image(target, chance, under=hub))
            raise AssertionError(f"cut ({manner}) before operation {point} of {len(recording.ops)}"
                                 f" ({recording.ops[point - 1]}), {least} acknowledged: {answer}\nkept: {kept}")
        if least and int(answer.split()[1]) == least:
            counts["nothing beyond what was acknowledged"] += 1
    checker.close()
    return counts


def in_children(jobs, space, work):
    """Does work(job, folder) in as many processes, and adds up the counters that they give."""
    children, counts, failures = [], collections.Counter(), []
    for job in range(jobs):
        place = space / f"job{job}"
        place.mkdir()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.write(writer, json.dumps(work(job, place)).encode())
                code = 0
            except BaseException as err:  # pylint: disable=broad-except
                os.write(writer, f"{type(err).__name__}: {err}".encode()[:60000])
            finally:
                os._exit(code)
        os.close(writer)
        children.append((pid, reader))
    for pid, reader in children:
        with os.fdopen(reader) as file:
            said = file.read()
        if os.waitpid(pid, 0)[1] != 0:
            failures.append(said)
        else:
            counts.update(json.loads(said))
    if failures:
        raise AssertionError("\n".join(failures))
    return counts


def cut_all(recording, n, jobs, space):
    """Each process plays the tape by itself and stops at every so-many-th of the points."""
    points = recording.points(n)
    return in_children(jobs, space, lambda job, place: cut_some(recording, points[job::jobs], f"{sim.SEED}{job}", place))


class Owner:
    """Stands in for a unittest.TestCase."""

    def addCleanup(self, *_):
        pass

    @staticmethod
    def id():
        return "sim"


def main():
    n = int(sys.argv[1])
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else min(2, os.cpu_count() or 1)
    chance = sim.chance()
    world = harness.World(Owner())
    with sim.space() as space:
        try:
            began = time.monotonic()
            recording = Recording(world, chance, EVENTS)
            recorded = time.monotonic()
            counts = cut_all(recording, n, jobs, space)
        finally:
            world.close()
    print(f"{n} power cuts of a hub with {recording.sent} events in {len(recording.ops)} operations: every acknowledged event"
          f" was found {dict(counts)}; recorded in {recorded - began:.1f} s, cut in {time.monotonic() - recorded:.1f} s", flush=True)


if __name__ == "__main__":
    main()
