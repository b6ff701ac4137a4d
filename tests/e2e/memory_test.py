"""The hub's memory beside LMDB's map (RssAnon): under 64 MiB with 16 busy nodes, and it does not grow with time."""
import statistics
import time
import unittest

import harness

NODES, ROWS = 16, 24000
LIMIT_KIB = 64 * 1024
EVERY_S = 0.1


class Memory(unittest.TestCase):
    def test_sixteen_busy_nodes_and_a_receiver_stay_under_64_mib_and_flat(self):
        world = harness.World(self)
        hub = world.hub().start()
        offices = [world.office(hub, f"office-{n}", publish=True) for n in range(NODES)]
        receiver = world.office(hub, "receiver", receive=True)
        for office in offices:
            office.write_rows([(f"{office.name}-{i // 14}", i, "step", f"a note of ordinary length, number {i}")
                               for i in range(ROWS)])
        receiver.launch()
        began = time.monotonic()
        for office in offices:
            office.launch("--once")
        samples = []  # only while all sixteen are at work
        while all(office.process.code is None for office in offices):
            samples.append(hub.process.memory_kib())
            time.sleep(EVERY_S)
        busy = time.monotonic() - began
        for office in offices:
            self.assertEqual(office.finish(4 * harness.PATIENCE_S)["code"], 0)
            samples.append(hub.process.memory_kib())
        receiver.wait_received(NODES * ROWS, 4 * harness.PATIENCE_S)
        after = hub.process.memory_kib()
        half = len(samples) // 2
        first, second = samples[:half], samples[half:]
        print(f"RssAnon in KiB: highest {max(samples)}; first half {max(first)} (median {statistics.median(first):.0f}), "
              f"second {max(second)} (median {statistics.median(second):.0f}); {after} at rest; "
              f"{NODES * ROWS} events, {busy:.0f} s until the first was done, {len(samples)} samples", flush=True)
        self.assertGreater(len(samples), 30)
        self.assertLess(max(samples), LIMIT_KIB)
        self.assertLessEqual(max(second), 1.3 * max(first))  # peaks are those of single groups: they scatter
        self.assertEqual(hub.verify()["events"], NODES * ROWS)


if __name__ == "__main__":
    harness.main()
