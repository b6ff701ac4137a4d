"""A thief who has the hub's CURVE key, the present one or a former one, and stands where the hub should be."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402


class Thief(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.desk = self.world.office(self.hub, "desk", publish=True)
        self.stolen = (self.hub.dir / "keys" / "curve.key").read_text().strip()

    def thief_in_the_hub_s_place(self):
        self.hub.stop()
        thief = self.world.start(self.world.path / "thief.log", str(harness.HELPERS / "thief"), self.hub.endpoint,
                                 self.stolen, self.hub.origin, stdin=-1)
        return thief.wait_for("listens")

    def the_hub_is_back(self, thief):
        """Who heard nothing but names."""
        thief.popen.stdin.close()
        self.assertEqual(thief.finish(), 0, thief.log())
        self.assertEqual(set(thief.log().splitlines()), {"listens", "heard hello"})
        self.hub.start()

    def status(self):
        done = self.world.run("casebus-adapter", "status", self.desk.dir, "--json")
        told = self.world.run("casebus-adapter", "status", self.desk.dir)
        return done.code, done.json()["hub_unproven_since_us"] > 0, "HUB-UNPROVEN" in told.said

    def rows(self, n):
        return self.desk.write_rows([("case-1", i, "apply") for i in range(1, n + 1)])

    def test_who_has_the_hub_s_transport_key_is_sent_nothing_and_named(self):
        self.assertEqual(self.rows(2).publish("--from-start")["accepted"], 2)
        self.assertEqual(self.status(), (0, False, False))
        thief = self.thief_in_the_hub_s_place()
        result = self.rows(5).publish(expect=3)
        self.assertEqual((result["refused"], result["accepted"]), (0, 0))
        self.assertIn(" HUB-UNPROVEN ", self.desk.process.log())
        self.assertIn("CB-HUB-IDENTITY", self.desk.process.log())
        self.assertEqual(self.status(), (1, True, True))
        self.the_hub_is_back(thief)
        self.assertEqual(self.desk.publish()["accepted"], 3)
        self.assertEqual(self.status(), (0, False, False))
        self.assertEqual(self.hub.verify()["events"], 5)

    def test_a_key_of_before_a_rotation_is_worth_nothing_and_the_adapter_goes_on_by_itself(self):
        drip = harness.Drip(self.world, self.desk)
        drip.publish("record-1", "case-1")
        drip.process.wait_for("\naccepted ")
        done = self.hub.casebus("hub", "rotate", "curve", "--in", "3s", "--force")
        self.assertEqual(done.code, 0, done.said)
        drip.process.wait_for("log HUB-KEYS ")
        self.hub.process.wait_for("CURVE-CHANGED")
        drip.process.wait_for("state ready", times=2)
        kept = json.loads((self.desk.dir / "enrolment.json").read_text())["hub_curve_key"]
        self.assertNotEqual(kept, self.hub.ask("hub", "keys")["curve_key"])  # it still knows the former one
        thief = self.thief_in_the_hub_s_place()
        for i in range(2, 6):
            drip.publish(f"record-{i}", "case-1")
        drip.process.wait_for("log HUB-UNPROVEN ")
        self.the_hub_is_back(thief)
        self.assertEqual(drip.end(), 0, drip.process.log()[-2000:])
        self.assertNotIn("\nrefused ", drip.process.log())
        self.assertEqual(self.hub.verify()["events"], 5)


if __name__ == "__main__":
    harness.main()
