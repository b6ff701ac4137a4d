"""What is refused stays until somebody decides: it is listed and told, kept over restarts, released or destroyed."""
import csv
import datetime
import subprocess
import sys
import unittest

import harness

DAY = 86400
CHINA = datetime.timezone(datetime.timedelta(hours=8))


def rfc3339(days):
    return (datetime.datetime.now(CHINA) + datetime.timedelta(days=days)).isoformat(timespec="seconds")


class Quarantine(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.desk = harness.Office(self.world, self.hub, "desk").enrol(publish=True)
        self.office = harness.Office(self.world, self.hub, "office").enrol(receive=True)

    def rows(self, rows):
        """rows: (case, seq, days from now)"""
        with open(self.desk.rows_path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["case", "seq", "time", "kind", "note"])
            for case, seq, days in rows:
                writer.writerow([case, seq, rfc3339(days), "apply", f"note {seq}"])

    def refuse_some(self, expect=2):
        """Of four events two are dated too far ahead."""
        self.rows([("case-1", 1, -1), ("case-1", 2, 3), ("case-1", 3, -1), ("case-1", 4, 3)])
        result = self.desk.publish("--from-start", expect=1)
        self.assertEqual(result["refused"], expect, result)
        return [item["position"] for item in self.waiting()]

    def waiting(self, *words):
        return self.hub.ask("quarantine", "list", *words)["quarantine"]

    def decide(self, verb, position, *more, code=0):
        words = ["--yes"] if verb == "discard" else []
        done = self.hub.casebus("quarantine", verb, str(position), "--why", "a test", *words, *more)
        self.assertEqual(done.code, code, done.said)
        return done.said

    def undecided(self):
        return self.hub.get("/v1/status")["waiting_in_quarantine"]["undecided"]

    def stays_the_same(self):
        """After a restart, and when the state is made again."""
        told = self.undecided()
        self.hub.stop()
        before = self.hub.dump("--all")
        self.hub.rebuild()
        self.assertEqual(self.hub.dump("--all"), before)
        self.hub.start()
        self.assertEqual(self.undecided(), told)
        self.hub.verify()

    def test_what_was_refused_is_listed_told_and_kept_until_it_is_destroyed(self):
        first, second = self.refuse_some()
        self.assertEqual([item["code"] for item in self.waiting("--node", "desk")], ["CB-FUTURE"] * 2)
        self.assertEqual(self.waiting("--code", "CB-TEXT"), [])
        shown = self.hub.ask("quarantine", "show", str(first))
        self.assertEqual(shown["events"][0]["header"]["record_id"], "case-1#2")
        self.assertNotIn("note 2", str(shown))
        self.assertIn("note 2", self.hub.casebus("quarantine", "show", str(first), "--parts").said)
        self.assertIn("PARTS-READ", self.hub.process.log())
        self.stays_the_same()
        self.hub.process.wait_for("QUARANTINE-WAITS")
        self.assertIn("CB-FUTURE", self.hub.process.log())
        self.assertEqual(self.hub.casebus("quarantine", "discard", str(first), "--why", "x").code, 2)  # nobody to ask
        self.decide("discard", first)
        self.assertIn("settled", self.decide("discard", first, code=1))
        self.assertEqual([item["position"] for item in self.waiting()], [second])
        self.assertEqual([item["decision"] for item in self.waiting("--all")], ["discarded", None])
        self.assertEqual(self.hub.ask("quarantine", "show", str(first))["content"], "erased")
        self.assertEqual(self.hub.casebus("erase", "--quarantine", str(second), "--order", "x", "--yes").code, 0)
        self.assertEqual(self.undecided(), 0)
        self.stays_the_same()
        self.assertIn("nothing in quarantine", self.hub.casebus("quarantine", "show", "0").said)

    def shift(self, days):
        """The hub goes on with another clock."""
        environment = {"LD_PRELOAD": str(harness.HELPERS / "clock_shim.so"), "CASEBUS_CLOCK_SHIFT": str(days * DAY)}
        self.hub.stop().start(environment={**harness.ENVIRONMENT, **environment})

    def test_what_passes_the_door_today_is_released_delivered_and_proved(self):
        first, other = self.refuse_some()
        self.assertIn("CB-FUTURE", self.decide("release", first, code=1))  # it stays, and no act is written
        self.assertEqual(self.undecided(), 2)
        self.office.launch().wait_received(2)
        self.office.process.stop()
        self.shift(3)
        self.assertIn("released", self.decide("release", first))
        self.assertIn("settled", self.decide("release", first, code=1))
        self.assertEqual(self.undecided(), 1)
        self.office.launch().wait_received(3)
        self.office.process.stop()
        self.assertEqual(self.office.received()[-1]["record_id"], "case-1#2")
        released = self.hub.events()[-1]
        self.assertEqual((released["number"], released["header"]["record_id"]), (2, "case-1#2"))
        self.assertEqual(self.hub.verify()["events"], 3)
        evidence = self.world.path / "evidence"
        done = self.hub.casebus("prove", "--event", str(released["position"]), "--out", evidence)
        self.assertEqual(done.code, 0, done.said)
        trust = ["--trust", self.desk.dir / "enrolment.json"]
        done = self.world.run("casebus", "verify", evidence, *trust)
        self.assertEqual(done.code, 0, done.said)
        second = [sys.executable, "-B", harness.REPO / "tests/interop/verify_evidence.py", evidence, *trust]
        self.assertEqual(subprocess.run(second, stdout=subprocess.DEVNULL, check=False).returncode, 0)
        self.decide("discard", other)
        self.hub.stop().rebuild()
        self.assertEqual(self.hub.verify()["events"], 3)

    def test_a_batch_that_a_wrong_clock_refused_is_released_as_a_whole(self):
        self.shift(-10)
        self.desk.write_rows([("case-2", 1, "apply"), ("case-2", 2, "accept")])
        self.desk.publish("--from-start", expect=3)
        batch = self.waiting()[0]
        self.assertEqual((batch["code"], batch["refused"]), ("CB-CERTIFICATE", "batch"))
        self.assertEqual((batch["actor"], batch["resend"]), ("operator", "mended"))
        self.assertIn("clocks of both sides", batch["hint"])
        shown = self.hub.ask("quarantine", "show", str(batch["position"]))
        self.assertEqual([event["header"]["record_id"] for event in shown["events"]], ["case-2#1", "case-2#2"])
        self.assertIn("not valid now", self.decide("release", batch["position"], code=1))
        self.hub.stop().start()
        self.decide("release", batch["position"])
        self.office.launch().wait_received(2)
        self.office.process.stop()
        self.assertEqual(self.hub.verify()["events"], 2)
        self.desk.publish()  # it is told that the hub has them
        self.assertEqual(self.hub.verify()["events"], 2)
        for other in self.waiting():
            self.assertIn("has come in meanwhile", self.decide("release", other["position"], code=1))
        self.stays_the_same()


if __name__ == "__main__":
    harness.main()
