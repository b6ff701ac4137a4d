"""Power cuts of a whole site: hub, publishers and receiver at once; then all start again and finish the day.

    site_cuts.py N

Each department's program goes on behind the last row that its outbox has, as adapters do. In the end every record is in the
ledger once and was received once, nobody takes an outbox for a copy, and the ledger verifies.
"""
import collections
import json
import random
import sys
import time

import disk
import sim
from recording import Recording, harness
from hub_cuts import Owner

EVENTS = 120


class Resumed:
    """The site after a cut."""

    def __init__(self, recording):
        self.recording = recording
        self.hub = recording.hub
        self.receiver = recording.receiver

    def run(self):
        self.hub.start()
        self.receiver.launch()
        drips = []
        for office in self.recording.offices:
            drip = harness.Drip(self.recording.world, office)
            drips.append(drip)
            drip.process.wait_for("mark ")
            last = int(drip.process.log().split("mark ", 1)[1].split()[0])
            for row in self.recording.rows[office.name][last:]:
                drip.publish(*row)
        for drip in drips:
            if drip.end() != 0:
                raise AssertionError(drip.process.log()[-2000:])
            for word in ("STREAM-COPY", "refused ", "duplicate "):
                if word in drip.process.log():
                    raise AssertionError(f"{word}: {drip.process.log()[-2000:]}")
        self.receiver.wait_received(self.recording.sent)
        if self.receiver.process.stop() != 0:
            raise AssertionError(self.receiver.process.log()[-2000:])

    def check(self):
        wanted = collections.Counter(record for rows in self.recording.rows.values() for record, _ in rows)
        found = collections.Counter(event["header"]["record_id"] for event in self.hub.events())
        if found != wanted:
            raise AssertionError(f"records: {found - wanted} too many, {wanted - found} missing")
        lines = [json.loads(line) for line in self.receiver.received_path.read_text().splitlines()]
        received = collections.Counter(line["record_id"] for line in lines)
        if received != wanted:
            raise AssertionError(f"received: {received - wanted} too many, {wanted - received} missing")
        self.hub.verify()
        self.hub.stop()


def cut_once(recording, point, chance):
    model = recording.model
    state = chance.getstate()
    manner = model.image(recording.world.path, chance)
    resumed = Resumed(recording)
    try:
        resumed.run()
        resumed.check()
    except BaseException as err:
        for process in recording.world.processes:
            process.kill9()
        chance.setstate(state)
        kept = sim.keep("site", lambda target: model.image(target, chance))
        said = "\n".join(process.log()[-1500:] for process in recording.world.processes[-4:] if process.log_path.exists())
        raise AssertionError(f"cut ({manner}) before operation {point} of {len(recording.ops)} ({recording.ops[point - 1]}): {err}"
                             f"\n{said}\nkept: {kept}") from err
    recording.world.processes.clear()
    return manner


def main():
    n = int(sys.argv[1])
    chance = sim.chance("site")
    world = harness.World(Owner())
    began = time.monotonic()
    counts = collections.Counter()
    try:
        recording = Recording(world, chance, EVENTS)
        points = recording.points(n)
        own = random.Random(chance.random())
        for point in sim.told(disk.cuts(recording.model, recording.ops, points, own), len(points)):
            counts[cut_once(recording, point, own)] += 1
    finally:
        world.close()
    print(f"{n} power cuts of a site: every record is in the ledger once and was received once {dict(counts)}"
          f" in {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
