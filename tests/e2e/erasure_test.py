"""What is erased is gone: out of every file, under every key that is left, at every moment of a crash, and for good.

Markers are planted where departments write texts. The promise that is tested is the strong one: none of them can be read
in any file of the hub, ever; and after an erasure nothing of the case opens any more, whoever has all files and all keys.
"""
import csv
import json
import os
import shutil
import subprocess
import time
import unittest

import harness

MAPPING = """\
node: {node}
source:
  kind: eventlog
  file: {file}
map:
  record_namespace: e2e/marked
  record_id: "{{record}}"
  case_number: "{{case}}"
  case_alias: "{{alias}}"
  occurred_at: {{column: time, format: rfc3339}}
  kind: {{column: kind}}
  handler: "{{handler}}"
  identity.name: "{{name}}"
  identity.id_type: "citizen_id"
  identity.id_number: "{{person}}"
  contact.phone: "{{phone}}"
  form: [note]
"""
COLUMNS = ["record", "case", "alias", "time", "kind", "handler", "name", "person", "phone", "note"]
GONE = "MARK-GONE"  # of what will be erased
KEPT = "MARK-KEPT"  # of what will not
WORDS = "MARK-ORDER by court decision 2026-77"


def row(mark, case, seq, kind="step", person=None):
    return {"record": f"{mark}-record-{case}-{seq}", "case": f"{mark}-number-{case}", "alias": f"{mark}-alias-{case}",
            "time": f"2026-03-02T09:{seq:02}:00+08:00", "kind": kind, "handler": f"{mark}-handler",
            "name": f"{mark}-name", "person": person or f"{mark}-person", "phone": f"{mark}-phone",
            "note": f"{mark}-note-{case}-{seq}"}


