"""A monitor that is killed at any step while it follows a restored hub: what was lost is told by the run that comes to its end,
once, and a key for which the operator alone vouches is asked about by each."""
import json
import os
import shutil
import signal

import auditing_test
import harness

SHIM = str(harness.HELPERS / "kill_shim.so")
SLOW = harness.PATIENCE_S > 100  # with sanitizers
STRIDE = int(os.environ.get("CASEBUS_STRIDE", "6" if SLOW else "1"))  # of the sweep; 1: every step


class Killed(auditing_test.Watches):
    def export(self, name):
        self.published()
        self.hub.ask("ledger", "export", self.world.path / name)
        return self.world.path / name

    def look(self, where, **environment):
        """Its exit code, and what of it arrived."""
        done = self.world.run("casebus", *self.words(where=where), "--once", "--json", environment=environment)
        self.assertIn(done.code, (1, -signal.SIGKILL), done.said)  # 1: the key is never accepted
        return done, json.loads(done.out) if done.out.endswith("\n") else None

    def test_what_is_lost_is_told_by_the_first_run_that_comes_to_its_end(self):
        size = self.publish(20)
        self.backup()
        shown = self.publish(300)
        before = self.export("before")
        self.watch(0, where=before)
        seen = self.world.path / "seen"
        self.audit.rename(seen)
        self.lose(self.office.dir / "checkpoint")
        self.node("revoke", "office", "--why", "a test", "--yes")
        self.enrols_anew(self.world.path / "minted")
        after = self.export("after")
        now = self.hub.ask("status")["ledger_size"]
        self.hub.stop()
        first = step = self.world.random.randrange(1, STRIDE + 1)
        killed, again = True, set()
        while killed:
            shutil.rmtree(self.audit, ignore_errors=True)
            harness.copy(seen, self.audit)
            done, heard = self.look(after, LD_PRELOAD=SHIM, KILL_WHEN="/", KILL_AT=str(step), KILL_NAMES="1")
            killed = done.code == -signal.SIGKILL
            done, whole = self.look(after)
            kept, = self.audit.glob("before-*")
            lost = [{"from": size, "to": shown - 1, "kept": str(kept)}]
            self.assertEqual((whole["size"], whole["result"]), (now, "VOUCHED"))
            if "lost" in whole:
                self.assertEqual(whole["lost"], lost, f"step {step}")
                self.assertIn(" WATCH-LOST ", done.err)
            else:  # heard, and noted that it was
                self.assertEqual(heard and heard["lost"], lost, f"step {step}")
            again.add((killed, bool(heard), "lost" in whole))
            self.assertNotIn("lost", self.look(after)[1])
            self.assertEqual([path.name for path in self.audit.iterdir() if "next" in path.name or "untold" in path.name], [])
            self.assertEqual(sorted(path.name for path in kept.iterdir()), ["checkpoint", "ledger"])
            self.assertEqual((kept / "checkpoint").read_text().splitlines()[:2], [harness.ORIGIN, str(shown)])
            self.assertEqual((self.audit / "checkpoint").read_text(), (after / "checkpoint").read_text())
            step += STRIDE
        print(f"\nseed {harness.SEED}: steps {first}, {first + STRIDE}, ... {step - STRIDE}", flush=True)
        self.assertIn((True, False, True), again)
        self.assertIn((False, True, False), again)

if __name__ == "__main__":
    harness.main()
