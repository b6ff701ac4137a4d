"""The hub's CURVE key changes under load, with kill -9 in between, and comes out as in an undisturbed run."""
import json
import os
import threading
import time
import unittest

import harness


# Time enough for a loaded machine to tell every node.
SOON = "10s" if os.environ.get("CASEBUS_SANITIZE") else "6s"


class Load(threading.Thread):
    """Publishes bit by bit, evenly to all, until it is told to end."""

    def __init__(self, drips):
        """@drips: name -> drip"""
        super().__init__(daemon=True)
        self.drips = drips
        self.n = 0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.wait(0.02):
            for name, drip in self.drips.items():
                for i in range(self.n, self.n + 10):
                    drip.publish(f"{name}-{i}", f"case-{i % 50}")
            self.n += 10

    def end(self):
        self.ending.set()
        self.join()
        return self.n * len(self.drips)


class Rotation(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.offices = [self.world.office(self.hub, name, publish=True) for name in ("desk-1", "desk-2")]
        self.supervisor = self.world.office(self.hub, "supervisor", receive=True)

    def keys(self):
        return self.hub.ask("hub", "keys")

    def rotate(self, when):
        done = self.hub.casebus("hub", "rotate", "curve", "--in", when, "--force")
        self.assertEqual(done.code, 0, done.said)
        return done.said

    def wait_accepted(self, drips, more=200):
        """Each has so many more accepted than now: it goes on."""
        for drip in drips:
            now = drip.process.log().count("\naccepted ")
            drip.process.wait_for("\naccepted ", times=now + more)

    def next_keys_lie_about(self):
        return sorted(path.name for path in (self.hub.dir / "keys").glob("curve-*"))

    def test_a_rotation_under_load_loses_nothing_and_repeats_nothing(self):
        drips = [harness.Drip(self.world, office) for office in self.offices]
        self.supervisor.launch()
        for drip in drips:
            drip.process.wait_for("state ready")
        self.supervisor.process.wait_for("SESSION-READY")
        load = Load({office.name: drip for office, drip in zip(self.offices, drips)})
        load.start()
        self.wait_accepted(drips)
        seen = [self.keys()["curve_key"]]

        # In peace: nodes are told before, and go on after it.
        self.rotate(SOON)
        told = self.keys()
        self.assertEqual(told["curve_key"], seen[0])
        self.assertEqual(self.hub.casebus("hub", "rotate", "curve").code, 1)  # one waits
        for drip in drips:
            drip.process.wait_for("log HUB-KEYS ")
        self.supervisor.process.wait_for("HUB-KEYS ")
        self.hub.process.wait_for("CURVE-CHANGED")
        self.wait_accepted(drips)
        seen.append(self.keys()["curve_key"])
        self.assertEqual(seen[1], told["next_curve_key"])
        self.assertIsNone(self.keys()["next_curve_key"])

        # Killed, and away when the time comes. (Killed between the word and the change: authority_test.)
        self.rotate(SOON)
        for drip in drips:
            drip.process.wait_for("log HUB-KEYS ", times=2)
        self.supervisor.process.wait_for("HUB-KEYS ", times=2)
        at = self.keys()["next_from_us"] / 10**6
        self.hub.kill9()
        time.sleep(max(0, at - time.time()))
        self.hub.start()
        self.wait_accepted(drips)
        seen.append(self.keys()["curve_key"])

        n = load.end()
        for drip in drips:
            self.assertEqual(drip.end(), 0, drip.process.log()[-2000:])
        self.supervisor.wait_received(n)
        self.assertEqual(len(set(seen)), 3)
        self.assertEqual(self.next_keys_lie_about(), [])
        self.assertEqual(self.hub.verify()["events"], n)
        got = [line["event_id"] for line in self.supervisor.received()]
        self.assertEqual(len(got), n)
        self.assertEqual(len(set(got)), n)
        for drip in drips:
            self.assertEqual(drip.process.log().count("\naccepted "), n // 2)
        self.assertEqual(self.hub.casebus("hub", "keys").code, 0)
        dump = self.hub.dump("--cases")
        self.hub.stop()
        self.hub.rebuild()
        self.assertEqual(self.hub.start().dump("--cases"), dump)

    def test_a_node_that_was_away_is_told_the_way_and_finds_it(self):
        desk = self.offices[0]
        before = json.loads((desk.dir / "enrolment.json").read_text())
        done = self.hub.casebus("hub", "rotate", "curve", "--in", "1s")  # a slip of the hand
        self.assertEqual(done.code, 1, done.said)
        self.assertIn("--force", done.said)
        self.assertIsNone(self.keys()["next_curve_key"])
        self.assertEqual(self.keys()["away"], ["desk-1", "desk-2", "supervisor"])
        said = self.rotate("1s")
        self.assertLess(said.index("desk-1"), said.index("CURVE"), said)
        self.hub.process.wait_for("CURVE-CHANGED")
        desk.write_rows([("case-1", 1, "apply")])
        desk.publish(expect=3)
        self.assertIn("casebus node enrolment desk-1", desk.process.log())
        done = self.hub.casebus("node", "enrolment", "desk-1", "--out", desk.dir / "enrolment.json")
        self.assertEqual(done.code, 0, done.said)
        self.assertEqual(desk.publish()["accepted"], 1)
        after = json.loads((desk.dir / "enrolment.json").read_text())
        self.assertNotEqual(after["hub_curve_key"], before["hub_curve_key"])
        self.assertEqual({k: v for k, v in before.items() if k != "hub_curve_key"},
                         {k: v for k, v in after.items() if k not in ("hub_curve_key", "hub_keys")})

    def test_a_restored_hub_that_forgot_a_change_is_found_while_the_next_one_waits(self):
        keys, dest = self.world.path / "keys", self.world.path / "backup"
        self.supervisor.launch().process.wait_for("SESSION-READY")
        harness.copy(self.hub.dir / "keys", keys)
        done = self.world.run("casebus-hub", "backup", self.hub.dir, dest)
        self.assertEqual(done.code, 0, done.said)
        self.rotate("1h")
        self.supervisor.process.wait_for("HUB-KEYS ")
        self.hub = self.hub.kill9().restored(dest, keys).start()
        before = self.keys()
        self.rotate("1h")
        self.supervisor.process.wait_for("HUB-KEYS ", times=2)
        self.assertEqual(self.supervisor.process.stop(), 0)
        self.supervisor.launch().process.wait_for("SESSION-READY")
        after = json.loads((self.supervisor.dir / "enrolment.json").read_text())
        self.assertEqual(after["hub_curve_key"], before["curve_key"])
        self.assertEqual(len(after["hub_keys"]), 2)

    def test_who_joins_after_a_rotation_gets_the_key_that_holds(self):
        self.rotate("1s")
        self.hub.process.wait_for("CURVE-CHANGED")
        late = self.world.office(self.hub, "late", publish=True)
        late.write_rows([("case-1", 1, "apply")])
        self.assertEqual(late.publish()["accepted"], 1)

    def test_an_older_copy_of_the_keys_is_refused(self):
        old = self.world.path / "old-keys"
        harness.copy(self.hub.dir / "keys", old)
        self.rotate("1s")
        self.hub.process.wait_for("CURVE-CHANGED")
        self.hub.settle()
        self.hub.stop()
        harness.copy(old, self.hub.dir / "keys")
        self.hub.launch()
        self.assertNotEqual(self.hub.process.finish(), 0)
        self.assertIn("older copy", self.hub.process.log())


if __name__ == "__main__":
    harness.main()
