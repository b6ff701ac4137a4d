"""A node that is suspended or revoked is out within a second, and what it signed before stays valid."""
import json
import os
import time
import unittest

import harness


class Standing(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.desk = harness.Office(self.world, self.hub, "desk").enrol(publish=True)
        self.office = harness.Office(self.world, self.hub, "office").enrol(receive=True)

    def change(self, verb, *more, code=0, node="desk"):
        done = self.hub.casebus("node", verb, node, "--why", "a test", *more)
        self.assertEqual(done.code, code, done.said)
        return done.said

    def stays(self):
        """The desk's adapter, connected and waiting for rows that never come."""
        self.desk.config.write_text(harness.SINK.format(node=self.desk.dir, file=self.desk.received_path))
        self.desk.launch()
        harness.wait_until("the desk is connected", lambda: self.hub.nodes()["desk"]["connected"])

    def test_a_live_connection_ends_and_nothing_is_taken_until_it_is_resumed(self):
        self.desk.write_rows([("case-1", 1, "apply")])
        self.desk.publish("--from-start")
        self.stays()
        self.change("suspend")
        began = time.monotonic()
        harness.wait_until("the desk is out", lambda: not self.hub.nodes()["desk"]["connected"])
        print(f"out after {time.monotonic() - began:.2f} s")
        self.assertEqual(self.hub.nodes()["desk"]["status"], "suspended")
        harness.wait_until("the desk is told", lambda: "CB-SUSPENDED" in self.desk.process.log())
        self.assertIn("suspended already", self.change("suspend", code=1))
        again = self.hub.casebus("node", "add", "desk", "--out", self.desk.dir, "--department", "desk", "--area", "320100",
                                 "--publish")
        self.assertIn("casebus node resume desk", again.out, again.said)
        for _ in range(2):  # also after a restart
            self.assertFalse(self.hub.nodes()["desk"]["connected"])
            self.assertEqual(self.hub.nodes()["desk"]["status"], "suspended")
            self.hub.stop().start()
        self.change("resume")
        harness.wait_until("the desk is back", lambda: self.hub.nodes()["desk"]["connected"])
        self.desk.process.stop()
        self.hub.verify()

    def test_what_came_before_stays_and_what_waits_is_sent_when_it_is_resumed(self):
        self.desk.write_rows([("case-1", 1, "apply")])
        self.desk.publish("--from-start")
        self.change("suspend")
        self.desk.write_rows([("case-1", 1, "apply"), ("case-1", 2, "accept")])
        self.desk.publish("--from-start", expect=3)  # it is shut out, and keeps what it has
        self.assertEqual(self.hub.nodes()["desk"]["accepted"], 1)
        self.change("resume")
        self.desk.publish()
        self.assertEqual(self.hub.nodes()["desk"]["accepted"], 2)
        self.assertEqual(self.hub.verify()["events"], 2)

    def test_revoked_keys_never_come_back_and_new_ones_are_taken(self):
        self.desk.write_rows([("case-1", 1, "apply")])
        self.desk.publish("--from-start")
        self.stays()
        self.assertEqual(self.hub.casebus("node", "revoke", "desk", "--why", "x").code, 2)  # nobody to ask
        self.assertIn("stays valid", self.change("revoke", "--yes", "--since", "2026-03-01"))
        harness.wait_until("the desk is out", lambda: not self.hub.nodes()["desk"]["connected"])
        self.desk.process.stop()
        self.assertIn("for good", self.change("resume", code=1))
        self.assertEqual(self.hub.nodes()["desk"]["status"], "revoked")
        self.hub.stop().start()
        words = ["node", "add", "desk", "--department", "desk", "--area", "320100", "--publish"]
        (self.desk.dir / "enrolment.json").unlink()
        done = self.hub.casebus(*words, "--out", self.desk.dir)  # the old keys
        self.assertEqual(done.code, 1)
        self.assertIn("CB-REVOKED", done.said)
        again = harness.Office(self.world, self.hub, "again")
        done = self.hub.casebus(*words, "--out", again.dir)
        self.assertEqual(done.code, 0, done.said)
        again.config.write_text(harness.MAPPING.format(node=again.dir, file=again.rows_path, namespace="again"))
        again.write_rows([("case-2", 1, "apply")])
        self.assertEqual(again.publish("--from-start")["accepted"], 1)
        self.assertEqual(self.hub.nodes()["desk"]["status"], "active")
        verified = self.hub.verify()
        self.assertEqual(verified["events"], 2)
        self.assertEqual([(key["node"], key["department"]) for key in verified["vouched"]], [("desk", "desk")])
        told = self.hub.casebus("ledger", "verify", "--no-state")
        self.assertIn("for 1 key the hub's operator alone vouches", told.out, told.said)
        self.assertIn(f"node 'desk' of department 'desk', key {verified['vouched'][0]['key']}", told.out)
        words = self.proved("case-1") + self.proved("case-2")
        self.assertNotIn("vouches", words)  # each case has one key
        again.write_rows([("case-1", 7, "accept")])
        self.assertEqual(again.publish("--from-start")["accepted"], 1)
        self.assertIn("hub's operator alone vouches", self.proved("case-1"))

    def report(self, *more, json_lines=True):
        done = self.hub.casebus("incident", "report", "desk", *(["--json"] if json_lines else []), *more)
        self.assertEqual(done.code, 0, done.said)
        return [json.loads(line) for line in done.out.splitlines()] if json_lines else done.out

    def test_a_report_tells_what_stolen_keys_touched_and_names_nobody(self):
        self.desk.config.write_text(self.desk.config.read_text() + """\
  identity.name: "{note}"
  identity.id_type: "citizen_id"
  identity.id_number: "ID-{note}"
""")
        rows = [("case-1", 1, "apply", "MARK-ZHANG"), ("case-1", 2, "accept", "MARK-ZHANG"), ("case-2", 1, "apply", "MARK-LI")]
        self.desk.write_rows(rows)
        self.desk.publish("--from-start")
        self.change("revoke", "--yes", "--since", "2026-03-01")
        touches = self.report()
        self.assertEqual([touch["what"] for touch in touches], ["enrolled", "published", "published", "published", "revoked"])
        zhang, again, li = (touch["persons"] for touch in touches[1:4])
        self.assertEqual(zhang, again)
        self.assertNotEqual(zhang, li)
        self.assertEqual(touches[1]["case_number"], "case-1")
        self.assertEqual([r["node"] for r in touches[1]["receivers"]], ["office"])
        words = self.report(json_lines=False)
        for said in ("published: 3", "case-1  2", "case-2  1", "office  3", f"{zhang[0]}  2", "keys were revoked"):
            self.assertIn(said, words)
        sealed = self.report("--no-persons")
        self.assertFalse([t for t in sealed if "persons" in t or "case_number" in t])
        first, last = (str(touches[i]["position"]) for i in (2, 3))
        self.assertEqual([t["position"] for t in self.report("--from", first, "--to", last)], [int(first), int(last)])
        self.assertEqual(self.report("--from", "2099-01-01"), [])
        path = self.world.path / "report.csv"
        self.report("--csv", "-o", path, json_lines=False)
        table = path.read_text()
        self.assertEqual(len(table.splitlines()), 1 + len(touches))
        self.assertIn(zhang[0], table)
        self.assertEqual(self.hub.casebus("incident", "report", "desk", "-o", path).code, 1)  # it is not written over
        self.assertNotIn("MARK-", words + table + json.dumps(touches))
        self.assertIn("PARTS-READ", self.hub.process.log())
        self.hub.stop()  # the files alone tell the same
        self.assertEqual(self.report(), touches)
        self.assertEqual(self.hub.casebus("incident", "report", "nobody").code, 1)

    def proved(self, case):
        """What an evidence file about the case is said to prove."""
        self.hub.settle()
        path = self.world.path / f"{case}.evidence"
        done = self.hub.casebus("prove", "--case", case, "-o", path)
        self.assertEqual(done.code, 0, done.said)
        done = self.world.run("casebus", "verify", path, "--trust", self.office.dir / "enrolment.json")
        self.assertEqual(done.code, 0, done.said)
        return done.out

    def test_keys_that_were_revoked_are_for_nobody_any_more(self):
        def add(name, out, department="desk"):
            (out / "enrolment.json").unlink(missing_ok=True)
            return self.hub.casebus("node", "add", name, "--department", department, "--area", "320100", "--publish", "--out", out)

        second = self.world.path / "second"
        self.change("revoke", "--yes")
        self.assertIn("is that of department 'desk'", add("desk", second, "other").said)  # what waits is for nobody else
        done = add("desk", second)
        self.assertEqual(done.code, 0, done.said)
        self.assertIn("CB-REVOKED", add("desk-2", self.desk.dir).said)
        self.change("revoke", "--yes")
        for _ in range(2):  # also after a restart, when it is the state that knows
            self.assertIn("CB-REVOKED", add("desk", self.desk.dir).said)
            self.assertIn("CB-REVOKED", add("desk", second).said)
            self.hub.stop().start()
        self.hub.verify()

    def test_a_certificate_that_ends_is_renewed_when_the_node_asks_again(self):
        self.desk.write_rows([("case-1", 1, "apply")])
        self.desk.publish("--from-start")
        words = ["node", "add", "desk", "--department", "desk", "--area", "320100", "--publish", "--out", self.desk.dir]
        before = (self.desk.dir / "enrolment.json").read_text()
        self.assertEqual(self.hub.casebus(*words).code, 0)
        self.assertEqual((self.desk.dir / "enrolment.json").read_text(), before)
        later = {"LD_PRELOAD": str(harness.HELPERS / "clock_shim.so"), "CASEBUS_CLOCK_SHIFT": str(1050 * 86400),
                 "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        self.hub.stop().start(environment=later)
        done = self.hub.casebus(*words)
        self.assertEqual(done.code, 0, done.said)
        renewed = json.loads((self.desk.dir / "enrolment.json").read_text())
        self.assertNotEqual(renewed["certificate"], json.loads(before)["certificate"])
        self.desk.write_rows([("case-1", 1, "apply"), ("case-1", 2, "accept")])
        self.desk.launch("--once", environment=later)
        self.assertEqual(self.desk.finish()["code"], 0, self.desk.process.log())
        self.hub.stop()
        self.assertEqual(self.hub.verify()["events"], 2)
        evidence = self.world.path / "case.evidence"
        done = self.hub.casebus("prove", "--case", "case-1", "-o", evidence)
        self.assertEqual(done.code, 0, done.said)
        done = self.world.run("casebus", "verify", evidence, "--trust", self.desk.dir / "enrolment.json")
        self.assertEqual(done.code, 0, done.said)

    def test_who_asks_for_what_cannot_be_is_told(self):
        self.assertIn("no node 'nobody'", self.change("suspend", code=1, node="nobody"))
        self.assertIn("is not suspended", self.change("resume", code=1))
        self.assertIn("is no time", self.change("suspend", "--since", "yesterday", code=2))


if __name__ == "__main__":
    harness.main()
