"""A hub that lies, with all its own keys in hand: what it does, who catches it, and in which words.

Three hubs' worth of parts: the hub whose operator lies, a third hub that witnesses it, and offices. The lies are made by
liar.c, which edits a ledger and signs it again; `rebuild` makes the hub believe them."""
import hashlib
import http.client
import json
import shutil
import unittest

import harness


class LyingHub(unittest.TestCase):
    """What all begin with is made once: each test has a copy of it."""

    @classmethod
    def setUpClass(cls):
        world = cls.begun = harness.World(cls)
        third, hub = (world.hub(name).init() for name in ("third", "hub"))
        for each in (third, hub):
            each.port = world.free_port()
            each.set("monitor", f"127.0.0.1:{each.port}")
        third.start()
        third.vkey = third.ask("witness", "show")["vkey"]
        hub.start()
        offices = [world.office(hub, name, publish=True) for name in ("office", "other")]
        hub.stop()
        hub.vkey = json.loads((offices[0].dir / "enrolment.json").read_text())["log_key"]
        (third.dir / "witness.logs").write_text(f"# the liar\n{hub.vkey}\n")
        (hub.dir / "witness.policy").write_text(f"log {hub.vkey}\nwitness third {third.vkey} http://127.0.0.1:{third.port}\n"
                                                "quorum third\n")
        hub.start()
        for office, n in zip(offices, (20, 10)):
            cls.publish(office, n)
        cls.confirmed = cls.cosigned(hub)
        hub.stop()
        third.stop()
        cls.hubs = third, hub

    def setUp(self):
        self.world = harness.World(self)
        self.third, self.hub = (self.again(hub) for hub in self.hubs)
        self.policy = self.world.path / "policy"
        shutil.copy(self.hub.dir / "witness.policy", self.policy)
        self.office, self.other = (self.office_again(name) for name in ("office", "other"))
        self.third.start()
        self.hub.start()
        self.old = self.world.path / "old"

    def again(self, begun):
        hub = harness.Hub(self.world, begun.dir.name, begun.endpoint)
        hub.port, hub.vkey = begun.port, begun.vkey
        harness.copy(begun.dir, hub.dir)
        return hub

    def office_again(self, name):
        office = harness.Office(self.world, self.hub, name)
        harness.copy(self.begun.path / name, office.dir)
        return office.configure()

    # ---- verbs ----

    @staticmethod
    def publish(office, n, **more):
        office.write_rows([(f"case-{i % 5}", i, "step") for i in range(n)])
        return office.publish(**more)

    @staticmethod
    def cosigned(hub):
        """Waits until all that the hub has is confirmed; its size."""
        hub.settle()

        def level():
            witness = hub.ask("witness", "show")
            return witness["cosigned_size"] == hub.ask("status")["ledger_size"] and witness["cosigned_size"]
        return harness.wait_until("the ledger is confirmed", level)

    def lie(self, *words):
        """To a hub that is stopped. The journal has nothing that the ledger has not."""
        done = self.world.run(str(harness.HELPERS / "liar"), words[0], self.hub.dir, *words[1:])
        self.assertEqual(done.code, 0, done.said)
        shutil.rmtree(self.hub.dir / "journal")
        shutil.rmtree(self.hub.dir / "state")
        self.hub.rebuild()
        return done.out.strip()

    def no_policy(self, hub=None):
        """The liar asks no witness any more."""
        ((hub or self.hub).dir / "witness.policy").unlink()
        return hub or self.hub

    def http(self, hub, method, target, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=harness.PATIENCE_S)
        try:
            connection.request(method, target, body and body.encode())
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
        finally:
            connection.close()

    def show_to_witness(self, note, old):
        """What anybody can do who was shown a checkpoint."""
        return self.http(self.third, "POST", "/add-checkpoint", f"old {old}\n\n{note}")

    def stops_at_start(self, words):
        self.hub.start()
        self.hub.process.wait_for(" HUB-BEHIND ")
        log = self.hub.process.log()
        self.assertIn(words, log)
        self.assertIn("the hub signs nothing until an operator has looked", log)
        self.assertTrue(self.hub.ask("witness", "show")["behind"])
        result = self.publish(self.office, 70, expect=3)  # more than any test has published before
        self.assertEqual(result["accepted"], 0)
        self.assertIn("CB-BEHIND", self.office.process.log())
        self.assertLess(log.index(" HUB-BEHIND "), self.hub.process.log().index("HUB-READY"))

    def watch(self, expect, hub=None, trust=None, where=None):
        """One look of an auditor, who keeps what was seen and shares nothing with the hub."""
        hub = hub or self.hub
        token = "ab" * 32
        auditors = hub.dir / "keys" / "auditors"
        auditors.write_text(f"audit {hashlib.new(harness.HASH, token.encode()).hexdigest()}\n")
        auditors.chmod(0o600)
        trust = trust or f"{self.hub.dir}/keys/authority.pem,{self.hub.vkey}"
        done = self.world.run("casebus", "ledger", "watch", where or f"http://127.0.0.1:{hub.port}", "--trust", trust, "--state",
                              self.world.path / "audit", "--once", "--json", environment={"CASEBUS_TOKEN": token})
        self.assertEqual(done.code, expect, done.said)
        return done

    # ---- the truth ----

    def test_an_export_without_a_hub_shows_what_witnesses_have_confirmed(self):
        self.third.stop()
        self.publish(self.office, 40)  # nobody confirms these
        self.hub.settle()
        self.hub.stop()
        export = self.world.path / "export"
        self.assertEqual(self.hub.casebus("ledger", "export", export).code, 0)
        self.assertEqual((export / "checkpoint").read_bytes(), (self.hub.dir / "witness" / "cosigned").read_bytes())
        policy = (self.hub.dir / "witness.policy").read_text()
        self.no_policy()
        done = self.hub.casebus("ledger", "export", export, "--json")
        self.assertEqual((done.code, done.json()["old_size"]), (0, self.confirmed), done.said)
        self.assertGreater(done.json()["size"], self.confirmed)
        (self.hub.dir / "witness.policy").write_text(policy)
        done = self.hub.casebus("ledger", "export", export)
        self.assertEqual(done.code, 1)
        self.assertIn(f"witnesses have confirmed only {self.confirmed}", done.err)
        self.assertIn("casebus witness show", done.err)

    def test_auditor_follows_the_ledger_and_names_who_is_enrolled(self):
        done = self.watch(0)
        self.assertEqual(done.json()["size"], self.confirmed)
        self.assertEqual(done.json()["enrolled"], 2)
        self.assertIn("enrols a key for node 'office' of department 'office'", done.err)
        self.publish(self.office, 600)
        size = self.cosigned(self.hub)
        self.assertGreater(size - self.confirmed, 512)
        done = self.watch(0).json()
        self.assertEqual((done["size"], done["new"], done["enrolled"]), (size, size - self.confirmed, 0))
        self.assertEqual(self.watch(0).json()["new"], 0)

    def test_auditor_reads_files_as_well_as_a_hub(self):
        self.assertLess(self.confirmed, 256)
        files = self.world.path / "files"
        bundle = files / "tile" / "entries" / "000.p" / str(self.confirmed)
        bundle.parent.mkdir(parents=True)
        (files / "checkpoint").write_text(self.http(self.hub, "GET", "/checkpoint")[2])
        connection = harness.UnixConnection(self.hub.dir / "hub.sock")  # an operator may read entries
        connection.request("GET", f"/tile/entries/000.p/{self.confirmed}")
        entries = bytearray(connection.getresponse().read())
        connection.close()
        entries[-1] ^= 1
        bundle.write_bytes(entries)
        self.assertIn("give another one", self.watch(1, where=files).err)  # not what the hub signed
        entries[-1] ^= 1
        bundle.write_bytes(entries)
        self.assertEqual(self.watch(0, where=files).json()["size"], self.confirmed)  # and it spoilt nothing

    def test_auditor_believes_only_whom_he_trusts(self):
        done = self.watch(1, trust=f"{self.hub.dir}/keys/authority.pem,{self.hub.vkey.replace('e2e', 'e3e')}")
        self.assertIn("CB-KEY", done.said)
        done = self.watch(1, trust=f"{self.third.dir}/keys/authority.pem,{self.hub.vkey}")
        self.assertIn("another authority", done.said)

    def test_witness_confirms_and_the_offices_see_it(self):
        self.office.settings = ["--set", f"witnesses={self.policy}"]
        self.publish(self.office, 30)
        self.cosigned(self.hub)
        self.publish(self.office, 31)  # hears of it when it connects
        self.assertGreaterEqual(int((self.office.dir / "cosigned").read_text().splitlines()[1]), self.confirmed)
        status, _, note = self.http(self.hub, "GET", "/checkpoint")
        self.assertEqual(status, 200)
        self.assertIn(f"\n\u2014 {self.hub.origin}/witness ", note)
        self.assertIn(self.hub.origin, self.third.casebus("witness", "show").out)
        self.assertNotIn("WITNESS-SILENT", self.hub.process.log())

    def test_witness_that_is_away_is_a_dated_state_and_stops_nothing(self):
        self.third.stop()
        self.publish(self.office, 30)
        self.hub.process.wait_for("witness 'third' does not cosign")
        self.assertIn(" WITNESS-SILENT ", self.hub.process.log())
        witness = self.hub.ask("witness", "show")["witnesses"][0]
        self.assertGreater(witness["silent_since_us"], 0)
        self.assertEqual(witness["cosigned_size"], self.confirmed)
        self.assertEqual(int(self.http(self.hub, "GET", "/checkpoint")[2].splitlines()[1]), self.confirmed)
        witnessing = self.hub.ask("status")["witnessing"]
        self.assertEqual((witnessing["silent"], witnessing["cosigned_size"]), (1, self.confirmed))
        self.assertIn(f"LOOK: 1 of {witnessing['witnesses']} silent since", self.hub.casebus("status").out)
        self.hub.settle()
        exported = self.hub.casebus("ledger", "export", self.world.path / "shown")
        self.assertEqual(exported.code, 0, exported.said)
        self.assertIn("before witnesses have confirmed it", exported.out)
        self.third.start()
        self.hub.process.wait_for(" WITNESS-BACK ")
        self.cosigned(self.hub)

    # ---- lies ----

    def test_rewritten_entry_is_caught_by_the_witness_and_by_the_offices(self):
        self.hub.stop()
        self.lie("rewrite")
        self.stops_at_start("witnesses have cosigned another tree")
        (self.hub.dir / "witness" / "cosigned").unlink()  # what the hub knows itself it can forget; the witness does not
        self.hub.stop()
        self.stops_at_start("witness 'third' has cosigned another tree of")
        self.third.process.wait_for(" LOG-FORKED ")
        self.assertIn("it shows different records to different people, or has changed its record", self.third.process.log())
        self.assertEqual(len(list((self.third.dir / "witness" / "evidence").iterdir())), 1)
        self.hub.stop()
        self.no_policy().start()  # without witnesses, each office is one
        self.publish(self.office, 70, expect=3)
        self.assertRegex(self.office.process.log(), "CB-BEHIND|CB-CONSISTENCY")

    def test_whoever_was_shown_a_rewritten_tree_can_show_it_to_the_witness(self):
        self.hub.stop()
        self.lie("rewrite")
        self.no_policy().start()
        _, _, note = self.http(self.hub, "GET", "/checkpoint")
        status, kind, body = self.show_to_witness(note, self.confirmed)
        self.assertEqual((status, kind, body), (409, "text/x.tlog.size", f"{self.confirmed}\n"))
        self.third.process.wait_for(" LOG-FORKED ")
        evidence = next((self.third.dir / "witness" / "evidence").iterdir()).read_text()
        self.assertEqual(evidence.count(f"{self.hub.origin}\n{self.confirmed}\n"), 2)

    def test_dropped_tail_is_caught_by_the_witness(self):
        self.hub.stop()
        self.lie("drop", "7")
        (self.hub.dir / "witness" / "cosigned").unlink()
        self.stops_at_start(f"witness 'third' has cosigned a tree of {self.confirmed} entries of this hub, which "
                            f"has only {self.confirmed - 7}")

    def test_restored_backup_is_caught_before_anybody_is_served(self):
        self.hub.stop()
        harness.copy(self.hub.dir, self.old)
        self.hub.start()
        self.publish(self.office, 60)
        size = self.cosigned(self.hub)
        self.hub.stop()
        harness.copy(self.old, self.hub.dir)
        self.stops_at_start(f"witness 'third' has cosigned a tree of {size} entries of this hub")

    def test_restored_backup_is_caught_when_the_witness_comes_back(self):
        self.hub.stop()
        harness.copy(self.hub.dir, self.old)
        self.hub.start()
        self.publish(self.office, 60)
        size = self.cosigned(self.hub)
        self.hub.stop()
        harness.copy(self.old, self.hub.dir)
        self.third.stop()
        self.hub.start()
        self.publish(self.other, 15)  # nobody who comes knows better
        self.hub.process.wait_for(" WITNESS-SILENT ")
        self.third.start()
        self.hub.process.wait_for(f"witness 'third' has cosigned a tree of {size} entries of this hub")
        self.hub.process.wait_for(" HUB-BEHIND ")
        self.publish(self.other, 25, expect=3)
        self.assertIn("CB-BEHIND", self.other.process.log())

    def test_forked_view_is_not_confirmed_and_the_office_says_so(self):
        """Two copies of one hub, one office on each. The witness can confirm only one of them."""
        self.hub.stop()
        fork = harness.Hub(self.world, "fork", f"tcp://127.0.0.1:{self.world.free_port()}")
        harness.copy(self.hub.dir, fork.dir)
        fork.port = self.world.free_port()
        fork.set("listen", fork.endpoint)
        fork.set("monitor", f"127.0.0.1:{fork.port}")
        self.hub.start()
        self.publish(self.office, 40)
        self.cosigned(self.hub)
        self.no_policy(fork).start()  # an honest copy stops itself at the witness's first word; this one does not ask
        self.other.settings = ["--set", f"endpoint={fork.endpoint}", "--set", f"witnesses={self.policy}",
                               "--set", "witness_patience=1"]
        self.publish(self.other, 30)
        self.other.write_rows([(f"case-{i % 5}", i, "step") for i in range(31)])
        self.other.launch()
        self.other.process.wait_for("no witness has confirmed this hub's ledger since ")
        self.assertIn(" UNWITNESSED ", self.other.process.log())
        self.assertIn("whether others are shown the same record as this node is not known", self.other.process.log())
        self.other.process.stop()
        # What the fork signed, shown to the witness by anybody, is the proof.
        fork.settle()
        harness.wait_until("the fork publishes", lambda: int(self.http(fork, "GET", "/checkpoint")[2].splitlines()[1]) > self.confirmed)
        self.grow_beyond(fork)
        # An office that knows one of the two is not served by the other.
        self.office.settings = ["--set", f"endpoint={fork.endpoint}"]
        self.publish(self.office, 50, expect=3)
        self.assertRegex(self.office.process.log(), "CB-BEHIND|CB-CONSISTENCY")
        fork.stop()
        shutil.copy(self.policy, fork.dir / "witness.policy")
        fork.start()
        self.assertRegex(fork.process.log(), " HUB-BEHIND .*witness 'third'")

    def grow_beyond(self, fork):
        """The fork's checkpoint past the size that the witness knows is not a continuation; one of this size is proof."""
        known = self.third.ask("witness", "show")["logs"][0]["size"]
        note = self.http(fork, "GET", "/checkpoint")[2]
        size = int(note.splitlines()[1])
        if size < known:
            self.assertEqual(self.show_to_witness(note, size)[0], 409)
        else:
            self.assertEqual(self.show_to_witness(note, known)[0], 409 if size == known else 422)
            self.third.process.wait_for(" LOG-FORKED " if size == known else " NOT-COSIGNED ")

    def test_minted_key_is_named_by_whoever_reads_the_ledger(self):
        self.hub.stop()
        position = self.lie("mint", "office")
        self.hub.start()  # the tree has only grown: a witness of trees sees nothing in it
        done = self.hub.casebus("ledger", "verify")
        self.assertEqual(done.code, 1)
        self.assertIn(position, done.said)
        self.assertIn("node 'office' gets another key, and the key before did not sign that", done.said)
        self.cosigned(self.hub)
        done = self.watch(1)
        self.assertIn(f"entry {position} enrols a key for node 'office'", done.err)
        self.assertIn(" WATCH-ALARM ", done.err)
        self.assertIn("node 'office' gets another key, and the key before did not sign that", done.json()["sentence"])
        self.watch(1)  # and it does not go away by looking again

    def test_rewritten_and_dropped_entries_are_caught_by_an_auditor(self):
        self.watch(0)
        self.hub.stop()
        harness.copy(self.hub.dir, self.old)
        self.lie("rewrite")
        self.no_policy().start()
        done = self.watch(1)
        self.assertIn(f"the hub has signed another tree of {self.confirmed} entries than the one that was seen before", done.err)
        self.assertRegex(done.err, r"entry \d+ is another one")
        kept = sorted(path.name.split("-")[0] for path in (self.world.path / "audit" / "evidence").iterdir())
        self.assertEqual(kept, [str(self.confirmed)] * 3)  # both checkpoints, and the entries of the second
        self.watch(1)  # raised again it takes no more room
        self.assertEqual(len(list((self.world.path / "audit" / "evidence").iterdir())), 3)
        self.publish(self.other, 30, expect=3)
        self.hub.stop()
        harness.copy(self.old, self.hub.dir)
        self.lie("drop", "7")
        self.no_policy().start()
        self.assertIn(f"an older tree of {self.confirmed - 7} entries is shown; {self.confirmed} were seen before", self.watch(3).err)
        self.hub.stop()
        harness.copy(self.old, self.hub.dir)
        self.hub.start()
        self.watch(0)  # the truth is still the truth


if __name__ == "__main__":
    harness.main()
