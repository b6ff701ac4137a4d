"""Single bits of a hub's files, turned one at a time: each is named, or proven to change nothing.

    bits.py N [JOBS]       N bits, chosen at random, each file and each of two hubs having its share
    bits.py all [JOBS]     every bit of what is used

One hub was stopped in order, one was killed. After each turn the stores are opened and brought up as the daemon does it, the
ledger is verified as `casebus ledger verify` does it; then every entry, body, checkpoint, key and root is compared with
what was there before. keys/ and hub.yaml are not turned: README.md of this folder says why. The derived state is compared with
a rebuilt one.
"""
import collections
import os
import random
import shutil
import sys
import time

import sim
from hub_cuts import Checker, Owner, in_children
from recording import Recording, harness

EVENTS = 150
FOLDERS = ("journal", "ledger", "vault", "state")
PAGE = 4096


def used_pages(path):
    """Pages that are not all zeros, and the one behind each."""
    pages = set()
    with open(path, "rb") as file:
        number = 0
        while page := file.read(PAGE):
            if page.strip(b"\0"):
                pages |= {number, number + 1}
            number += 1
    return [page for page in sorted(pages) if page < number]


class Base:
    """A hub's directory to turn bits in."""

    def __init__(self, name, path):
        self.name = name
        self.path = path
        self.files = []  # (name, pages)
        self.sizes = {}
        for folder in FOLDERS:
            for file in sorted((path / folder).iterdir()):
                if file.name not in ("lock", "lock.mdb"):
                    self.files.append((f"{folder}/{file.name}", used_pages(file)))
                    self.sizes[f"{folder}/{file.name}"] = file.stat().st_size * 8

    def sample(self, n, chance):
        """The same share for each folder, in it for each file."""
        bits = []
        for folder in FOLDERS:
            files = [entry for entry in self.files if entry[0].startswith(folder)]
            weights = [len(pages) ** 0.5 for _, pages in files]
            for _ in range(n // len(FOLDERS)):
                name, pages = chance.choices(files, weights)[0]
                bits.append((self, name, min(chance.choice(pages) * PAGE * 8 + self.place(chance), self.sizes[name] - 1)))
        return bits

    @staticmethod
    def place(chance):
        """Anywhere in a page, oftener in its first bytes, where its header is."""
        return chance.randrange(PAGE * 8) if chance.random() < 0.6 else chance.randrange(64 * 8)

    def all(self):
        return [(self, name, page * PAGE * 8 + bit) for name, pages in self.files for page in pages
                for bit in range(min(PAGE * 8, self.sizes[name] - page * PAGE * 8))]


def make_bases(world, chance, space):
    copied = shutil.ignore_patterns("hub.sock", "lock", "lock.mdb")
    recording = Recording(world, chance, EVENTS, receiver=False, taped=False)
    stopped = space / "stopped"
    shutil.copytree(recording.hub.dir, stopped, ignore=copied)
    recording.hub.start()
    drip = harness.Drip(world, recording.offices[0])
    for n in range(40):
        drip.publish(f"late-{n}", f"case-{n}")
    if drip.end() != 0:
        raise AssertionError(drip.process.log())
    recording.hub.kill9()
    killed = space / "killed"
    shutil.copytree(recording.hub.dir, killed, ignore=copied)
    return [Base("stopped", stopped), Base("killed", killed)]


def turn_some(bits, space):
    checkers, counts = {}, collections.Counter()
    failures = []
    for base, name, bit in sim.told(bits, len(bits)):
        if base.name not in checkers:
            reference = space / f"reference-{base.name}"
            shutil.copytree(base.path, reference)
            checkers[base.name] = Checker(reference)
        answer = checkers[base.name].look("flip", base.path, space / "work", name, bit)
        word = answer.split(" ", 1)[0]
        counts[f"{name.split('/')[0]} {word}"] += 1
        if word not in ("same", "named", "crashed"):
            failures.append(f"{base.name}: {name} byte {bit // 8} bit {bit % 8}: {answer}")
            counts[f"! {name.split('/')[0]} {answer[:70]}"] += 1
    if failures and not os.environ.get("CASEBUS_SIM_EXPLORE"):
        raise AssertionError(f"{len(failures)} of {len(bits)} bits:\n" + "\n".join(failures[:20]))
    for failure in failures:
        print(failure, flush=True)
    return counts


def main():
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else min(2, os.cpu_count() or 1)
    chance = sim.chance("bits")
    world = harness.World(Owner())
    with sim.space() as space:
        try:
            bases = make_bases(world, chance, space)
            if sys.argv[1] == "all":
                bits = [bit for base in bases for bit in base.all()]
            else:
                bits = [bit for base in bases for bit in base.sample(int(sys.argv[1]) // len(bases), chance)]
            random.Random(sim.SEED).shuffle(bits)
            began = time.monotonic()
            counts = in_children(jobs, space, lambda job, place: turn_some(bits[job::jobs], place))
        finally:
            world.close()
    print(f"{len(bits)} bits turned, each named or without effect: {dict(sorted(counts.items()))} in {time.monotonic() - began:.1f} s",
          flush=True)


if __name__ == "__main__":
    main()
