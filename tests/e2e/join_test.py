"""A department joins by three commands; whoever has no code, or comes late, is told so and changes nothing."""
import os
import pwd
import signal
import socket
import unittest

import harness

RIGHTS = ["--department", "scjgj", "--area", "320100"]


class Joining(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().init()
        self.door = self.free_endpoint()
        self.hub.set("door", self.door)
        self.hub.start()

    def free_endpoint(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    def invite(self, name="desk", *more, role="adapter"):
        return self.hub.ask("node", "invite", name, "--role", role, *RIGHTS, *more)

    def words(self, office, code):
        return ["join", self.hub.endpoint, code, "--door", self.door, "--dir", office.dir]

    def office(self, name="desk"):
        return harness.Office(self.world, self.hub, name)

    def join(self, office, code, expect=0, **more):
        done = self.world.run("casebus-adapter", *self.words(office, code), **more)
        self.assertEqual(done.code, expect, done.said)
        return done.said

    def launch(self, office, code):
        log = self.world.path / f"{office.name}.join.log"
        return self.world.start(log, "casebus-adapter", *self.words(office, code))

    def decide(self, verb, name="desk", *more, code=0):
        done = self.hub.casebus("node", verb, name, *more)
        self.assertEqual(done.code, code, done.said)
        return done.said

    def requests(self):
        return {one["node"]: one for one in self.hub.ask("node", "requests")["invitations"]}

    def wait_state(self, state, name="desk"):
        harness.wait_until(f"{name} is {state}", lambda: self.requests()[name]["state"] == state)

    def listens(self):
        host, port = self.door[6:].rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return True
        except ConnectionRefusedError:
            return False

    def wait_shut(self):
        harness.wait_until("the door is shut", lambda: not self.listens())

    def publishes(self, office):
        office.configure()
        office.write_rows([("case-1", 1, "apply")])
        self.assertEqual(office.publish("--from-start")["accepted"], 1)

    # ---- the way it should go ----

    def test_three_commands_and_the_adapter_runs(self):
        self.assertFalse(self.listens())
        desk = self.office()
        code = self.invite()["code"]
        self.assertTrue(self.listens())
        joining = self.launch(desk, code.lower().replace("-", " "))  # as somebody types it
        joining.wait_for("asked:")
        self.wait_state("requested")
        key = self.requests()["desk"]["key_id"]
        self.assertIn(key, joining.log())  # what operator and department compare
        self.decide("approve")
        self.assertEqual(joining.finish(), 0, joining.log())
        self.wait_shut()
        self.publishes(desk)
        self.assertEqual(self.hub.nodes()["desk"]["key_id"], key)
        self.assertEqual(self.requests()["desk"]["state"], "done")
        self.assertNotIn(code.replace("-", ""), (self.hub.dir / "invitations").read_text())
        self.assertEqual(os.stat(self.hub.dir / "invitations").st_mode & 0o777, 0o600)
        self.assertIn("holds a node already", self.join(desk, code, expect=2))
        self.assertEqual(self.hub.verify()["events"], 1)
        acts = {entry["type"]: entry for entry in self.hub.ask("ledger", "dump")}
        self.assertNotIn("note", acts["node_invited"])
        acts = {entry["type"]: entry for entry in self.hub.ask("ledger", "dump", "--notes")}
        me = {"operator": pwd.getpwuid(os.getuid()).pw_name, "words": "", "second": ""}
        self.assertEqual([acts[act]["note"] for act in ("node_invited", "node_enrolled")], [me, me])
        self.proves_who_was_invited(desk)

    def proves_who_was_invited(self, desk):
        """Evidence of what a node sent shows the invitation by which it came."""
        path = self.world.path / "one.evidence"
        self.hub.settle()
        done = self.hub.casebus("prove", "--case", "case-1", "-o", path)
        self.assertEqual(done.code, 0, done.said)
        enrolment = desk.dir / "enrolment.json"
        answer = self.world.run("casebus", "verify", "--json", path, "--trust", enrolment).json()
        told = [fact["act"] for fact in answer["facts"] if fact["fact"] == "act"]
        self.assertEqual(told.count("node_invited"), 1, answer)
        words = self.world.run("casebus", "verify", path, "--trust", enrolment)
        self.assertIn("an operator invited node 'desk' of '", words.out, words.said)

    def test_with_auto_nobody_has_to_approve_and_a_supervisor_receives(self):
        office = self.office("office")
        code = self.invite("office", "--auto", "--parts", "identity,form", role="supervisor")["code"]
        self.assertIn("enrolled:", self.join(office, code))
        self.wait_shut()
        node = self.hub.nodes()["office"]
        self.assertEqual((node["publish"], node["receive_all"]), (False, True))
        self.assertEqual(sorted(node["receive_parts"]), ["form", "identity"])
        acts = {entry["type"]: entry for entry in self.hub.ask("ledger", "dump", "--notes")}
        self.assertIn("note", acts["node_invited"])
        self.assertNotIn("note", acts["node_enrolled"])
        self.hub.verify()

    def test_a_hub_killed_between_request_and_approval_goes_on(self):
        desk = self.office()
        joining = self.launch(desk, self.invite()["code"])
        joining.wait_for("asked:")
        self.wait_state("requested")
        self.hub.kill9()
        self.hub.start()
        self.assertTrue(self.listens())
        self.decide("approve")
        self.assertEqual(joining.finish(), 0, joining.log())
        self.publishes(desk)

    def test_a_node_interrupted_goes_on_with_the_same_keys(self):
        desk = self.office()
        code = self.invite()["code"]
        joining = self.launch(desk, code)
        joining.wait_for("asked:")
        joining.popen.send_signal(signal.SIGINT)
        joining.finish()
        keys = {name: (desk.dir / name).read_bytes() for name in ("node.key", "node.curve")}
        self.decide("approve")
        self.join(desk, code)
        self.assertEqual(keys, {name: (desk.dir / name).read_bytes() for name in keys})
        self.publishes(desk)

    # ---- the ways it should not ----

    def test_a_shut_door_is_named_with_its_port(self):
        said = self.join(self.office(), "0000-0000-0000-0000", expect=3)
        self.assertIn("door is shut", said)
        self.assertIn(self.door.rsplit(":", 1)[1], said)

    def test_a_wrong_code_is_told_apart_from_a_mistyped_one(self):
        code = self.invite()["code"]
        slip = code[:-1] + ("0" if code[-1] != "0" else "2")
        self.assertIn("has a mistake", self.join(self.office(), slip, expect=2))
        self.assertIn("instead of 16", self.join(self.office(), code[:-1], expect=2))
        self.assertIn("nobody is invited by this code", self.join(self.office(), "0000-0000-0000-0000", expect=1))
        self.assertEqual(self.requests()["desk"]["state"], "open")

    def test_two_joiners_with_one_code_the_second_is_refused(self):
        code = self.invite()["code"]
        first = self.launch(self.office(), code)
        first.wait_for("asked:")
        self.assertIn("used already", self.join(self.office("thief"), code, expect=1))
        self.decide("approve")
        self.assertEqual(first.finish(), 0, first.log())

    def test_a_refused_node_hears_why_and_the_door_shuts(self):
        joining = self.launch(self.office(), self.invite()["code"])
        joining.wait_for("asked:")
        self.decide("refuse", "desk", "--why", "wrong key on the phone")
        self.assertEqual(joining.finish(), 1)
        self.assertIn("wrong key on the phone", joining.log())
        self.wait_shut()
        self.assertNotIn("desk", self.hub.nodes())
        self.decide("approve", code=1)

    def test_an_invitation_taken_back_counts_no_more(self):
        code = self.invite()["code"]
        self.assertIn("invited already", self.hub.casebus("node", "invite", "desk", "--role", "adapter", *RIGHTS).said)
        self.decide("refuse", "desk", "--why", "a mistake")
        self.wait_shut()
        self.join(self.office(), code, expect=3)
        self.invite()  # the name can be invited again

    def test_an_expired_code_is_told_so(self):
        if os.environ.get("CASEBUS_SANITIZE"):
            self.skipTest("a sanitizer has to be loaded first")
        code = self.invite("desk", "--valid", "1h")["code"]
        self.invite("other", "--valid", "5d")
        self.hub.stop()
        shim = {"LD_PRELOAD": str(harness.HELPERS / "clock_shim.so"), "CASEBUS_CLOCK_SHIFT": "7200"}
        self.hub.start(environment=shim)
        self.assertIn("has expired", self.join(self.office(), code, expect=1))
        self.assertEqual(self.requests()["desk"]["state"], "expired")
        self.decide("approve", code=1)

    def test_who_is_enrolled_cannot_be_invited_again(self):
        self.office("desk").enrol(publish=True)
        done = self.hub.casebus("node", "invite", "desk", "--role", "adapter", *RIGHTS)
        self.assertEqual(done.code, 1)
        self.assertIn("enrolled already", done.said)
        self.assertFalse(self.listens())

    def test_noise_at_the_door_harms_nobody(self):
        code = self.invite()["code"]
        host, port = self.door[6:].rsplit(":", 1)
        before = self.hub.process.memory_kib()
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
        ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
        lines = []
        for i in range(120):  # more than the door has places
            line = socket.create_connection((host, int(port)), timeout=10)
            if i % 2:
                line.sendall(greeting + ready)
                for _ in range(20):
                    body = self.world.random.randbytes(self.world.random.randrange(200))
                    try:
                        line.sendall(b"\x00" + bytes([len(body)]) + body)
                    except OSError:
                        break
            else:
                line.sendall(self.world.random.randbytes(64))
            lines.append(line)
        endless = socket.create_connection((host, int(port)), timeout=10)
        endless.sendall(greeting + ready)
        with self.assertRaises(OSError):  # parts of a message that never ends
            for _ in range(100000):
                endless.sendall(b"\x01\xc8" + bytes(200))
        joining = self.launch(self.office(), code)
        joining.wait_for("asked:")
        self.decide("approve")
        self.assertEqual(joining.finish(), 0, joining.log())
        self.assertLess(self.hub.process.memory_kib() - before, 64 * 1024)
        for line in [endless, *lines]:
            line.close()


if __name__ == "__main__":
    harness.main()
