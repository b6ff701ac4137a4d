"""A hub that was restored from an old copy has less than it acknowledged. Nodes hold the proof; the hub must not sign again."""
import unittest

import harness


class Behind(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.office = self.world.office(self.hub, "office", publish=True)
        self.other = self.world.office(self.hub, "other", publish=True)
        self.write(self.office, 20)
        self.write(self.other, 5)
        self.office.publish()
        self.other.publish()
        self.hub.settle().stop()
        harness.copy(self.hub.dir, self.world.path / "old")
        self.hub.start()
        self.write(self.office, 60)
        self.office.publish()  # acknowledged with a checkpoint that the old copy has never seen
        self.hub.settle()
        self.promised = self.hub.ask("status")["ledger_size"]
        self.hub.stop()

    def write(self, office, n):
        office.write_rows([(f"case-{i % 5}", i, "step") for i in range(n)])

    def restore(self, which):
        if not (self.world.path / "new").exists():
            harness.copy(self.hub.dir, self.world.path / "new")
        harness.copy(self.world.path / which, self.hub.dir)

    def test_the_hub_names_it_and_the_node_stops_and_keeps_everything(self):
        self.restore("old")
        self.hub.start()
        self.write(self.office, 80)
        result = self.office.publish(expect=3)
        self.assertEqual(result["accepted"], 0)
        self.assertIn("this hub has less than it acknowledged", self.office.process.log())
        self.assertIn("CB-BEHIND", self.office.process.log())
        log = self.hub.process.log()
        self.assertIn(" HUB-BEHIND ", log)
        self.assertIn(f"node 'office' holds a checkpoint of {self.promised} entries that this hub signed", log)
        self.assertIn("the hub signs nothing until an operator has looked", log)

    def test_a_hub_that_knows_it_is_behind_signs_for_nobody(self):
        self.restore("old")
        self.hub.start()
        before = self.hub.ask("status")
        self.write(self.office, 80)
        self.office.publish(expect=3)
        self.write(self.other, 30)  # this one's checkpoint is no newer than the copy
        result = self.other.publish(expect=3)
        self.assertEqual(result["accepted"], 0)
        self.assertIn("CB-BEHIND", self.other.process.log())
        self.hub.settle()
        after = self.hub.ask("status")
        self.assertEqual(after["checkpoint"], before["checkpoint"])
        self.assertEqual(after["events_accepted"], 0)
        self.assertEqual(after["ledger_size"], before["ledger_size"])
        self.hub.stop()

    def test_a_session_that_is_open_when_it_comes_out_gets_no_more_receipts(self):
        self.restore("old")
        self.hub.start()
        drip = harness.Drip(self.world, self.other)
        drip.publish("before", "case-a").process.wait_for("accepted ")
        self.office.publish(expect=3)  # it comes out
        drip.publish("after", "case-a")
        drip.process.wait_for("CB-BEHIND")
        drip.end()
        self.assertEqual(drip.process.log().count("accepted "), 1)
        self.hub.settle()
        self.assertNotIn("after", [event["header"]["record_id"] for event in self.hub.events()])

    def test_nothing_is_lost_when_the_right_directory_comes_back(self):
        self.restore("old")
        self.hub.start()
        self.write(self.office, 80)
        self.office.publish(expect=3)
        self.write(self.other, 30)
        self.other.publish(expect=3)
        self.hub.stop()
        self.restore("new")
        self.hub.start()
        self.assertEqual(self.office.publish()["refused"], 0)
        self.other.publish()
        found = sorted((event["node"], event["header"]["record_id"]) for event in self.hub.events())
        expected = sorted([("office", f"case-{i % 5}#{i}") for i in range(80)] + [("other", f"case-{i % 5}#{i}") for i in range(30)])
        self.assertEqual(found, expected)
        self.hub.verify()

    def test_a_hub_that_went_on_from_an_old_copy_is_caught_by_the_tree(self):
        """Nobody with proof came at first, so the hub signed other entries in the place of those that it had lost."""
        self.restore("old")
        self.hub.start()
        self.write(self.other, 500)
        self.assertEqual(self.other.publish()["accepted"], 495)
        self.hub.settle()
        self.assertGreater(self.hub.ask("status")["ledger_size"], self.promised)
        self.write(self.office, 80)
        self.office.publish(expect=3)
        self.assertIn(" HUB-BEHIND ", self.hub.process.log())
        self.assertRegex(self.office.process.log(), "CB-BEHIND|CB-CONSISTENCY")


if __name__ == "__main__":
    harness.main()
