"""P10: everything derived can be thrown away; made again from the ledger, it is the same, byte for byte."""
import shutil
import time
import unittest

import harness
import receipt


class Rebuild(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.job = receipt.Job(self.world, self.hub)

    def everything(self):
        dump = self.hub.dump("--all")
        self.assertGreater(dump.count("\n"), 8577)
        return dump

    def same_as(self, before):
        after = self.hub.dump("--all")
        self.assertTrue(after == before, f"the state differs: {len(before)} and {len(after)} bytes")

    def test_the_same_state_comes_out_whatever_happened_to_the_old_one(self):
        self.job.run()
        self.hub.stop()
        before = self.everything()

        self.hub.rebuild()
        self.same_as(before)

        shutil.rmtree(self.hub.dir / "state")
        self.hub.rebuild()
        self.same_as(before)

        (self.hub.dir / "state/data.mdb").write_bytes(b"\x5a" * 65536)
        self.hub.rebuild()
        self.same_as(before)

        for part in (0.1, 0.5, 0.9):  # a rebuild that is killed is begun again
            began = time.monotonic()
            self.hub.rebuild()
            whole = time.monotonic() - began
            process = self.world.start(self.world.path / "rebuild.log", "casebus-hub", "rebuild", self.hub.dir)
            time.sleep(whole * part)
            process.kill9()
            self.hub.start().stop()  # a hub that is started instead goes on with what there is
            self.same_as(before)

        self.hub.start()
        running = self.world.run("casebus-hub", "rebuild", self.hub.dir)
        self.assertEqual(running.code, 1)
        self.assertIn("is held by process", running.err)
        self.hub.verify()
        self.same_as(before)

    def somebody_is_there(self):
        """Whether an office has a session with the hub that runs. Who had ended says the same again: none of them may be
        left, and whoever was just about to end when the hub was killed does not come back."""
        if "SESSION-READY casebus-hub: node 'group" in self.hub.process.log():
            return True
        for office in self.job.offices:
            if office.process.code is not None:
                self.assertEqual(office.process.code, 0, office.process.log())
                office.launch("--once", "--from-start")
        return False

    def test_a_hub_killed_in_its_work_comes_to_the_same_state_as_rebuild(self):
        self.job.supervisor.launch()
        for office in self.job.offices:
            office.launch("--once")
        for _ in range(6):
            harness.wait_until("an office at the hub", self.somebody_is_there)
            time.sleep(self.world.random.random() * 0.3)
            self.hub.kill9()
            self.hub.start()
        for office in self.job.offices:
            self.assertEqual(office.finish()["code"], 0)
        self.job.supervisor.wait_received(8577)
        self.assertEqual(self.hub.verify()["events"], 8577)
        self.assertEqual(self.job.supervisor.process.stop(), 0)
        self.hub.settle()
        self.hub.kill9()
        self.hub.start().stop()  # brings the state up to the ledger
        before = self.everything()
        self.hub.rebuild()
        self.same_as(before)


if __name__ == "__main__":
    harness.main()
