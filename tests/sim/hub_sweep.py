"""One call of a running hub fails, or is where it is killed, while a department publishes; then it is started again.

    hub_sweep.py N       N runs; in each, one class of calls, one way to fail, one n
    hub_sweep.py all     every n of every class and way, memory excepted

The department's program runs on through all of it. A hub that ends by itself has to say why. At the end, every record is in
the ledger once, and the ledger verifies after each run.
"""
import collections
import errno
import sys
import time

import sim
from hub_cuts import Owner
from recording import harness

EVENTS = 40
NAMES = sim.RENAME | sim.CREATE | sim.RESIZE | sim.UNLINK
WAYS = [
    ("write", sim.WRITE, sim.ONCE, errno.EIO), ("write", sim.WRITE, sim.EVER, errno.EIO), ("write", sim.WRITE, sim.SHORT, 0),
    ("write", sim.WRITE, sim.ONCE, errno.ENOSPC), ("write", sim.WRITE, sim.KILL, 0),
    ("sync", sim.SYNC, sim.ONCE, errno.EIO), ("sync", sim.SYNC, sim.EVER, errno.EIO), ("sync", sim.SYNC, sim.KILL, 0),
    ("name or size", NAMES, sim.ONCE, errno.EIO), ("name or size", NAMES, sim.KILL, 0),
    ("memory", sim.ALLOCATE, sim.ONCE, errno.ENOMEM), ("memory", sim.ALLOCATE, sim.KILL, 0),
]


class Sweep:
    def __init__(self, world):
        self.world = world
        self.hub = world.hub().start()
        self.office = world.office(self.hub, "office", publish=True)
        self.hub.stop()
        self.control = sim.Control(world.path / "control")
        self.sent = 0
        self.counts = collections.Counter()

    def publish(self, drip, n):
        for _ in range(n):
            self.sent += 1
            drip.publish(f"record-{self.sent}", f"case-{self.sent}")

    def work(self, drip):
        """Publishes until all is answered or the hub has ended or waits."""
        before = drip.process.log().count("\naccepted ")
        for n in (1, 3, EVENTS - 4):
            self.publish(drip, n)
            time.sleep(0.05)
        end = time.monotonic() + 8
        while time.monotonic() < end and self.hub.process.code is None:
            if drip.process.log().count("\naccepted ") - before >= EVENTS:
                break
            time.sleep(0.02)
        if self.hub.process.code is None:  # ledger and state follow under the same fault
            self.hub.casebus("ledger", "dump", "--limit", "1")

    def end_of(self, name, action):
        """The hub has ended, or is told to. It has to have said why."""
        process = self.hub.process
        if process.code is None:
            process.popen.send_signal(harness.signal.SIGTERM)
        code = process.finish()
        log = process.log()
        if code == -harness.signal.SIGKILL and action == sim.KILL:
            self.counts["killed"] += 1
        elif code == 0:
            self.counts["went on"] += 1
        elif code in (1, -harness.signal.SIGTERM) and "(CB-" in log.splitlines()[-1] + log.splitlines()[-2]:
            # by itself; the signal may have come while it did
            self.counts["ended with a sentence"] += 1
        elif name == "memory" and "the cryptographic library failed" in log:
            self.counts["ended with a sentence"] += 1
        else:
            raise AssertionError(f"the hub ended with {code}:\n{log[-2000:]}")

    def drop_spares(self):
        """Segments that never held a record: new ones have to be made."""
        for path in (self.hub.dir / "journal").glob("*.seg"):
            with open(path, "rb") as file:
                file.seek(4096)
                unused = file.read(4) == bytes(4)
            if unused:
                path.unlink()

    def run(self, name, classes, action, error, nth):
        self.drop_spares()
        self.hub.start(environment={**self.control.environment(self.hub.dir)})
        drip = harness.Drip(self.world, self.office)
        drip.process.wait_for("state ready")
        self.control.arm(classes, nth, action, error, threads=1)
        self.work(drip)
        seen, hits = self.control.seen, self.control.hits
        if self.hub.process.code is None and action != sim.EVER:
            self.control.disarm()
        if action != sim.COUNT:
            self.end_of(name, action)
        else:
            self.hub.stop()
        self.control.disarm()
        self.hub.start()
        if drip.end() != 0:
            raise AssertionError(drip.process.log()[-2000:])
        for word in ("refused ", "duplicate ", "STREAM-COPY"):
            if word in drip.process.log():
                raise AssertionError(drip.process.log()[-2000:])
        self.hub.settle().verify()
        self.hub.stop()
        self.counts[f"{name}: hit" if hits else f"{name}: not reached"] += 1
        self.world.processes.clear()
        return seen

    def check(self):
        self.hub.start()
        found = collections.Counter(event["header"]["record_id"] for event in self.hub.events())
        if found != {f"record-{n}": 1 for n in range(1, self.sent + 1)}:
            raise AssertionError(f"{len(found)} records of {self.sent}, up to {max(found.values())} times")
        self.hub.stop()


def main():
    chance = sim.chance("hub_sweep")
    world = harness.World(Owner())
    began = time.monotonic()
    try:
        sweep = Sweep(world)
        reach = {classes: sweep.run(name, classes, sim.COUNT, 0, 0) for name, classes in {way[:2] for way in WAYS}}
        print("calls of a run:", {name: reach[classes] for name, classes in {way[:2] for way in WAYS}}, flush=True)
        if sys.argv[1] == "all":
            plan = [(way, nth) for way in WAYS if way[0] != "memory" for nth in range(1, reach[way[1]] + 1)]
        else:
            ways = WAYS * (int(sys.argv[1]) // len(WAYS) + 1)
            plan = [(way, chance.randrange(reach[way[1]] + 1) + 1) for way in ways[:int(sys.argv[1])]]
        for way, nth in sim.told(plan, len(plan)):
            try:
                sweep.run(*way, nth)
            except Exception as err:
                said = sweep.hub.process.log()[-2500:] if sweep.hub.process else ""
                raise AssertionError(f"{way}, n = {nth}: {err}\n{said}") from err
        sweep.check()
    finally:
        world.close()
    print(f"{len(plan)} runs of a hub: every record is in the ledger once {dict(sweep.counts)} in {time.monotonic() - began:.1f} s",
          flush=True)


if __name__ == "__main__":
    main()