class Erasure(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.desk = self.world.office(self.hub, "desk", publish=True)
        self.office = self.world.office(self.hub, "office", receive=True)
        self.desk.config.write_text(MAPPING.format(node=self.desk.dir, file=self.desk.rows_path))
        self.number = f"{GONE}-number-1"

    # ---- steps ----

    def publish(self, rows, expect=0):
        with open(self.desk.rows_path, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return self.desk.publish("--from-start", expect=expect)

    def story(self):
        """Two cases of one person each, one of two, something in quarantine."""
        self.rows = [row(GONE, 1, seq) for seq in range(3)] + [row(KEPT, 2, seq) for seq in range(3)]
        self.rows += [row(KEPT, 3, 0), row(KEPT, 3, 1, person=f"{GONE}-person")]
        self.publish(self.rows)
        self.publish([dict(row(GONE, case, 8), time="2100-03-02T09:00:00+08:00") for case in (1, 9)], expect=1)
        self.hub.settle()

    def receive(self, n):
        self.office.launch()
        self.office.wait_received(n)
        harness.wait_until("the office has confirmed", lambda: self.office_confirmed())

    def office_confirmed(self):
        node = self.hub.ask("node", "show", "office")
        return node["deliveries_decided"] and node["confirmed_position"] == node["last_delivery_position"]

    def erase(self, *words, code=0, order=True):
        done = self.hub.casebus("erase", *words, *(["--order", WORDS] if order else []), "--yes", "--json")
        self.assertEqual(done.code, code, done.said)
        return done.json() if code == 0 else done.said

    def quarantined(self):
        done = self.hub.casebus("ledger", "dump", "--json")
        entries = [json.loads(line) for line in done.out.splitlines()]
        return [e["position"] for e in entries if "quarantined" in json.dumps(e)]

    def empty_quarantine(self):
        for position in self.quarantined():
            self.hub.casebus("erase", "--quarantine", position, "--order", WORDS, "--yes")  # some are destroyed already

    # ---- looking ----

    def files(self):
        yield from (path for path in self.hub.dir.rglob("*") if path.is_file())
        yield self.hub.log_path

    def assert_nothing_readable(self):
        with self.hub.standing_still():
            contents = [(path, path.read_bytes()) for path in self.files()]
        for path, data in contents:
            for marker in (b"MARK-", b"number-1", b"note-2-", b"alias-3", b"court decision"):
                self.assertNotIn(marker, data, f"'{path}' holds a marker in clear")

    def attack(self, *markers):
        """What opens, with all files and all keys."""
        copy = self.world.path / "stolen"
        shutil.rmtree(copy, ignore_errors=True)
        with self.hub.standing_still():
            shutil.copytree(self.hub.dir, copy, ignore=shutil.ignore_patterns("hub.sock"))
        done = subprocess.run([harness.HELPERS / "open_all", copy, *markers], capture_output=True, check=True, timeout=240)
        return json.loads(done.stdout)

    def assert_state_is_a_replay(self):
        self.hub.settle()
        self.hub.stop()
        before = self.hub.dump("--all")
        self.hub.rebuild()
        self.assertTrue(self.hub.dump("--all") == before, "the state differs from one made again")
        self.hub.start()

    # ---- claims ----

    def test_nothing_of_an_erased_case_opens_any_more_and_all_else_does(self):
        self.story()
        self.receive(8)
        self.assert_nothing_readable()
        before = self.attack(f"{GONE}-note-1", f"{GONE}-number-1", f"{GONE}-alias-1", f"{GONE}-record-9", f"{KEPT}-note-2")
        self.assertEqual([count > 0 for count in before["markers"].values()], [True] * 5, before)

        done = self.erase("--case", self.number)
        self.assertEqual((done["cases"], done["entries"], done["orders"], done["receivers"]), (1, 4, 2, 1))
        self.empty_quarantine()
        self.hub.settle()
        self.assert_nothing_readable()
        after = self.attack(f"{GONE}-note-1", f"{GONE}-number-1", f"{GONE}-alias-1", f"{GONE}-record-9", f"{KEPT}-note-2",
                            f"{KEPT}-number-2", f"{KEPT}-note-3", "MARK-ORDER")
        self.assertEqual(list(after["markers"].values())[:4], [0, 0, 0, 0], after)
        self.assertEqual([count > 0 for count in list(after["markers"].values())[4:]], [True] * 4, after)

        self.assertEqual(self.hub.verify()["erased"], 5)
        self.assert_state_is_a_replay()
        self.assert_nothing_readable()
        case = self.hub.ask("case", "show", self.number)
        self.assertEqual(case["number"], "(erased)")
        self.assertEqual([r["content"] for r in case["timeline"]], ["erased"] * 3)
        self.assertEqual(self.hub.ask("case", "show", f"{KEPT}-number-2")["number"], f"{KEPT}-number-2")

    def test_a_resend_brings_nothing_back_and_new_records_are_welcome(self):
        self.story()
        self.erase("--case", self.number)
        again = self.publish(self.rows)
        self.assertEqual((again["accepted"], again["duplicate"]), (0, len(self.rows)))
        other = [dict(r, note="another note") for r in self.rows[:3]]
        refused = self.publish(other, expect=1)
        self.assertEqual((refused["accepted"], refused["refused"]), (0, 3))
        self.assertIn("CB-ERASED", self.desk.process.log())
        self.hub.settle()
        self.assertEqual(self.attack("another note")["markers"], {"another note": 0})  # nor does quarantine keep it
        self.publish([row(GONE, 1, 7)])
        self.hub.settle()
        case = self.hub.ask("case", "show", self.number)
        self.assertEqual(case["number"], self.number)
        self.assertEqual([r["content"] for r in case["timeline"]].count("open"), 1)
        self.assert_state_is_a_replay()
        self.hub.verify()

    def test_only_some_parts_go_and_the_case_lives_on(self):
        self.story()
        done = self.erase("--case", self.number, "--parts", "identity,contact")
        self.assertEqual(done["entries"], 4)  # what was refused of it goes whole
        after = self.attack(f"{GONE}-name", f"{GONE}-phone", f"{GONE}-note-1", f"{GONE}-number-1")
        self.assertEqual([count > 0 for count in after["markers"].values()], [True, True, True, True], after)  # case 9
        self.empty_quarantine()
        after = self.attack(f"{GONE}-name", f"{GONE}-phone", f"{GONE}-note-1", f"{GONE}-number-1")
        self.assertEqual([count > 0 for count in after["markers"].values()], [False, False, True, True], after)
        parts = [p for e in self.hub.events() if e["header"]["case_number"] == self.number for p in e["parts"]]
        self.assertEqual({p["kind"] for p in parts if p.get("erased")}, {"identity", "contact"})
        self.assertTrue(all("content" in p for p in parts if p["kind"] == "form"))
        self.publish([row(GONE, 1, 7)])
        self.assert_state_is_a_replay()
        self.assertEqual(self.hub.verify()["erased"], 5)
        self.erase("--case", self.number)
        after = self.attack(f"{GONE}-note-1", f"{GONE}-number-1")
        self.assertEqual(list(after["markers"].values()), [0, 0])
        self.assert_state_is_a_replay()
        self.hub.verify()

    def test_a_person_goes_from_all_cases_and_others_stay(self):
        self.story()
        self.assertEqual(self.erase("--person", "--id", f"{GONE}-person", "--dry-run")["entries"], 6)
        done = self.erase("--person", "--id", f"{GONE}-person")
        self.assertEqual((done["cases"], done["entries"]), (2, 6))
        after = self.attack(f"{GONE}-person", f"{GONE}-number-1", f"{KEPT}-note-3-1", f"{KEPT}-note-3-0", f"{KEPT}-record-3-1")
        self.assertEqual([count > 0 for count in after["markers"].values()], [False, False, False, True, True], after)
        self.assertIn("no identity part", self.erase("--person", "--id", f"{GONE}-person", code=1))
        self.assert_state_is_a_replay()
        self.hub.verify()

    def test_receivers_are_told_and_who_confirmed_is_known(self):
        self.story()
        self.receive(8)
        self.office.process.stop()
        self.erase("--case", self.number)
        order = self.hub.ask("erasure", "list")["erasures"][0]
        self.assertEqual(order["receivers"], [{"node": "office", "confirmed": False}])
        self.assertEqual((order["unconfirmed"], order["overdue"]), (1, False))
        self.assertTrue(order["done_at_us"])
        self.assertEqual(self.hub.ask("status")["erasures"],
                         {"ordered": 2, "pending": 0, "unconfirmed": 1, "overdue": 0})
        self.receive(9)
        lines = self.office.received()
        gone = [(l["position"], l["ordinal"], l["event_id"]) for l in lines if l.get("case_number") == self.number]
        told = lines[-1]["erasure"]
        self.assertEqual(told["reason"], "order")
        self.assertEqual([(d["position"], d["ordinal"], d["event_id"]) for d in told["destroy"]], gone)
        self.assertTrue(all(d["all"] and d["parts"] == [0, 1, 2] for d in told["destroy"]))
        self.hub.settle()
        shown = self.hub.ask("erasure", "show", order["position"])
        self.assertEqual(shown["receivers"], [{"node": "office", "confirmed": True}])
        self.assertEqual(shown["order"], WORDS)
        self.assertEqual(self.hub.ask("status")["erasures"]["unconfirmed"], 0)

    def test_who_comes_late_gets_no_content_and_no_hole(self):
        self.story()
        self.erase("--case", self.number)
        self.receive(9)
        lines = self.office.received()
        self.assertEqual([l["position"] for l in lines], sorted(l["position"] for l in lines))
        self.assertEqual(len([l for l in lines if l.get("erased")]), 3)
        self.assertNotIn(GONE, "".join(json.dumps(l) for l in lines[:-1] if KEPT not in json.dumps(l)))
        self.assertIn("erasure", lines[-1])

    def test_a_rule_of_retention_prunes_old_cases_only(self):
        rules = self.hub.dir / "retention.yaml"
        self.assertIn("retention.yaml", self.erase("--retention", order=False, code=1))
        old = [dict(row(GONE, 1, seq, kind), time=f"2019-03-0{seq + 1}T09:00:00+08:00")
               for seq, kind in enumerate(["apply", "accept", "finish"])]
        open_case = [dict(row(KEPT, 2, 0, "apply"), time="2019-03-02T09:00:00+08:00")]
        self.publish(old + open_case + [row(KEPT, 3, 0, "finish")])
        rules.write_text("- item: \"*\"\n  days: 30\n")
        self.assertIn("three years", self.erase("--retention", order=False, code=1))
        rules.write_text("- item: \"*\"\n  days: 1461\n")
        self.assertEqual(self.erase("--retention", "--dry-run", order=False)["entries"], 3)
        self.assertEqual(self.erase("--retention", order=False)["entries"], 3)
        self.assertEqual(self.erase("--retention", order=False)["entries"], 0)
        after = self.attack(f"{GONE}-note-1", f"{KEPT}-note-2", f"{KEPT}-note-3")
        self.assertEqual([count > 0 for count in after["markers"].values()], [False, True, True], after)
        self.assert_state_is_a_replay()
        self.assertEqual(self.hub.verify()["erased"], 3)

    def test_a_backup_follows_and_a_restored_hub_has_what_was_kept(self):
        self.story()
        dest, new = self.world.path / "backup", self.world.hub("restored")
        self.backup(dest)
        self.erase("--case", self.number, "--parts", "identity,contact")
        self.backup(dest)
        self.hub.stop()
        done = self.world.run("casebus-hub", "restore", dest, new.dir, "--keys", self.hub.dir / "keys")
        self.assertEqual(done.code, 0, done.said)
        self.assertEqual(new.verify()["erased"], 4)
        notes = [p["content"] for e in self.opened(new) for p in e["parts"] if p["kind"] == "form"]
        self.assertEqual(len(notes), 8)

    def backup(self, dest):
        done = self.world.run("casebus-hub", "backup", self.hub.dir, dest)
        self.assertEqual(done.code, 0, done.said)

    def opened(self, hub):
        done = hub.casebus("event", "tail", "-n", "100", "--parts", "--json")
        self.assertEqual(done.code, 0, done.said)
        return [json.loads(line) for line in done.out.splitlines()]

    def test_what_a_fault_of_the_disk_interrupted_is_done_soon(self):
        self.story()
        self.hub.stop()
        when = self.world.path / "when"
        self.hub.start(environment={"LD_PRELOAD": str(harness.HELPERS / "kill_shim.so"), "FAIL_SYNC": "/vault/b",
                                    "FAIL_WHEN": str(when)})
        when.touch()
        done = self.hub.casebus("erase", "--case", self.number, "--order", WORDS, "--yes")
        self.assertIn(done.code, (0, 1), done.said)  # the fault is told, unless the hub was done before somebody asked
        self.assertFalse(when.exists())
        self.assertTrue(self.hub.ask("erasure", "list")["erasures"])
        harness.wait_until("what was ordered is done",
                           lambda: self.hub.ask("status")["erasures"]["pending"] == 0)
        self.empty_quarantine()
        self.assertEqual(list(self.attack(f"{GONE}-note-1", f"{GONE}-number-1")["markers"].values()), [0, 0])
        self.hub.verify()

    def test_what_was_refused_and_destroyed_is_not_kept_again(self):
        self.story()
        self.erase("--case", self.number)
        self.erase("--person", "--id", f"{GONE}-person")
        gone = [f"{GONE}-note-1-8", f"{GONE}-record-9"]
        self.assertEqual(list(self.attack(*gone)["markers"].values()), [0, 0])
        late = dict(row(GONE, 9, 9), time="2100-03-02T09:00:00+08:00")  # nobody ordered anything about it
        again = [dict(row(GONE, case, 8), time="2100-03-02T09:00:00+08:00") for case in (1, 9)]
        self.assertEqual(self.publish([*again, late], expect=1)["refused"], 3)
        self.hub.settle()
        waiting = self.hub.ask("quarantine", "list")["quarantine"]
        self.assertEqual(len(waiting), 1, waiting)
        opened = self.attack(f"{GONE}-record-9-8", f"{GONE}-record-9-9")["markers"]
        self.assertEqual([count > 0 for count in opened.values()], [False, True], opened)
        self.assertEqual(self.hub.casebus("quarantine", "discard", waiting[0]["position"], "--why", "x", "--yes").code, 0)
        self.publish([late], expect=1)
        self.hub.settle()
        self.assertEqual(self.attack(f"{GONE}-record-9-9")["markers"], {f"{GONE}-record-9-9": 0})
        self.hub.verify()
        self.assert_state_is_a_replay()
        self.assertEqual(self.publish(again, expect=1)["refused"], 2)
        self.hub.settle()
        self.assertEqual(list(self.attack(*gone)["markers"].values()), [0, 0])

    def test_what_cannot_be_erased_is_said(self):
        self.story()
        self.assertIn("no case has the number 'nothing'", self.erase("--case", "nothing", code=1))
        self.assertIn("nothing in quarantine", self.erase("--quarantine", 0, code=1))
        self.assertIn("no materials are kept", self.erase("--material", "x", code=1))
        self.assertEqual(self.hub.casebus("erase", "--case", self.number).code, 2)  # without an order
        unasked = self.hub.casebus("erase", "--case", self.number, "--order", WORDS)  # and without a terminal
        self.assertEqual(unasked.code, 2)
        self.assertIn("--yes", unasked.said)
        self.assertEqual(self.hub.ask("status")["erasures"]["ordered"], 0)
        self.hub.stop()
        self.assertIn("while the hub runs", self.erase("--case", self.number, code=3))


class Crash(Erasure):
    """A kill right before a write or sync, from the order on: at every fourth one, another four each time; at each with
    CASEBUS_SWEEP=all (tests/sim/long.sh)."""

    STRIDE = 1 if os.environ.get("CASEBUS_SWEEP") == "all" else 4

    def sweep(self, *words, markers):
        self.story()
        self.hub.stop()
        whole = self.world.path / "whole"
        shutil.copytree(self.hub.dir, whole)
        shim = harness.HELPERS / "kill_shim.so"
        step, killed, ordered = self.world.random.randrange(self.STRIDE) + 1 - self.STRIDE, True, 0
        while killed:
            step += self.STRIDE
            shutil.rmtree(self.hub.dir)
            shutil.copytree(whole, self.hub.dir)
            when = self.world.path / f"when-{step}"
            self.hub.start(environment={"LD_PRELOAD": str(shim), "KILL_AT": str(step), "KILL_WHEN": str(when)})
            when.touch()
            done = self.hub.casebus("erase", *words, "--order", WORDS, "--yes", "--json")
            killed = self.hub.process.code is not None or self.wait_killed()
            if not killed:
                self.hub.stop()
            self.hub.start().settle()
            orders = self.settled_orders()
            self.assertTrue(orders or killed, done.said)
            if orders:
                ordered += 1
                counts = self.attack(*markers)["markers"]
                self.assertEqual(list(counts.values()), [0] * len(markers), f"step {step}: {counts}")
                self.hub.verify()
            if orders and (ordered % 8 == 1 or not killed):
                self.assert_state_is_a_replay()
            self.hub.stop()
        print(f"\n{step} steps, {ordered} of them with the order in the ledger", flush=True)
        self.assertGreater(ordered, 5 // self.STRIDE)

    def wait_killed(self):
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            if self.hub.process.code is not None:
                return True
            time.sleep(0.02)
        return False

    def settled_orders(self):
        def done():
            answer = self.hub.casebus("erasure", "list", "--json")
            orders = json.loads(answer.out)["erasures"] if answer.code == 0 else None
            return orders is not None and (orders or [{}]) if all(o.get("done_at_us") for o in orders or []) else None
        orders = harness.wait_until("what was ordered is done", done)
        return [o for o in orders if o]

    def test_a_kill_at_any_step_leaves_nothing_of_a_case(self):
        self.sweep("--case", self.number, markers=[f"{GONE}-note-1", f"{GONE}-number-1"])

    def test_a_kill_at_any_step_leaves_nothing_of_the_parts(self):
        self.sweep("--case", self.number, "--parts", "form", markers=[f"{GONE}-note-1"])


for name in [n for n in dir(Erasure) if n.startswith("test_")]:  # Crash inherits steps, not claims
    setattr(Crash, name, None)

if __name__ == "__main__":
    harness.main()
