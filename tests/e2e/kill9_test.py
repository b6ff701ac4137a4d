"""Kill -9 of the hub, of any adapter, of both, at random moments: what comes out is what an undisturbed run gives.

The rows of the log are given out bit by bit, one bit a kill, so that every kill falls into work: the offices read what is
new, freeze, send, are answered; the hub groups, syncs, folds, delivers; the supervisor writes and confirms. Whoever was
killed is started again at once.
"""
import collections
import re
import time
import unittest

import harness
import receipt

KILLS = 80


class Disturbance:
    """Who is killed when."""

    def __init__(self, world, hub, job):
        self.world = world
        self.chance = world.random
        self.hub = hub
        self.job = job
        self.counts = collections.Counter()
        self.own = receipt.by_office(job.rows)
        for office in job.offices:
            job.own_file(office)

    def give_rows(self, part):
        """The first so many of each office's rows exist now; who had ended begins again."""
        for office in self.job.offices:
            rows = self.own[office.name]
            self.job.write(office, rows[:max(1, round(len(rows) * part))])
            if office.process is None or office.process.code is not None:
                self.check_ended(office)
                office.launch("--once")

    def check_ended(self, office):
        if office.process is not None and office.process.code not in (0, -9):
            raise AssertionError(f"{office.name} ended with {office.process.code}:\n{office.process.log()[-3000:]}")

    def kill_hub(self):
        if self.hub.kill9():
            self.counts["hub"] += 1
        self.hub.launch()

    def kill_office(self):
        running = [office for office in self.job.offices if office.process.code is None]
        office = self.chance.choice(running or self.job.offices)
        if office.process.kill9():
            self.counts["office"] += 1
        self.check_ended(office)
        office.launch("--once")

    def kill_supervisor(self):
        if self.job.supervisor.process.kill9():
            self.counts["supervisor"] += 1
        self.job.supervisor.launch()

    def kill(self):
        for victim in self.chance.choice([(self.kill_hub,), (self.kill_hub,), (self.kill_office,), (self.kill_office,),
                                          (self.kill_supervisor,), (self.kill_hub, self.kill_office),
                                          (self.kill_hub, self.kill_supervisor), (self.kill_office, self.kill_hub)]):
            victim()

    def kills(self):
        return sum(self.counts.values())

    def wait_for_work(self):
        """Until some office is in session with the hub and has rows to send, or has just sent them."""
        def at_work():
            return re.search(r"SESSION-READY casebus-hub: node '(?!supervisor)", self.hub.process.log())
        harness.wait_until("an office is at work", at_work)

    def run(self):
        self.job.supervisor.launch()
        while self.kills() < KILLS:
            self.give_rows((self.kills() + 1) / (KILLS + 1))
            if self.chance.random() < 0.8:  # else it hits who is just starting
                self.wait_for_work()
            time.sleep(self.chance.choice([0.0, 0.02, 0.1, 0.3]) * self.chance.random())
            self.kill()
        self.give_rows(1.0)
        return self

    def finish(self):
        for office in self.job.offices:
            while office.finish(3 * harness.PATIENCE_S)["code"] != 0:
                self.check_ended(office)
                office.launch("--once")
            office.publish()  # what is left, if it ended before it saw the last rows
        self.job.supervisor.wait_received(len(self.job.rows), 3 * harness.PATIENCE_S)


class KilledAtRandom(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.undisturbed = harness.World(cls)
        cls.calm_hub = cls.undisturbed.hub().start()
        calm = receipt.Job(cls.undisturbed, cls.calm_hub)
        calm.run()
        cls.calm_events = cls.calm_hub.events()
        cls.calm_cases = cls.calm_hub.dump("--cases")
        cls.calm_received = calm.supervisor.received()
        cls.calm_hub.stop()

        cls.world = harness.World(cls)
        cls.hub = cls.world.hub().start()
        cls.job = receipt.Job(cls.world, cls.hub)
        began = time.monotonic()
        disturbance = Disturbance(cls.world, cls.hub, cls.job).run()
        disturbance.finish()
        cls.kills = disturbance.counts
        replayed = re.findall(r"REPLAYED casebus-hub: (\d+) entries", cls.hub.log_path.read_text())
        print(f"killed {dict(cls.kills)} in {time.monotonic() - began:.1f} s; {len(replayed)} times the hub replayed, "
              f"{sum(map(int, replayed))} entries from its journal", flush=True)
        cls.events = cls.hub.events()
        cls.received = cls.job.supervisor.received()

    def test_there_were_at_least_fifty_kills_of_all_sorts(self):
        self.assertGreaterEqual(sum(self.kills.values()), 50)
        self.assertEqual(set(self.kills), {"hub", "office", "supervisor"})

    def test_cases_are_those_of_an_undisturbed_run_byte_for_byte(self):
        self.assertEqual(self.hub.dump("--cases"), self.calm_cases)
        self.assertEqual(self.calm_cases.count("\n"), 1434)

    def test_what_was_accepted_is_the_same_each_once(self):
        found = collections.Counter(map(receipt.event_identity, self.events))
        self.assertEqual(found, collections.Counter(map(receipt.event_identity, self.calm_events)))
        self.assertEqual(max(found.values()), 1)
        self.assertEqual(len(self.events), 8577)

    def test_what_was_delivered_is_the_same_each_once(self):
        found = collections.Counter(map(receipt.identity, self.received))
        self.assertEqual(found, collections.Counter(map(receipt.identity, self.calm_received)))
        self.assertEqual(max(found.values()), 1)
        self.assertEqual(len({(line["position"], line["ordinal"]) for line in self.received}), len(self.received))

    def test_no_outbox_was_taken_for_a_copy(self):
        for office in self.job.offices:
            self.assertNotIn("STREAM-COPY", office.log_path.read_text(), office.name)
            streams = {event["stream"] for event in self.events if event["node"] == office.name}
            self.assertEqual(len(streams), 1, office.name)

    def test_the_ledger_verifies(self):
        verified = self.hub.verify()
        self.assertEqual((verified["events"], verified["bodies"], verified["refused"]), (8577, 8577 + verified["nodes"], 0))

    def test_zz_rebuild_gives_the_same_state(self):
        self.hub.settle()
        self.hub.stop()
        before = self.hub.dump("--all")
        self.hub.rebuild()
        self.assertEqual(self.hub.dump("--all"), before)
        self.assertGreater(before.count("\n"), 8577)


if __name__ == "__main__":
    harness.main()
