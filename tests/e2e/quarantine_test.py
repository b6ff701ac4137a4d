"""What is refused stays until somebody decides: it is listed and told, kept over restarts, released or destroyed."""
import csv
import datetime
import os
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
        before, told = self.hub.dump("--all"), self.undecided()
        self.hub.stop().rebuild()
        self.hub.start()
        self.assertEqual(self.undecided(), told)
        self.assertEqual(self.hub.dump("--all"), before)
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


if __name__ == "__main__":
    harness.main()
