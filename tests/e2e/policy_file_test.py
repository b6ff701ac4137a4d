"""P8: who sees what is what the policy lets, from the moment when it is applied; and the hub can say why."""
import grp
import os
import pwd
import unittest

import harness

POLICY = """\
grants:
  - to: {{department: insurance}}
    items: ["*"]
    kinds: [{kinds}]
    parts: [{parts}]
    purpose: registration of the staff
    basis: Social Insurance Law art. 57
    until: 2099-12-31
"""


CHANGING = (harness.MAPPING
            .replace("{{case}}#{{seq}}\"", "{{record}}\"\n  revision: \"{{revision}}\"\n  operation: {{column: operation}}")
            .replace("form: [note]", "item: \"{{item}}\""))
WHO_KNOWS = """\
grants:
  - {to: {department: insurance}, items: [company], purpose: a test, basis: a law, until: 2099-12-31}
  - {to: {department: told}, items: [company], answers: [finished], purpose: a test, basis: a law, until: 2099-12-31}
"""


class Policy(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.desk = harness.Office(self.world, self.hub, "desk").enrol(publish=True)
        self.insurance = harness.Office(self.world, self.hub, "insurance").enrol()  # it only receives
        self.insurance.config.write_text(
            harness.SINK.format(node=self.insurance.dir, file=self.insurance.received_path))

    def apply(self, kinds="accept", parts="form", code=0):
        path = self.world.path / "policy.yaml"
        path.write_text(POLICY.format(kinds=kinds, parts=parts))
        done = self.hub.casebus("policy", "apply", path, "--why", "a test", "--yes")
        self.assertEqual(done.code, code, done.said)
        return path

    def publish(self, rows):
        self.desk.write_rows(rows)
        self.assertEqual(self.desk.publish("--from-start")["refused"], 0)
        self.hub.settle()

    def received(self):
        """What it has got when nothing more waits for it."""
        self.insurance.launch()
        harness.wait_until("the office has confirmed all", lambda: self.hub.nodes()["insurance"]["connected"]
                           and self.hub.nodes()["insurance"]["backlog"] == 0)
        self.insurance.process.stop()
        return self.insurance.received()

    def test_a_department_sees_what_a_row_lets_it_see_and_no_more(self):
        self.publish([("case-1", 1, "apply", "before"), ("case-1", 2, "accept", "before")])
        self.assertEqual(self.received(), [])
        self.apply()
        self.publish([("case-2", 1, "apply", "secret"), ("case-2", 2, "accept", "shared")])
        lines = self.received()
        self.assertEqual([(line["case_number"], line["kind"]) for line in lines], [("case-2", "accept")])
        self.assertIn("shared", str(lines))
        self.assertNotIn("secret", str(lines))
        self.apply(kinds="finish")
        self.publish([("case-3", 1, "accept", "later")])
        self.assertEqual(len(self.received()), 1)

    def test_parts_that_no_row_names_stay_sealed(self):
        self.apply(parts="contact")
        self.publish([("case-1", 1, "accept", "secret")])
        lines = self.received()
        self.assertEqual(len(lines), 1)
        self.assertNotIn("secret", str(lines))

    def test_yes_or_no_is_told_and_never_what_it_is_about(self):
        path = self.apply(kinds="accept, step, finish")
        path.write_text(path.read_text().replace("parts: [form]", "answers: [finished]"))
        self.assertEqual(self.hub.casebus("policy", "apply", path, "--why", "a test", "--yes").code, 0)
        self.publish([("case-1", 1, "accept", "secret"), ("case-1", 2, "step", "secret"), ("case-1", 3, "finish", "secret")])
        self.hub.stop().start()  # from the disk, and then from memory
        self.insurance.launch()
        self.insurance.wait_received(1)
        self.publish([("case-2", 1, "accept", "secret"), ("case-2", 2, "finish", "secret")])
        lines = self.received()
        self.assertEqual([(line["case_number"], line["answers"]) for line in lines],
                         [("case-1", {"finished": True}), ("case-2", {"finished": True})])
        self.assertEqual(sorted(lines[0]), ["answers", "area", "case_id", "case_number", "event_id", "hub_time", "item", "node",
                                            "number", "ordinal", "origin", "position"])
        answer = self.hub.ask("policy", "why", "insurance", "case-1")
        told = sorted((e["position"], e["kind"], e.get("answers"), e["sees"], e["lets"], e["rows"][0]["says"]) for e in answer["events"])
        self.assertEqual([line[1:] for line in told],
                         [("accept", None, False, False, "no-answer"), ("step", None, False, False, "no-answer"),
                          ("finish", ["finished"], False, True, "lets")])
        self.assertIn("told yes or no alone (finished), by row 1", self.hub.casebus("policy", "why", "insurance", "case-1").out)
        shares = self.hub.ask("sharing", "list", "--of", "desk", "--reader", "insurance")["sharing"]
        self.assertEqual([(share["case_number"], share["kind"], share["answers"], share["rule"]) for share in shares],
                         [("case-1", "finish", ["finished"], 1), ("case-2", "finish", ["finished"], 1)])
        self.hub.casebus("erase", "--case", "case-1", "--order", "by decision 7", "--yes")
        order = self.received()[-1]["erasure"]["destroy"]
        self.assertEqual([(line["position"], line["all"]) for line in order], [(lines[0]["position"], True)])
        self.hub.verify()

    def changes(self, office):
        """A source whose rows may change: record, revision, operation, case, kind, item."""
        office.config.write_text(CHANGING.format(node=office.dir, file=office.rows_path, namespace=office.name))

        def publish(*rows, expect=0):
            with open(office.rows_path, "w", encoding="utf-8") as file:
                file.write("record,revision,operation,case,kind,item,time\n")
                for i, row in enumerate(rows):
                    file.write(",".join(map(str, row)) + f",2026-03-02T09:{i + 10}:00+08:00\n")
            result = office.publish("--from-start", expect=expect)
            self.hub.settle()
            return result
        return publish

    def test_who_was_told_or_shown_something_hears_that_it_holds_no_more(self):
        told = harness.Office(self.world, self.hub, "told").enrol()
        told.config.write_text(harness.SINK.format(node=told.dir, file=told.received_path))
        path = self.world.path / "policy.yaml"
        path.write_text(WHO_KNOWS)
        self.assertEqual(self.hub.casebus("policy", "apply", path, "--why", "a test", "--yes").code, 0)
        publish = self.changes(self.desk)
        publish(("r1", 1, "put", "case-1", "finish", "company"), ("r2", 1, "put", "case-2", "finish", "company"))
        publish(("r1", 2, "correct", "case-9", "finish", "company"), ("r2", 2, "delete", "case-2", "step", "seal"))
        self.hub.stop().start()  # from the disk, and then from memory
        self.insurance.launch()
        told.launch()
        self.insurance.wait_received(4)
        told.wait_received(5)
        publish(("r3", 1, "put", "case-3", "finish", "company"), ("r3", 2, "delete", "case-3", "finish", "seal"))
        self.insurance.wait_received(6)
        told.wait_received(7)
        told.process.stop()
        lines = self.insurance.received()
        self.assertEqual(lines[5]["retraction"]["event_id"], lines[4]["event_id"])
        self.assertEqual([(line["case_number"], line.get("kind")) for line in lines],
                         [("case-1", "finish"), ("case-2", "finish"), ("case-9", "finish"), ("case-2", None),
                          ("case-3", "finish"), ("case-3", None)])
        self.assertEqual(lines[3]["retraction"], {"record_namespace": "e2e/desk", "record_id": "r2", "position": lines[1]["position"],
                                                  "event_id": lines[1]["event_id"]})
        self.assertNotIn("item", lines[3])  # what it is now is not for this office
        self.assertEqual(sorted((line["case_number"], line["answers"]["finished"]) for line in told.received()[2:]),
                         [("case-1", False), ("case-2", False), ("case-3", False), ("case-3", True), ("case-9", True)])
        shares = self.hub.ask("sharing", "list", "--of", "desk")["sharing"]
        self.assertEqual(sorted((share["reader"], share.get("answers", [])) for share in shares if share.get("retracts")),
                         2 * [("insurance", [])] + 3 * [("told", ["finished"])])
        words = self.hub.casebus("sharing", "list", "--of", "desk").out
        self.assertIn("no more: finished", words)
        self.hub.casebus("erase", "--case", "case-2", "--order", "by decision 7", "--yes")
        told.launch()
        told.wait_received(8)
        self.assertEqual(len(told.received()[7]["erasure"]["destroy"]), 2)
        self.hub.stop()
        before = self.hub.dump("--all")
        self.hub.rebuild()
        self.assertEqual(self.hub.dump("--all"), before)
        self.hub.verify()

    def test_nobody_corrects_under_an_item_that_it_has_what_stands_under_one_that_it_lost(self):
        path = self.world.path / "policy.yaml"
        path.write_text("publish:\n  - {by: {department: desk}, items: [company, seal], basis: a test}\n")
        self.assertEqual(self.hub.casebus("policy", "apply", path, "--why", "a test", "--yes").code, 0)
        publish = self.changes(self.desk)
        publish(("r1", 1, "put", "case-1", "accept", "company"))
        path.write_text("publish:\n  - {by: {department: desk}, items: [seal], basis: a test}\n")
        self.assertEqual(self.hub.casebus("policy", "apply", path, "--why", "a test", "--yes").code, 0)
        result = publish(("r1", 2, "delete", "case-1", "accept", "seal"), ("r1", 3, "correct", "case-2", "step", "seal"), expect=1)
        self.assertEqual((result["accepted"], result["refused"]), (0, 2))
        self.assertIn("about what the record was about so far: item 'company'", self.desk.process.log())
        self.assertEqual(self.hub.ask("case", "show", "case-1")["status"], "accepted")
        self.hub.verify()

    def test_who_knows_the_number_of_anothers_case_does_not_end_it(self):
        thief = harness.Office(self.world, self.hub, "thief").enrol(publish=True)
        path = self.world.path / "policy.yaml"
        path.write_text("publish:\n  - {by: {department: desk}, items: [company], basis: a test}\n"
                        "  - {by: {department: thief}, items: [seal], basis: a test}\n")
        self.assertEqual(self.hub.casebus("policy", "apply", path, "--why", "a test", "--yes").code, 0)
        self.changes(self.desk)(("r1", 1, "put", "case-1", "accept", "company"))
        self.changes(thief)(("x1", 1, "put", "case-1", "step", "seal"), ("x2", 1, "put", "case-1", "finish", "seal"),
                            ("x3", 1, "put", "case-1", "annul", "seal"))
        case = self.hub.ask("case", "show", "case-1")
        self.assertEqual((case["status"], case["records"], case["findings"]), ("accepted", 4, ["other_item"]))
        self.assertEqual(sorted((record["node"], record["beside"]) for record in case["timeline"]),
                         [("desk", False)] + 3 * [("thief", True)])
        self.assertIn("beside", self.hub.casebus("case", "show", "case-1").out)
        self.hub.verify()

    def test_a_department_publishes_about_its_items_and_the_rest_waits_for_a_row(self):
        with open(self.desk.config, "a", encoding="utf-8") as config:
            config.write('  item: "{note}"\n')
        path = self.world.path / "policy.yaml"
        path.write_text("publish:\n  - {by: {department: desk}, items: [mine], basis: a test}\n")
        self.assertEqual(self.hub.casebus("policy", "apply", path, "--why", "a test", "--yes").code, 0)
        self.desk.write_rows([("case-1", 1, "apply", "mine-1"), ("case-1", 2, "apply", "yours-1")])
        result = self.desk.publish("--from-start", expect=1)
        self.assertEqual((result["accepted"], result["refused"]), (1, 1))
        self.assertIn("CB-NOT-COMPETENT", self.desk.process.log())
        self.assertIn("no row of the policy lets node 'desk' (department 'desk') publish about item 'yours-1'", self.desk.process.log())
        waiting = self.hub.ask("quarantine", "list")["quarantine"]
        self.assertEqual([item["code"] for item in waiting], ["CB-NOT-COMPETENT"])
        path.write_text("publish:\n  - {by: {department: desk}, items: [mine, yours], basis: a test}\n")
        self.assertEqual(self.hub.casebus("policy", "apply", path, "--why", "a test", "--yes").code, 0)
        done = self.hub.casebus("quarantine", "release", str(waiting[0]["position"]), "--why", "a test")
        self.assertEqual(done.code, 0, done.said)
        self.hub.settle()
        self.assertEqual(len(self.hub.events()), 2)
        words = self.hub.casebus("policy", "why", "desk", "case-1").out
        self.assertEqual(words.count("this node published it, by row 1 of the policy then in force"), 2, words)
        self.assertIn("it might not publish this", self.hub.casebus("policy", "why", "insurance", "case-1").out)
        self.hub.verify()

    def test_the_hub_says_why_and_why_not_also_after_a_restart(self):
        self.publish([("case-1", 1, "accept")])
        path = self.apply()
        self.publish([("case-1", 2, "accept"), ("case-1", 3, "finish")])
        for _ in range(2):
            answer = self.hub.ask("policy", "why", "insurance", "case-1")
            self.assertEqual(answer["version"], 1)
            told = sorted((e["position"], e["kind"], e["received"], e.get("rule"), e["lets"],
                           [row["says"] for row in e["rows"]]) for e in answer["events"])
            self.assertEqual([line[1:] for line in told],
                             [("accept", False, None, True, ["lets"]), ("accept", True, 1, True, ["lets"]),
                              ("finish", False, None, False, ["other-kind"])])
            words = self.hub.casebus("policy", "why", "insurance", "case-1").out
            self.assertIn("delivered, by row 1 of the policy then in force", words)
            self.assertIn("row 1 (line 2, grant) is about other kinds of events", words)
            self.assertEqual(self.hub.casebus("policy", "show").out, path.read_text())
            self.assertEqual(self.hub.casebus("policy", "diff", path).code, 0)
            self.hub.stop().start()
        self.hub.verify()

    def test_a_policy_with_faults_is_not_applied_and_each_is_told(self):
        path = self.world.path / "bad.yaml"
        path.write_text("grants:\n  - to: {department: a}\n    items: [x]\n    kinds: [acept]\n")
        done = self.hub.casebus("policy", "apply", path, "--why", "a test", "--yes")
        self.assertEqual(done.code, 1)
        self.assertIn("bad.yaml:4: 'acept' is no kind of event", done.said)
        self.assertIn("needs 'basis'", done.said)
        self.assertEqual(self.hub.ask("policy", "show")["version"], 0)

    def test_rows_that_ended_and_rows_for_nobody_are_told(self):
        path = self.world.path / "policy.yaml"
        path.write_text("publish:\n  - {by: [{department: desk}, {department: dezk}], items: [a], basis: a test}\n"
                        "  - {by: {node: insurance}, items: [a], basis: a test, until: 2020-12-31}\n"
                        "  - {by: {department: dezk}, items: [b], basis: a test}\n"
                        "  - {by: {department: desk, area: '320200'}, items: [b], basis: a test}\n")
        ended = "policy.yaml:3: note: entry 2 ended with 2020-12-31"
        checked = self.world.run("casebus", "policy", "check", path)
        self.assertEqual(checked.code, 0, checked.said)
        self.assertIn(ended, checked.err)
        self.assertNotIn("enrolled", checked.err)
        for words in ("diff", path), ("apply", path, "--why", "a test", "--yes"):
            told = self.hub.casebus("policy", *words).err
            self.assertIn(ended, told)
            self.assertEqual(told.count("note: no node of department 'dezk' is enrolled"), 1, told)
            self.assertIn("policy.yaml:5: note: no node of department 'desk' in area '320200' is enrolled", told)
            self.assertEqual(told.count("note:"), 3, told)

    def test_what_is_marked_as_a_state_secret_is_refused_and_nothing_of_it_is_kept(self):
        self.desk.write_rows([("case-1", 1, "apply", "秘密★10年 xyzzy"), ("case-1", 2, "accept", "plain")])
        result = self.desk.publish("--from-start", expect=1)
        self.assertEqual((result["accepted"], result["refused"]), (1, 1))
        self.assertIn("CB-CLASSIFIED", self.desk.process.log())
        self.hub.settle()
        waiting = self.hub.ask("quarantine", "list")["quarantine"]  # somebody has to look, though there is nothing to see
        self.assertEqual([refused["code"] for refused in waiting], ["CB-CLASSIFIED"])
        at = str(waiting[0]["position"])
        for code in (0, 1):  # decided, and only once
            self.assertEqual(self.hub.casebus("quarantine", "discard", at, "--why", "the office was told", "--yes").code, code)
        self.hub.settle()
        self.assertEqual(self.hub.ask("quarantine", "list")["quarantine"], [])
        self.hub.stop()
        dump = self.hub.casebus("ledger", "dump").out
        self.assertIn('"code":"CB-CLASSIFIED"', dump)
        self.hub.verify()
        before = self.hub.dump("--all")
        self.hub.rebuild()
        self.assertEqual(self.hub.dump("--all"), before)

    def test_a_policy_needs_two_operators_where_the_hub_says_so(self):
        if os.geteuid() != 0:
            self.skipTest("it takes root to be two accounts")
        nobody = pwd.getpwnam("nobody")
        self.hub.stop()
        with open(self.hub.dir / "hub.yaml", "r+", encoding="utf-8") as file:
            text = file.read().replace("four_eyes: off", "four_eyes: on").replace(
                "operators: none", f"operators: {grp.getgrgid(nobody.pw_gid).gr_name}")
            file.seek(0)
            file.write(text)
            file.truncate()
        for place in (self.world.path, self.hub.dir):
            place.chmod(0o711)
        self.hub.start()

        def become_nobody():
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)

        def second(*words):
            return self.world.run("casebus", *words, "--hub", f"http+unix://{self.hub.dir}/hub.sock", before=become_nobody)

        path = self.world.path / "policy.yaml"
        path.write_text(POLICY.format(kinds="accept", parts="form"))
        done = self.hub.casebus("policy", "apply", path, "--why", "the new law", "--yes")
        self.assertEqual(done.code, 0, done.said)
        self.assertIn("version 1 of the policy is proposed", done.out)
        self.assertEqual(self.hub.ask("policy", "show")["version"], 0)
        self.assertEqual(self.hub.ask("status")["policy_proposed"], 1)
        self.assertIn("waits for a second operator", self.hub.casebus("status").out)
        self.assertEqual(self.hub.casebus("policy", "apply", path, "--why", "again", "--yes").code, 1)  # one at a time
        done = self.hub.casebus("policy", "approve", "1", "--yes")
        self.assertEqual(done.code, 1)
        self.assertIn("another account has to approve it", done.said)
        self.hub.stop().start()  # it waits
        done = second("policy", "diff")
        self.assertEqual(done.code, 1)
        self.assertIn("version 1 is proposed by 'root'", done.out)
        self.assertIn("+grants:", done.out)
        self.assertEqual(second("policy", "approve", "2", "--yes").code, 1)
        self.assertEqual(second("policy", "refuse", "1").code, 0)
        self.assertEqual(self.hub.ask("status")["policy_proposed"], None)
        self.assertEqual(self.hub.casebus("policy", "apply", path, "--why", "the new law", "--yes").code, 0)
        done = second("policy", "approve", "1", "--yes")
        self.assertEqual(done.code, 0, done.said)
        self.assertEqual(self.hub.ask("policy", "show")["version"], 1)
        self.assertEqual(self.hub.ask("status")["policy_proposed"], None)
        self.assertEqual(self.hub.casebus("policy", "approve", "1", "--yes").code, 1)
        self.hub.settle()
        acts = {entry["type"]: entry for entry in self.hub.ask("ledger", "dump", "--notes")}
        self.assertEqual(acts["policy_applied"]["note"], {"operator": "root", "words": "the new law", "second": "nobody"})
        self.hub.verify()

    def test_nobody_applies_without_a_reason_or_without_being_asked(self):
        path = self.apply()
        self.assertEqual(self.hub.casebus("policy", "apply", path).code, 2)
        path.write_text("grants: []\n")
        done = self.hub.casebus("policy", "apply", path, "--why", "x")  # there is no terminal to ask on
        self.assertEqual(done.code, 2)
        self.assertIn("--yes", done.said)
        self.assertEqual(self.hub.ask("policy", "show")["version"], 1)


if __name__ == "__main__":
    harness.main()
