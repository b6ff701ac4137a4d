"""The log of a running hub under a verifier that we did not write, while events come in."""
import unittest
import urllib.request

import harness
import receipt

TLOGVERIFY = harness.HELPERS / "tlogverify" / "tlogverify"


@unittest.skipUnless(TLOGVERIFY.exists(), f"{TLOGVERIFY} is not built: golang-go and golang-golang-x-mod-dev are needed")
@unittest.skipUnless(harness.SUITE == "intl", "Go's tools know no SM3 and SM2")
class TheLogFromOutside(unittest.TestCase):
    def setUp(self):
        self.world = harness.World(self)
        self.hub = self.world.hub().init()
        settings = self.hub.dir / "hub.yaml"
        settings.write_text(settings.read_text().replace("monitor: off", "monitor: 127.0.0.1:0"))
        self.hub.start()
        self.token = self.hub.casebus("auditor", "add", "audit-office").out.strip()
        self.address = self.hub.ask("status")["monitor"]

    def verify(self, log, *words):
        done = self.world.run(TLOGVERIFY, "-log", log, "-vkey", f"@{self.export / 'log.vkey'}", "-strict", *words)
        self.assertEqual(done.code, 0, done.said)
        self.assertIn("RESULT OK", done.out)

    def export_now(self):
        self.export = self.world.path / "export"
        done = self.hub.casebus("ledger", "export", self.export)
        self.assertEqual(done.code, 0, done.said)

    def test_tiles_hold_while_events_are_published(self):
        office = self.world.office(self.hub, "office", publish=True)
        office.write_rows([(f"case-{n % 300}", n, "step") for n in range(6000)])
        self.export_now()
        url = f"http://auditor:{self.token}@{self.address}"
        olds = []
        office.launch("--once")
        for n in range(6):
            old = self.world.path / f"checkpoint.{n}"
            old.write_bytes(urllib.request.urlopen(f"http://{self.address}/checkpoint", timeout=60).read())
            olds += ["-old", old]
            # Not the newest one by the time it is read: the tiles of an older tree are there all the same.
            self.verify(url, "-checkpoint", old, "-inclusion", "sample", *olds)
            self.export_now()
            self.verify(self.export, "-inclusion", "sample", *olds)
        self.assertEqual(office.finish()["code"], 0)
        self.hub.settle()
        self.export_now()
        size = self.hub.ask("status")["ledger_size"]
        self.assertGreater(size, 6000)
        for log in (url, self.export):
            self.verify(log, *olds)
        self.assertEqual(int((self.export / "checkpoint").read_text().splitlines()[1]), size)
        self.hub.stop()
        self.export_now()  # without a hub, nothing is different
        self.verify(self.export, *olds)

    def test_the_main_jobs_ledger_holds(self):
        """Of the log that deploy/quickstart runs on."""
        rows = receipt.rows_read()
        receipt.Job(self.world, self.hub, rows).run()
        self.hub.settle()
        self.export_now()
        self.assertGreater(self.hub.ask("status")["ledger_size"], len(rows))
        for log in (f"http://auditor:{self.token}@{self.address}", self.export):
            self.verify(log)
        done = self.world.run(harness.REPO / "tests" / "interop" / "tlogverify" / "verify-checkpoint.sh",
                              (self.export / "log.vkey").read_text().strip(), self.export / "checkpoint")
        self.assertEqual(done.code, 0, done.said)


if __name__ == "__main__":
    harness.main()
