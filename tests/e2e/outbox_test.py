"""Outboxes that are copied, restored, resent or used twice: each is named, and no record is lost or counted twice."""
import collections
import subprocess
import time
import unittest

import harness
from harness import copy, wait_until


class Outbox(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.office = self.world.office(self.hub, "office", publish=True)

    def write(self, office, n):
        office.write_rows([(f"case-{i % 7}", i, "step") for i in range(n)])

    def records(self):
        return collections.Counter(event["header"]["record_id"] for event in self.hub.events())

    def all_once(self, n):
        self.assertEqual(self.records(), {f"case-{i % 7}#{i}": 1 for i in range(n)})
        self.hub.verify()

    def machine(self, name):
        """Another machine with a copy of the office's directory, the same mapping and the same rows."""
        other = harness.Office(self.world, self.hub, name)
        copy(self.office.dir, other.dir)
        other.rows_path = self.office.rows_path
        other.config.write_text(harness.MAPPING.format(node=other.dir, file=other.rows_path, namespace="office"))
        return other

    def test_a_restored_older_outbox_is_named_and_sends_what_the_hub_lacks(self):
        self.write(self.office, 10)
        self.office.publish()
        copy(self.office.dir, self.world.path / "backup")
        self.write(self.office, 30)
        self.office.publish()
        copy(self.world.path / "backup", self.office.dir)
        self.write(self.office, 45)
        result = self.office.publish()
        self.assertIn(" STREAM-COPY ", self.office.process.log())
        self.assertIn("the outbox of node 'office' is a copy or was restored", self.office.process.log())
        self.assertEqual((result["duplicate"], result["accepted"]), (20, 15))
        self.all_once(45)
        self.write(self.office, 50)  # and from then on as ever
        self.assertEqual(self.office.publish()["accepted"], 5)
        self.assertNotIn("STREAM-COPY", self.office.process.log())
        self.all_once(50)

    def test_an_outbox_lost_altogether_sends_all_again_and_all_are_known(self):
        self.write(self.office, 40)
        self.office.publish()
        before = self.hub.dump("--cases")
        for name in ("outbox", "checkpoint", "source.mark"):
            subprocess.run(["rm", "-r", str(self.office.dir / name)], check=True)
        result = self.office.publish()
        self.assertEqual((result["duplicate"], result["accepted"]), (40, 0))
        self.all_once(40)
        self.assertEqual(self.hub.dump("--cases"), before)

    def test_a_copied_outbox_on_two_machines_is_named_and_gives_each_record_once(self):
        self.write(self.office, 20)
        self.office.publish()
        other = self.machine("other-machine")
        self.write(self.office, 60)
        first = self.office.publish()
        self.assertEqual((first["accepted"], first["duplicate"]), (40, 0))
        second = other.publish()
        self.assertIn(" STREAM-COPY ", other.process.log())
        self.assertEqual((second["accepted"], second["duplicate"]), (0, 40))
        self.all_once(60)

    def test_two_machines_with_one_outbox_at_the_same_time_give_each_record_once(self):
        self.write(self.office, 500)
        self.office.publish()
        other = self.machine("other-machine")
        self.write(self.office, 6000)
        self.office.launch("--once")
        other.launch("--once")
        results = [self.office.finish(), other.finish()]
        self.assertEqual([result["code"] for result in results], [0, 0])
        said = self.office.process.log() + other.process.log()
        self.assertIn(" STREAM-COPY ", said)
        self.assertEqual(sum(result["accepted"] + result["duplicate"] for result in results), 11000)
        # Receipts of the same batch on both machines say "accepted" twice; the ledger has the record once.
        self.all_once(6000)

    def test_a_frozen_batch_whose_receipt_was_lost_is_sent_again_and_counted_once(self):
        proxy = harness.Proxy(self.world, self.hub)
        proxy.messages = 1  # Welcome
        self.write(self.office, 25)
        self.office.launch("--once", "--set", f"endpoint={proxy.endpoint}")
        wait_until("the hub has the batch", lambda: self.hub.ask("status")["events_accepted"] == 25)
        self.assertTrue(self.office.process.kill9())
        self.assertNotIn("RESULT", self.office.process.log())
        before = self.hub.settle().ask("status")
        for _ in range(2):
            result = self.office.publish()
            self.assertNotIn("STREAM-COPY", self.office.process.log())
        self.assertEqual((result["sent"], result["accepted"], result["skipped"]), (0, 0, 25))
        after = self.hub.ask("status")
        for count in ("ledger_size", "batches_accepted", "events_accepted", "events_duplicate"):
            self.assertEqual(after[count], before[count], count)
        self.all_once(25)

    def test_receipts_of_a_batch_sent_again_come_again(self):
        proxy = harness.Proxy(self.world, self.hub)
        proxy.messages = 1
        self.write(self.office, 25)
        self.office.launch("--once", "--set", f"endpoint={proxy.endpoint}")
        wait_until("the hub has the batch", lambda: self.hub.ask("status")["events_accepted"] == 25)
        self.office.process.kill9()
        self.hub.kill9()  # it has to find the batch again, too
        self.hub.start()
        self.assertEqual(self.office.publish()["accepted"], 25)
        self.all_once(25)

    def test_a_line_that_swallows_answers_costs_nothing_but_time(self):
        proxy = harness.Proxy(self.world, self.hub)
        proxy.messages = 1
        self.write(self.office, 2000)
        self.office.launch("--once", "--set", f"endpoint={proxy.endpoint}")
        for times, messages in enumerate((1, 2, 3, 1, 4), 1):
            proxy.messages = messages
            self.office.process.wait_for("SESSION-READY", times=times)
            time.sleep(self.world.random.random() * 0.2)
            proxy.cut()
        proxy.messages = None
        proxy.cut()
        self.assertEqual(self.office.finish()["code"], 0)
        self.assertNotIn("STREAM-COPY", self.office.process.log())
        self.all_once(2000)

    def test_a_second_process_on_one_outbox_does_not_start(self):
        self.write(self.office, 10)
        self.office.launch()  # goes on
        self.office.process.wait_for("SESSION-READY")
        first = self.office.process
        second = self.world.run("casebus-adapter", "run", self.office.config, "--once")
        self.assertEqual(second.code, 3)
        self.assertIn(f"{self.office.dir / 'lock'}' is held by process {first.pid}", second.err)
        self.assertIn("stop that process, or give this one a directory of its own", second.err)
        self.assertIn("CB-LOCKED", second.err)
        wait_until("the first has all answered", lambda: self.hub.ask("status")["events_accepted"] == 10)
        self.assertEqual(first.stop(), 0)
        self.all_once(10)


if __name__ == "__main__":
    harness.main()
