"""Ten offices' events, one ledger, one picture of each case: what the log holds is what comes out, each once."""
import collections
import unittest

import harness
import receipt


class TheMainJob(unittest.TestCase):
    """One run; each test looks at another side of it."""

    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.rows = receipt.rows_read()
        cls.kinds = receipt.kinds_read()
        cls.own = receipt.by_office(cls.rows)
        cls.records = {f"{row['case_id']}#{row['seq']}": row for row in cls.rows}
        world = harness.World(cls)
        cls.hub = world.hub().start()
        job = receipt.Job(world, cls.hub, cls.rows)
        cls.results = job.run()
        cls.received = job.supervisor.received()
        cls.events = cls.hub.events()
        cls.nodes = cls.hub.nodes()

    def test_the_log_is_the_one_that_we_know(self):
        self.assertEqual(len(self.rows), 8577)
        self.assertEqual(len(self.records), 8577)
        self.assertEqual(len({row["case_id"] for row in self.rows}), 1434)
        self.assertEqual(len(self.own), 10)

    def test_every_row_is_in_the_ledger_once_from_its_own_office(self):
        found = collections.Counter((e["node"], e["header"]["case_number"], e["header"]["record_id"]) for e in self.events)
        expected = {(receipt.office_of(row["org_group"]), row["case_id"], record) for record, row in self.records.items()}
        self.assertEqual(set(found), expected)
        self.assertEqual(set(found.values()), {1})

    def test_the_supervisor_received_every_row_once_with_its_content(self):
        found = {line["record_id"]: receipt.received_line(line) for line in self.received}
        self.assertEqual(len(self.received), len(self.rows))
        self.assertEqual(set(found), set(self.records))
        for record, row in self.records.items():
            expected = receipt.expected_line(row, self.kinds)
            self.assertEqual({name: found[record].get(name) for name in expected}, expected)
            own = {name for name in found[record] if not name.startswith(("finish.", "special."))}
            self.assertEqual(own, set(expected), "nothing is added")

    def test_deliveries_come_in_the_order_of_the_ledger(self):
        order = [(line["position"], line["ordinal"]) for line in self.received]
        self.assertEqual(order, sorted(set(order)))

    def test_a_delivery_is_the_event_of_the_ledger(self):
        by_position = {event["position"]: event for event in self.events}
        for line in self.received:
            event = by_position[line["position"]]
            self.assertEqual((line["origin"], line["event_id"], line["case_id"], line["node"], line["number"]),
                             (harness.ORIGIN, event["event_id"], event["case_id"], event["node"], event["number"]))

    def test_each_office_sent_and_had_accepted_what_it_owns(self):
        for office, rows in self.own.items():
            result, node = self.results[office], self.nodes[office]
            self.assertEqual((result["sent"], result["accepted"], result["duplicate"], result["refused"]),
                             (len(rows), len(rows), 0, 0), office)
            self.assertEqual((node["accepted"], node["duplicate"], node["refused"]), (len(rows), 0, 0), office)

    def test_the_numbers_of_each_office_have_no_gap(self):
        numbers = collections.defaultdict(list)
        for event in self.events:
            numbers[event["node"], event["stream"]].append(event["number"])
        self.assertEqual(len(numbers), 10)
        for sent in numbers.values():
            self.assertEqual(sent, list(range(1, len(sent) + 1)))

    def test_every_case_holds_its_rows_and_no_others(self):
        listed = {case["number"]: case for case in self.hub.ask("case", "list", "--limit", "0")}
        expected = collections.Counter(row["case_id"] for row in self.rows)
        self.assertEqual({number: case["records"] for number, case in listed.items()}, dict(expected))
        for number, case in listed.items():
            times = [receipt.instant(row["time_timestamp"]).timestamp() for row in self.rows if row["case_id"] == number]
            self.assertAlmostEqual(case["first_at_us"] / 1e6, min(times), 3)
            self.assertAlmostEqual(case["last_at_us"] / 1e6, max(times), 3)

    def test_a_case_is_shown_as_a_timeline_across_offices(self):
        offices = collections.defaultdict(set)
        for row in self.rows:
            offices[row["case_id"]].add(receipt.office_of(row["org_group"]))
        number = max(offices, key=lambda case: (len(offices[case]), case))
        self.assertGreater(len(offices[number]), 2)
        shown = self.hub.ask("case", "show", number)
        expected = sorted(((receipt.instant(row["time_timestamp"]).timestamp(), receipt.office_of(row["org_group"]))
                           for row in self.rows if row["case_id"] == number))
        found = [(record["occurred_at_us"] / 1e6, record["node"]) for record in shown["timeline"]]
        self.assertEqual(sorted(found), expected)
        self.assertEqual([time for time, _ in found], sorted(time for time, _ in found))

    def test_one_case_id_for_each_case_number(self):
        ids = {(line["case_number"], line["case_id"]) for line in self.received}
        self.assertEqual(len(ids), 1434)
        self.assertEqual(len({case_id for _, case_id in ids}), 1434)

    def test_the_tail_is_the_end_of_the_ledger(self):
        tail = self.hub.ask("event", "tail", "-n", "50")
        self.assertEqual([event["position"] for event in tail], [event["position"] for event in self.events[-50:]])

    def test_the_ledger_verifies(self):
        verified = self.hub.verify()
        self.assertEqual((verified["events"], verified["bodies"], verified["nodes"]), (8577, 8577 + 11, 11))  # and who approved each node
        self.assertEqual((verified["duplicates"], verified["refused"]), (0, 0))

    def test_no_content_lies_open_on_the_hubs_disk(self):
        """Names of persons' tasks are in sealed parts; case numbers and activities in sealed headers."""
        self.hub.settle()
        for path in self.hub.dir.rglob("*"):
            if path.is_file() and path.parent.name in ("journal", "ledger"):
                data = path.read_bytes()
                for words in (b"task-4", b"Resource", b"Confirmation of receipt"):
                    self.assertNotIn(words, data, path)


if __name__ == "__main__":
    harness.main()
