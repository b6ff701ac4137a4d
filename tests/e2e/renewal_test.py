"""Certificates renew themselves over the session, and whoever could miss the end is told thirty days ahead."""
import json
import os
import time
import unittest

import harness

DAY = 86400
LIFE = 3 * 365


def at_day(n, **more):
    """n days after now, for one process."""
    return {"environment": {"LD_PRELOAD": str(harness.HELPERS / "clock_shim.so"),
                            "CASEBUS_CLOCK_SHIFT": str(n * DAY), **more}}


@unittest.skipIf(os.environ.get("CASEBUS_SANITIZE"), "a sanitizer has to be loaded first")
class Renewal(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().init().set("silence_seconds", 2).start()
        self.desk = self.world.office(self.hub, "desk", publish=True)
        self.rows = []
        self.write_row()
        self.assertEqual(self.desk.publish("--from-start")["accepted"], 1)
        self.first = self.certificate()
        self.hub.stop()

    def write_row(self):
        self.rows.append(("case-1", len(self.rows) + 1, "apply"))
        self.desk.write_rows(self.rows)

    def certificate(self):
        return json.loads((self.desk.dir / "enrolment.json").read_text())["certificate"]

    def ends(self):
        return self.hub.nodes()["desk"]["certificate_ends_us"]

    def enrolments(self):
        self.hub.barrier()  # the node may know of one that only the journal has
        acts = self.hub.get("/v1/ledger/entries?from=0&limit=100")["entries"]
        return sum("node_enrolled" in json.dumps(act) for act in acts)

    def renews(self, days):
        self.desk.process.wait_for("CERTIFICATE-RENEWED")
        self.desk.process.stop()
        self.assertNotEqual(self.certificate(), self.first)
        self.assertAlmostEqual(self.ends() / 10**6 - time.time(), (LIFE + days) * DAY, delta=3600)

    # ---- the way it should go ----

    def test_a_certificate_is_renewed_over_the_session_and_old_seals_hold(self):
        self.hub.start(**at_day(LIFE - 50))
        self.write_row()
        self.desk.launch(**at_day(LIFE - 50))
        self.renews(LIFE - 50)
        self.assertNotIn("SESSION-LOST", self.desk.process.log())
        self.assertEqual(self.enrolments(), 2)
        # Past the end of the old one: what was sealed under it and what is sealed under the new one hold.
        self.hub.stop()
        self.hub.start(**at_day(LIFE + 10))
        self.write_row()
        self.desk.publish(**at_day(LIFE + 10))
        self.assertEqual(self.hub.verify()["events"], 3)
        for event in self.hub.events():
            path = self.world.path / f"{event['position']}.evidence"
            done = self.hub.casebus("prove", "--event", event["position"], "--out", path)
            self.assertEqual(done.code, 0, done.said)
            done = self.world.run("casebus", "verify", path, "--trust", self.desk.dir / "enrolment.json")
            self.assertEqual(done.code, 0, done.said)

    def test_not_before_its_time(self):
        self.hub.start(**at_day(LIFE - 70))
        self.write_row()
        self.desk.publish(**at_day(LIFE - 70))
        self.assertEqual(self.certificate(), self.first)
        self.desk.settings = ["--set", "renew_days=75"]
        self.desk.launch(**at_day(LIFE - 70))
        self.renews(LIFE - 70)

    # ---- who is told that it ends ----

    def test_the_end_is_shown_thirty_days_ahead_everywhere(self):
        for left, soon in ((40, False), (20, True)):
            clock = at_day(LIFE - left)["environment"]
            self.hub.start(environment=clock)
            ask = lambda *words: self.world.run("casebus", *words, "--hub", self.hub.dir, environment=clock)
            node = ask("node", "show", "desk", "--json").json()
            self.assertEqual(node["certificate_ends_soon"], soon)
            self.assertIn(node["certificate_days_left"], (left - 1, left))
            ending = ask("status", "--json").json()["certificates"]["ending"]
            self.assertEqual([one["node"] for one in ending], ["desk"] if soon else [])
            for words in (["status"], ["node", "list"], ["node", "show", "desk"]):
                self.assertEqual("LOOK" in ask(*words).said, soon, words)
            self.assertEqual("CERTIFICATE-ENDS" in self.hub.process.log(), soon)
            doctor = self.world.run("casebus-hub", "doctor", self.hub.dir, environment=clock)
            self.assertEqual((doctor.code == 1, "certificate of 'desk' ends" in doctor.said), (soon, soon), doctor.said)
            status = self.world.run("casebus-adapter", "status", self.desk.dir, environment=clock)
            self.assertEqual((status.code, "LOOK" in status.said), (int(soon), soon), status.said)
            status = self.world.run("casebus-adapter", "status", self.desk.dir, "--json", environment=clock)
            self.assertEqual(status.json()["certificate_ends_soon"], soon)
            (self.hub.dir / "keys" / "authority.key").rename(self.world.path / "away.key")  # no renewal
            self.desk.launch(environment=clock)
            self.desk.process.wait_for("RENEWAL-FAILED")
            self.assertEqual("CERTIFICATE-ENDS" in self.desk.process.log(), soon)
            self.desk.process.stop()
            (self.world.path / "away.key").rename(self.hub.dir / "keys" / "authority.key")
            self.hub.stop()
        authority = at_day(20 * 365 - 10)["environment"]
        doctor = self.world.run("casebus-hub", "doctor", self.hub.dir, environment=authority)
        self.assertRegex(doctor.said, "LOOK.*authority")

    # ---- interruptions ----

    def test_a_node_killed_before_it_has_stored_it_gets_the_same_one(self):
        self.hub.start(**at_day(LIFE - 50))
        shim = at_day(LIFE - 50)["environment"]
        shim["LD_PRELOAD"] += f":{harness.HELPERS / 'kill_shim.so'}"
        self.desk.launch(environment={**shim, "KILL_AT": "1", "KILL_NAMES": "1", "KILL_NAME": "enrolment.json",
                                      "KILL_WHEN": str(self.desk.config)})
        self.desk.process.popen.wait(harness.PATIENCE_S)
        self.assertEqual(self.certificate(), self.first)
        self.assertEqual(self.enrolments(), 2)
        self.desk.launch(**at_day(LIFE - 49))
        self.renews(LIFE - 50)  # that of the first time
        self.assertEqual(self.enrolments(), 2)

    def test_a_hub_killed_at_any_write_goes_on_with_it(self):
        arm = self.world.path / "arm"
        for step in range(1, 4):
            shim = at_day(LIFE - 50)["environment"]
            shim["LD_PRELOAD"] += f":{harness.HELPERS / 'kill_shim.so'}"
            self.hub.start(environment={**shim, "KILL_AT": str(step), "KILL_WHEN": str(arm)})
            arm.touch()
            if step == 1:
                self.desk.launch(**at_day(LIFE - 50))
            harness.wait_until("the hub is killed, or has renewed it",
                               lambda: self.hub.process.code is not None or self.certificate() != self.first)
            arm.unlink()
            self.hub.kill9()
        self.hub.start(**at_day(LIFE - 50))
        self.renews(LIFE - 50)
        self.assertEqual(self.enrolments(), 2)
        self.hub.verify()

    def test_what_is_refused_is_told_and_tried_again(self):
        self.hub.start(**at_day(LIFE - 20))
        key = self.hub.dir / "keys" / "authority.key"
        key.rename(self.world.path / "away.key")
        self.desk.launch(**at_day(LIFE - 20))
        self.desk.process.wait_for("RENEWAL-FAILED")
        self.hub.process.wait_for("RENEWAL-REFUSED")
        (self.world.path / "away.key").rename(key)
        self.renews(LIFE - 20)

    def test_a_suspended_or_revoked_node_is_not_renewed(self):
        self.hub.start(**at_day(LIFE - 50))
        done = self.hub.casebus("node", "suspend", "desk", "--why", "a test")
        self.assertEqual(done.code, 0, done.said)
        self.desk.launch(**at_day(LIFE - 50))
        self.desk.process.wait_for("SESSION-LOST")
        self.desk.process.stop()
        self.assertEqual(self.certificate(), self.first)
        self.assertEqual(self.enrolments(), 1)


if __name__ == "__main__":
    harness.main()
