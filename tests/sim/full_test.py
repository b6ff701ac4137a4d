"""The disk is full at one stage after the other: whoever needs room says so and waits, and goes on when there is room."""
import collections
import unittest

import sim
from recording import harness

LARGE = "x" * 60000


class Full(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub()
        self.control = sim.Control(self.world.path / "control")

    def watching(self, folder):
        return self.control.environment(folder)

    def full(self, room=0):
        self.control.arm(0, action=sim.ROOM, room=room)

    def said(self, process, word):
        process.wait_for(f" {word} ")
        self.assertGreater(self.control.hits, 0)
        self.assertIn("No space left on device", process.log())

    def office_of(self, n, note="note", cases=7):
        office = self.world.office(self.hub, "office", publish=True)
        office.write_rows([(f"case-{i % cases}", i, "step", note) for i in range(n)])
        return office

    def events(self):
        """Without parts, a few at a time: they are large."""
        self.hub.settle()
        after, more = "", True
        while more:
            page = self.hub.get(f"/v1/events?limit=200{after}")
            yield from page["events"]
            more, after = page["more"], f"&after={page['next']}"

    def all_there(self, n):
        found = collections.Counter(event["header"]["record_id"] for event in self.events())
        self.assertEqual((len(found), set(found.values())), (n, {1}))
        self.assertEqual(self.hub.verify()["events"], n)
        self.hub.stop()
        self.hub.start()
        self.hub.verify()

    def test_what_is_left_of_the_disk_is_for_operators(self):
        self.hub.init().set("keep_free_mb", 99999999).start()
        other = self.world.office(self.hub, "other", publish=True)
        office = self.office_of(20)
        office.launch("--once")
        self.hub.process.wait_for(" DISK-LOW ")
        self.assertTrue(self.hub.get("/v1/status")["disk"]["low"])
        self.assertIn("nothing is taken from nodes", self.hub.casebus("status").out)
        done = self.hub.casebus("node", "suspend", other.name, "--why", "it fills the disk")
        self.assertEqual(done.code, 0, done.said)
        self.assertEqual(self.hub.nodes()[other.name]["status"], "suspended")
        self.assertEqual(list(self.events()), [])
        self.hub.stop().set("keep_free_mb", 0).start()
        self.assertEqual(office.finish(3 * harness.PATIENCE_S)["code"], 0)
        self.assertNotIn(" refused ", office.process.log())
        self.all_there(20)

    def hub_waits_for(self, folder, word, n, note="note", cases=7, room=0):
        self.hub.init()
        self.hub.start(environment=self.watching(self.hub.dir / folder))
        office = self.office_of(n, note, cases)
        self.full(room)
        office.launch("--once")
        self.said(self.hub.process, word)
        self.assertIsNone(self.hub.process.code)
        self.control.disarm()
        self.assertEqual(office.finish(3 * harness.PATIENCE_S)["code"], 0)
        self.all_there(n)

    def test_ledger(self):
        self.hub_waits_for("ledger", "LEDGER-FULL", 3000, room=100000)

    def test_state(self):
        self.hub_waits_for("state", "STATE-FULL", 3000, room=50000)

    def test_journal(self):
        self.hub.init()  # makes the first segment, of 32 MiB
        self.full()
        self.hub.start(environment=self.watching(self.hub.dir / "journal"))
        office = self.office_of(700, LARGE)
        office.launch("--once")
        self.said(self.hub.process, "JOURNAL-FULL")
        self.control.disarm()
        self.assertEqual(office.finish(3 * harness.PATIENCE_S)["code"], 0)
        self.all_there(700)

    def test_vault(self):
        self.hub_waits_for("vault", "VAULT-PREPARE", 18000, cases=18000)

    def test_outbox(self):
        self.hub.start()
        office = self.office_of(150, LARGE)
        self.hub.stop()
        self.full(5 << 20)
        office.launch("--once", environment=self.watching(office.dir / "outbox"))
        harness.wait_until("the outbox is full", lambda: self.control.hits > 0)
        if office.process.code is None:
            harness.time.sleep(1)
        said = office.process.log()
        self.control.disarm()
        self.hub.start()
        if office.process.code is None:
            self.assertEqual(office.finish(3 * harness.PATIENCE_S)["code"], 0)
        else:
            self.assertIn("No space left on device", said)
            self.assertIn("CB-DISK-FULL", said)
            office.publish()
        self.all_there(150)

    def test_sink(self):
        self.hub.start()
        office = self.office_of(50)
        centre = self.world.office(self.hub, "centre", receive=True)
        self.full(3000)
        centre.launch(environment=self.watching(centre.received_path))
        office.publish()
        self.said(centre.process, "SINK-FAILED")
        self.assertIsNone(centre.process.code)
        self.control.disarm()
        centre.wait_received(50)
        centre.process.wait_for(" SINK-WORKS ")
        self.assertEqual(len({line["record_id"] for line in centre.received()}), 50)
        self.assertEqual(centre.process.stop(), 0)
        self.all_there(50)


if __name__ == "__main__":
    harness.main()
