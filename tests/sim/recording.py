"""A recorded day of a hub: two departments publish, one receives, and every change of a disk is on tape.

From one recording, any number of power cuts can be made (disk.py) without running the programs again.
"""
import heapq
import pathlib
import shutil
import sys
import time

import disk
import sim

sys.path.insert(0, str(sim.REPO / "tests/e2e"))
import harness  # noqa: E402


class Recording:
    """`model` stands before the first operation of `ops`; `acks` are (time, size of the ledger that it proves)."""

    def __init__(self, world, chance, events, receiver=True, taped=True):
        self.taped = taped
        self.world = world
        self.chance = chance
        self.events = events
        self.tapes = []
        self.hub = world.hub().start()
        self.offices = [world.office(self.hub, name, publish=True) for name in ("north", "south")]
        self.receiver = world.office(self.hub, "centre", receive=True) if receiver else None
        self.hub.stop()
        self.model = disk.Disk(world.path)
        self.acks = []
        self._run()
        self.ops = self._merge()

    def _recorded(self, name):
        if not self.taped:
            return {}
        tape = self.world.path / f"{name}.tape"
        self.tapes.append(tape)
        return sim.recording(self.world.path, tape)

    def _run(self):
        self.hub.start(environment=self._recorded("hub"))
        if self.receiver:
            self.receiver.launch(environment=self._recorded("centre"))
        drips = [harness.Drip(self.world, office, environment={**self._recorded(office.name), "DRIP_CLOCK": "1"})
                 for office in self.offices]
        self.rows = {office.name: [] for office in self.offices}  # (record, case), by the mark that it got, from 1
        sent = 0
        while sent < self.events:
            office, drip = self.chance.choice(list(zip(self.offices, drips)))
            for _ in range(self.chance.choice([1, 1, 2, 3, 8, 30])):
                sent += 1
                row = (f"record-{sent}", f"case-{self.chance.randrange(sent)}")
                self.rows[office.name].append(row)
                drip.publish(*row)
            time.sleep(self.chance.choice([0, 0.001, 0.01, 0.05]))
            if self.chance.random() < 0.2:  # ledger and state follow more often than once a second
                self.hub.casebus("ledger", "dump", "--limit", "1")
        for drip in drips:
            if drip.end() != 0:
                raise AssertionError(drip.process.log()[-2000:])
        if self.receiver:
            self.receiver.wait_received(sent)
            self.receiver.process.stop()
        self.sent = sent
        self.hub.stop()
        for drip in drips:
            for line in drip.process.log().splitlines():
                word, *values = line.split()
                if word in ("accepted", "duplicate"):
                    self.acks.append((int(values[2]), int(values[1]) + 1))
        if len(self.acks) != sent:
            raise AssertionError(f"{len(self.acks)} of {sent} events were acknowledged")
        self.acks.sort()
        best = 0
        for index, (when, size) in enumerate(self.acks):
            best = max(best, size)
            self.acks[index] = (when, best)

    def _merge(self):
        """One tape of all. A sync is known by its number within its program."""
        tapes = []
        for index, path in enumerate(self.tapes):
            ops = disk.read_tape(path)
            for op in ops:
                if op.kind in (disk.SYNC_BEGIN, disk.SYNC_END):
                    op.offset = op.offset << 8 | index
            tapes.append(ops)
        return list(heapq.merge(*tapes, key=lambda op: op.time_ns))

    def acknowledged(self, time_ns):
        """How many entries the ledger must have, by what was acknowledged before."""
        low, high = 0, len(self.acks)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.acks[middle][0] < time_ns else (low, middle)
        return self.acks[low - 1][1] if low else 0

    def points(self, n):
        """Where to cut: half anywhere in time, half about a sync."""
        syncs = [index for index, op in enumerate(self.ops) if op.kind in (disk.SYNC_BEGIN, disk.SYNC_END)]
        found = []
        for _ in range(n):
            if self.chance.random() < 0.5:
                found.append(self.chance.randrange(1, len(self.ops) + 1))
            else:
                found.append(min(len(self.ops), max(1, self.chance.choice(syncs) + self.chance.choice([0, 1, 1, 2]))))
        return sorted(found)

    def finished(self, target):
        """A copy of the hub's directory as it was at the end."""
        target = pathlib.Path(target)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.hub.dir, target, ignore=shutil.ignore_patterns("hub.sock", "lock", "lock.mdb"))
        return target
