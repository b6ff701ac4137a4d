"""P4: the picture of a case follows from the set of statements, not from the order in which they came or how often.

Two hubs see the same statements: one in their order, once, in one go; the other shuffled, some of them several times, over
several days' worth of files that come late. Both dump the same cases.
"""
import collections
import unittest

import harness
import receipt

PIECES = 5
ALIASES = 16  # as many as a case shows; of more, a hub shows the first in the order of its own keys, and these hubs have three

STATEMENTS = """\
node: {node}
source:
  kind: eventlog
  file: {file}
map:
  record_namespace: e2e/statements
  record_id: "{{record}}"
  revision: "{{revision}}"
  operation: "{{operation}}"
  case_number: "{{case}}"
  case_alias: "{{alias}}"
  occurred_at: {{column: time, format: rfc3339}}
  kind: {{column: kind}}
  finish.finish_kind: "{{finish_kind}}"
  step.action: "{{action}}"
  form: [note]
"""


def repeated(chance, rows, part):
    """The rows in any order, some of them more often."""
    rows = rows + chance.sample(rows, int(len(rows) * part)) + chance.sample(rows, int(len(rows) * part / 4))
    chance.shuffle(rows)
    return rows


def pieces(rows, n):
    step = -(-len(rows) // n)
    return [rows[i:i + step] for i in range(0, len(rows), step)]


class Order(unittest.TestCase):
    maxDiff = 2000

    def same_cases(self, one, other):
        a, b = one.dump("--cases").splitlines(), other.dump("--cases").splitlines()
        differing = [(x, y) for x, y in zip(a, b) if x != y]
        self.assertFalse(differing, f"seed {harness.SEED}: {len(differing)} cases differ, such as\n"
                         + "\n".join(differing[0] if differing else ()))
        self.assertEqual(len(a), len(b))
        return a

    def test_the_log_shuffled_doubled_and_late_gives_the_same_cases(self):
        world = harness.World(self)
        chance = world.random
        rows = receipt.rows_read()
        ordered = world.hub("ordered").start()
        job = receipt.Job(world, ordered, rows)
        for office in job.offices:
            office.launch("--once")
        for office in job.offices:
            self.assertEqual(office.finish()["code"], 0)
        ordered.settle().stop()

        hub = world.hub("shuffled").start()
        late = [harness.Office(world, hub, f"late-{office.name}") for office in job.offices]
        own, counted = receipt.by_office(rows), collections.Counter()
        given = {}
        for office, first in zip(late, job.offices):
            office.enrol(publish=True)
            office.config = receipt.MAPPING
            office.settings = ["--backfill", "--set", f"node={office.dir}", "--set", f"source.file={office.rows_path}"]
            given[office] = pieces(repeated(chance, own[first.name], 0.3), PIECES)
        for piece in range(PIECES):
            working = [office for office in late if piece < len(given[office])]
            for office in working:
                job.write(office, given[office][piece])
                office.launch("--once", "--from-start")
            for office in working:
                result = office.finish()
                self.assertEqual(result["code"], 0, office.process.log())
                counted.update({key: result[key] for key in ("rows", "accepted", "duplicate", "refused")})
        sent = sum(len(piece) for office in late for piece in given[office])
        self.assertEqual(counted, {"rows": sent, "accepted": 8577, "duplicate": sent - 8577, "refused": 0})
        self.assertEqual(len(self.same_cases(ordered, hub)), 1434)
        self.assertEqual(hub.verify()["duplicates"], sent - 8577)

    def statements(self, chance, office):
        """Rows of records that are corrected, taken back, moved to another case, and contradicted."""
        kinds = ["apply", "receive", "accept", "step", "decide", "finish", "withdraw"]
        rows = []
        for n in range(120):
            record = f"{office}-{n}"
            alike = {}
            for _ in range(chance.randrange(1, 7)):
                revision = chance.randrange(4)
                row = {"record": record, "revision": revision,
                       "operation": chance.choice(["put", "put", "correct", "correct", "delete"]),
                       "case": f"case-{chance.randrange(40):02}",
                       "alias": chance.choice(["", "", f"alias-{chance.randrange(ALIASES)}"]),
                       "time": f"2026-03-{chance.randrange(1, 29):02}T{chance.randrange(24):02}:00:00+08:00",
                       "kind": chance.choice(kinds), "finish_kind": chance.randrange(4),
                       "action": chance.choice(["process", "accept_notice", "unknown"]),
                       "note": f"{chance.randrange(3)}"}
                # Of two that agree in all figures a hub takes the one with the greater digest, and digests are keyed: which one
                # differs from hub to hub. So they are about the same case here, and differ in their note alone.
                twin = alike.setdefault((revision, row["operation"], row["time"], row["kind"]), row)
                rows.append({**row, "case": twin["case"], "alias": twin["alias"]})
        return rows

    def publish(self, world, hub, name, office, files):
        counted = collections.Counter()
        node = harness.Office(world, hub, f"{name}-{office}").enrol(publish=True)
        node.config.write_text(STATEMENTS.format(node=node.dir, file=node.rows_path))
        for rows in files:
            with open(node.rows_path, "w", newline="") as file:
                writer = harness.csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            result = node.publish("--from-start")
            counted.update({key: result[key] for key in ("accepted", "duplicate", "refused")})
        return counted

    def test_statements_that_correct_move_delete_and_contradict_give_the_same_cases(self):
        world = harness.World(self)
        hubs = {name: world.hub(name).start() for name in ("one", "two", "three")}
        counted = collections.defaultdict(collections.Counter)
        for office in ("a", "b", "c"):
            rows = self.statements(world.random, office)
            distinct = len({tuple(row.items()) for row in rows})
            for name, hub in hubs.items():
                order = rows if name == "one" else repeated(world.random, rows, 0.5)
                counted[name] += self.publish(world, hub, name, office, pieces(order, 1 if name == "one" else 3))
                self.assertEqual(counted[name]["refused"], 0)
                self.assertGreaterEqual(counted[name]["accepted"], distinct // 2)
        cases = self.same_cases(hubs["one"], hubs["two"])
        self.same_cases(hubs["one"], hubs["three"])
        self.assertGreaterEqual(len(cases), 38)
        self.assertTrue(any('"aliases":["' in case for case in cases))
        for hub in hubs.values():
            hub.verify()


if __name__ == "__main__":
    harness.main()
