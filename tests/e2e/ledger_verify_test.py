"""casebus ledger verify on a real hub: beside it, interrupted, killed, and on a ledger that grows and is damaged."""
import signal
import time
import unittest

import harness
import receipt


ASTRAY = 74  # EX_IOERR


class Verify(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().start()
        self.job = receipt.Job(self.world, self.hub)
        self.resume = self.world.path / "far.resume"

    def verify(self, *words):
        done = self.hub.casebus("ledger", "verify", "--json", *words)
        self.assertIn(done.code, (0, 1), done.said)
        return done.json()

    def held(self, *words):
        answer = self.verify(*words)
        self.assertEqual(answer["result"], "OK", answer)
        self.assertFalse((self.hub.dir / "verify.tmp").exists())
        return answer

    def start(self, *words):
        return self.world.start(self.world.path / "verify.log", "casebus", "ledger", "verify", "--hub", self.hub.dir, *words)

    @staticmethod
    def counts(answer):
        return {name: value for name, value in answer.items() if name != "resumed_from"}

    def test_many_threads_one_answer_with_the_hub_running_or_not(self):
        self.job.run()
        self.hub.settle()
        running = self.held("--jobs", "2")
        self.assertEqual(running["state"], "equal")
        self.hub.stop()
        stopped = [self.held("--jobs", jobs) for jobs in (1, 2, 4)]
        self.assertEqual(stopped[0], stopped[1])
        self.assertEqual(stopped[0], stopped[2])
        self.assertEqual(stopped[0]["state"], "equal")
        self.assertGreater(stopped[0]["state_rows"], 8577)
        self.assertEqual(self.held("--tree-only")["root"], stopped[0]["root"])
        self.assertEqual(self.held("--no-bodies")["state"], "not-compared")

    def test_beside_a_hub_that_goes_on(self):
        self.job.supervisor.launch()
        for office in self.job.offices:
            office.launch("--once")
        answers = []
        while any(office.process.code is None for office in self.job.offices):
            answers.append(self.held("--jobs", "2", f"--resume={self.resume}"))
        for office in self.job.offices:
            self.assertEqual(office.finish()["code"], 0)
        self.job.supervisor.wait_received(8577)
        self.assertEqual(self.job.supervisor.process.stop(), 0)
        self.hub.settle()
        last = self.held(f"--resume={self.resume}")
        self.assertEqual(last["events"], 8577)
        if answers:
            self.assertGreaterEqual(last["resumed_from"], max(answer["resumed_from"] for answer in answers))
        self.assertEqual(self.counts(last), self.counts(self.held()))

    def test_interrupted_and_killed_runs_leave_nothing_and_go_on(self):
        self.job.run()
        self.hub.stop()
        began = time.monotonic()
        whole = self.held("--jobs", "2")
        took = time.monotonic() - began
        left = False  # by a killed run, until one gets as far as to the state
        for _ in range(8):
            process = self.start("--jobs", str(self.world.random.choice((1, 2, 3))), f"--resume={self.resume}")
            time.sleep(took * self.world.random.random())
            number = self.world.random.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
            if process.code is None:
                process.popen.send_signal(number)
            process.finish()
            left = (left or number == signal.SIGKILL) and "RESULT OK" not in process.log()
            if number == signal.SIGKILL:
                continue
            if not left:
                self.assertFalse((self.hub.dir / "verify.tmp").exists(), process.log())
            if "RESULT OK" not in process.log() and process.code == 1:
                self.assertIn("RESULT STOPPED", process.log())
        answer = self.held(f"--resume={self.resume}")
        self.assertNotIn("damaged", str(answer))
        self.assertEqual(self.counts(answer), self.counts(whole))

    def test_a_byte_that_is_flipped_is_found_or_harmless(self):
        """The file's pages are LMDB's: a flip may hit a leaf, a body, a hash, or room that is not used."""
        self.job.run()
        self.hub.stop()
        whole = self.held()
        path = self.hub.dir / "ledger/data.mdb"
        content = path.read_bytes()
        found = 0
        for _ in range(40):
            at = self.world.random.randrange(len(content))
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(bytes([content[at] ^ (1 << self.world.random.randrange(8))]))
            one, four = (self.world.run("casebus", "ledger", "verify", "--json", "--no-state", "--jobs", jobs, "--hub",
                                        self.hub.dir, may_crash=True) for jobs in (1, 4))
            if ASTRAY in (one.code, four.code):  # LMDB trusts its pages: now and then one leads it out of the file
                self.assertIn("led this program astray", one.said + four.said)
            else:
                self.assertEqual((one.code, one.out), (four.code, four.out), f"byte {at}")
                self.assertIn(one.code, (0, 1), f"byte {at}: {one.said}")
            if one.code == 0 == four.code:
                self.assertEqual(one.json()["root"], whole["root"], f"byte {at}")
            else:
                found += 1
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(content[at:at + 1])
        self.assertGreater(found, 10)
        self.held()


if __name__ == "__main__":
    harness.main()
