#!/usr/bin/env python3
"""casebus-adapter seen from outside: over a node without a hub (fake_node.c), so only the program itself is tested.

Usage: adapter_test.py PROGRAM SOURCE_DIR [unittest arguments]
"""
import collections
import csv
import gzip
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from xml.sax.saxutils import quoteattr

PROGRAM = os.path.abspath(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2]).resolve()
RECEIPT = SOURCE / "tests/data/logs/receipt.events.csv.gz"
RECEIPT_CONFIG = SOURCE / "deploy/receipt/adapter.yaml"
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "en"}

CONFIG = """\
node: node
source:
  kind: eventlog
  file: log.csv
map:
  record_namespace: test/rows
  record_id: "{case}#{seq}"
  case_number: "{case}"
  occurred_at: {column: time, format: rfc3339}
  kind: {column: activity, values: {in: apply, ok: accept}, default: other}
  form: [note]
"""
HEADER = "case,seq,time,activity,note\n"


def row(n, time="2020-01-02T03:04:05+08:00", activity="in", note="n"):
    return f"c{n},{n},{time},{activity},{note}\n"


class Place:
    """A folder with a node, a configuration and a log; removed when it is forgotten."""

    def __init__(self, log=None, config=CONFIG, plan=""):
        self.temporary = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.temporary.name)
        (self.path / "node").mkdir()
        (self.path / "node/enrolment.json").write_text("{}")
        (self.path / "node/fake.plan").write_text(plan)
        (self.path / "adapter.yaml").write_text(config)
        if log is not None:
            self.log(log)

    def log(self, content):
        if isinstance(content, str):
            content = content.encode()
        (self.path / "log.csv").write_bytes(content)

    def adapter(self, *arguments, timeout=60):
        done = subprocess.run([PROGRAM, *arguments], cwd=self.path, env=ENVIRONMENT, text=True, errors="replace",
                              capture_output=True, timeout=timeout)
        done.result = {}
        for line in done.stdout.splitlines():
            if line.startswith("RESULT "):
                words = line.split()
                done.result = {"word": words[1], **dict(word.split("=") for word in words[2:])}
        return done

    def check(self, *arguments):
        return self.adapter("check", "adapter.yaml", *arguments)

    def run(self, *arguments, **more):
        return self.adapter("run", "adapter.yaml", "--once", *arguments, **more)

    def sent(self):
        path = self.path / "node/fake.sent"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def rejects(self):
        path = self.path / "node/rejects.csv"
        return list(csv.DictReader(io.StringIO(path.read_text(), newline=""))) if path.exists() else []


def receipt_rows():
    with gzip.open(RECEIPT, "rt", newline="") as file:
        return list(csv.DictReader(file))


def kinds_shown(output):
    lines = output.splitlines()
    kinds = {}
    for line in lines[lines.index("Events by kind:") + 1:]:
        if not line.startswith("  "):
            break
        count, kind = line.split()
        kinds[kind] = int(count)
    return kinds


class TheReceiptLog(unittest.TestCase):
    def setUp(self):
        if not RECEIPT.exists():
            self.skipTest("the receipt log is not here")
        with open(RECEIPT_CONFIG.parent / "activities.csv", newline="") as file:
            self.kind_of = {r["activity"]: r["kind"] for r in csv.DictReader(file)}

    def test_every_row_becomes_an_event_of_its_kind(self):
        done = Place().adapter("check", str(RECEIPT_CONFIG), "--rows", "0")
        counted = collections.Counter(self.kind_of[r["activity"]] for r in receipt_rows())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(kinds_shown(done.stdout), counted)
        self.assertEqual(sum(counted.values()), 8577)
        self.assertEqual(done.result["events"], "8577")
        self.assertEqual(done.result["unmapped"], "0")

    def test_ten_offices_share_the_rows_without_rest(self):
        rows = collections.Counter(r["org_group"] for r in receipt_rows())
        self.assertEqual(len(rows), 10)
        for group, n in rows.items():
            done = Place().adapter("check", str(RECEIPT_CONFIG), "--set", f"source.filter.org_group={group}")
            self.assertEqual(int(done.result["events"]), n, group)

    def test_xes_gives_the_same_records_as_csv(self):
        place = Place()
        by_case = collections.OrderedDict()
        for r in receipt_rows():
            by_case.setdefault(r["case_id"], []).append(r)
        with gzip.open(place.path / "log.xes.gz", "wt") as file:
            file.write('<?xml version="1.0" encoding="UTF-8"?>\n<log xes.version="1.0">\n')
            for case, rows in by_case.items():
                file.write(f'<trace><string key="concept:name" value={quoteattr(case)}/>\n')
                for r in rows:
                    file.write(f'<event><string key="concept:name" value={quoteattr(r["activity"])}/>'
                               f'<date key="time:timestamp" value={quoteattr(r["time_timestamp"])}/></event>\n')
                file.write("</trace>\n")
            file.write("</log>\n")
        (place.path / "adapter.yaml").write_text(
            "node: node\nsource: {kind: eventlog, file: log.xes.gz}\n"
            "map:\n  record_namespace: r\n  record_id: '{case:concept:name}#{event:index}'\n"
            "  case_number: '{case:concept:name}'\n  occurred_at: {column: 'time:timestamp', format: rfc3339}\n"
            f"  kind: {{column: 'concept:name', file: {RECEIPT_CONFIG.parent}/activities.csv, from: activity, to: kind}}\n")
        done = place.run()
        self.assertEqual(done.returncode, 0, done.stderr)
        expected = {(self.kind_of[r["activity"]], f'{r["case_id"]}#{r["seq"]}') for r in receipt_rows()}
        self.assertEqual({(kind, record) for _, kind, record in place.sent()}, expected)
        self.assertEqual(len(place.sent()), 8577)


class Configurations(unittest.TestCase):
    def test_all_faults_are_told_at_once_with_their_places(self):
        place = Place(HEADER + row(1), """\
node: nowhere
endpiont: tcp://127.0.0.1:1
source:
  kind: eventlog
  file: log.csv
  filter: {cse: c1}
map:
  record_namespace: r
  record_id: "{case"
  case_nmber: "{case}"
  occurred_at: {column: tme, format: rfc3339, zone: "+25:00"}
  kind: {column: activity, values: {in: aply}, default: othr}
  channel: windw
sink:
  kind: jsonk
""")
        for command in ("check", "run"):
            done = place.adapter(command, "adapter.yaml", "--set", "sink.fiel=x", "--set", "nonsense")
            self.assertEqual(done.returncode, 2)
            for expected in ("adapter.yaml:2:1: there is no setting 'endpiont'", "did you mean 'endpoint'?",
                             "adapter.yaml:6:12: the source has no column 'cse'", "did you mean 'case'?",
                             "adapter.yaml:7:1: the mapping lacks 'case_number'", 'adapter.yaml:9:3: in "{case"',
                             "adapter.yaml:10:3: an event has no field 'case_nmber'", "did you mean 'case_number'?",
                             "adapter.yaml:11:3: the source has no column 'tme'", "did you mean 'time'?",
                             "adapter.yaml:11:3: this zone", "adapter.yaml:12:37: field 'kind': 'aply'",
                             "adapter.yaml:12:3: field 'kind': 'othr'", "adapter.yaml:13:3: field 'channel'",
                             "adapter.yaml:15:3: there is no kind 'jsonk'", "did you mean 'jsonl'?",
                             "--set nonsense: it has to be NAME=VALUE", "nothing was started"):
                self.assertIn(expected, done.stderr)
        self.assertIn("adapter.yaml:1:1: 'nowhere' holds no enrolment.json", done.stderr)
        self.assertEqual(place.sent(), [])

    def test_a_record_id_that_does_not_tell_rows_apart_is_a_fault(self):
        place = Place(HEADER + row(1) + row(2) + row(1, note="m") + row(2), CONFIG)
        done = place.check("--rows", "0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Row 3 (line 4) says something else of the record 'c1#1' than row 1", done.stdout)
        self.assertIn("add a column to record_id", done.stdout)
        self.assertIn("RESULT FAILED rows=4 events=4 rejected=0 clashing=1 ", done.stdout)  # row 4 says the same again

    def test_a_letter_that_strptime_does_not_know_is_a_fault_in_its_line(self):
        for pattern, letter in (("%Y-%m-%d %H:%Q", "'%Q'"), ("%Y-%", "'%'"), ("%Y-%中", "'%'")):
            done = Place(HEADER + row(1), CONFIG.replace("format: rfc3339", f'format: "{pattern}"')).check()
            self.assertEqual(done.returncode, 2)
            self.assertIn("adapter.yaml:9:3: in the pattern", done.stderr)
            self.assertIn(f"{letter} stands for nothing", done.stderr)

    def test_a_kind_without_default_says_what_it_costs(self):
        log = HEADER + row(1) + row(2, activity="new") + row(3, activity="new")
        for kind in ("{column: activity, values: {in: apply}}", '"{activity}"'):
            done = Place(log.replace(",in,", ",apply,") if kind[0] == '"' else log,
                         CONFIG.replace("{column: activity, values: {in: apply, ok: accept}, default: other}", kind)).check()
            self.assertEqual(done.returncode, 1)
            self.assertIn("Rows that cannot be used because 'kind' has no default for these codes: 2", done.stdout)
            self.assertIn("RESULT FAILED rows=3 events=1 rejected=2", done.stdout)

    def test_many_records_are_remembered(self):
        place = Place(HEADER + "".join(row(n) for n in range(5000)) + row(17, note="m"), CONFIG)
        self.assertIn("of the record 'c17#17' than row 18", place.check("--rows", "0").stdout)

    def test_what_explain_prints_is_a_configuration(self):
        place = Place()
        text = place.adapter("explain").stdout
        (place.path / "adapter.yaml").write_text(text)
        done = place.check()
        self.assertIn("the file '...' cannot be read", done.stderr)
        self.assertIn("faults in the configuration: 1;", done.stderr)

    def test_broken_yaml_is_a_sentence(self):
        for text in ("a: b: c\n", "[1, 2", "a: *x\n", "- 1\n", "", "\x00", "a: &x {b: *x}\n", "{" * 200,
                     "a: 1\na: 2\n", "map: {? [1]: 2}\n", "\ufeff", "%YAML 9.9\n---\nx"):
            done = Place(config=text).check()
            self.assertEqual(done.returncode, 2, text)
            self.assertIn("faults in the configuration", done.stderr, text)

    def test_set_replaces_lists_and_names_with_dots(self):
        place = Place("case,seq,time,activity,note,a.b\n" + row(1).strip() + ",x\n" + row(2).strip() + ",y\n" +
                      row(3).strip() + ",z\n")
        done = place.check("--set", r"source.filter.a\.b=[x, z]")
        self.assertEqual(done.result["events"], "2", done.stderr)
        self.assertEqual(done.result["filtered"], "1")

    def test_unknown_commands_and_options_are_usage(self):
        for words in (["frobnicate"], ["run"], [], ["check", "a", "b"], ["--frob"], ["explain", "nothing"],
                      ["check", "nothing.yaml"], ["check", "adapter.yaml", "--once"], ["run", "adapter.yaml", "--codes=x"],
                      ["run", "adapter.yaml", "--idle=3"], ["explain", "--rows=1"]):
            self.assertEqual(Place().adapter(*words).returncode, 2, words)
        self.assertEqual(Place().adapter("--help").returncode, 0)
        self.assertEqual(Place().adapter("--version").returncode, 0)


class TheGuide(unittest.TestCase):
    def test_what_docs_adapters_md_shows_is_what_happens(self):
        self.follow("adapters.md", "en")

    def test_the_guide_in_chinese_shows_it_too(self):
        self.follow("adapters.zh-CN.md", "zh")

    def follow(self, name, language):
        guide = (SOURCE / "docs" / name).read_text()
        blocks = guide.split("```")[1::2]
        log = next(b for b in blocks if b.startswith("\n办件编号"))
        config = next(b for b in blocks if b.startswith("yaml\nnode:"))
        shown = next(b for b in blocks if "casebus-adapter check" in b)
        faults = next(b for b in blocks if b.startswith("\nadapter.yaml:"))
        place = Place(config=config[len("yaml\n"):])
        (place.path / "cases.csv").write_text(log.lstrip())
        self.assertEqual(place.check("--rows", "1", "--language", language).stdout.strip(), shown.split("\n", 2)[2].strip())
        text = (place.path / "adapter.yaml").read_text()
        (place.path / "adapter.yaml").write_text(text.replace("case_number", "case_nmber").replace("column: 时间", "column: 时问"))
        self.assertIn(faults.strip(), place.check("--language", language).stderr)
        (place.path / "adapter.yaml").write_text(text)
        done = place.run()
        self.assertEqual(done.result["word"], "PARTIAL")
        self.assertEqual(done.result["accepted"], "4")


class Rows(unittest.TestCase):
    def test_good_rows_go_on_and_bad_ones_are_kept_with_their_reason(self):
        log = (HEADER + row(1) + row(2, time="2020-02-30T00:00:00Z") + row(3, time="yesterday") + "c4,4\n" +
               row(5, note="a\x00b") + row(6, note='x"y') + row(7, note='"two\nlines, ""quoted"""') +
               ",8,2020-01-02T03:04:05Z,in,\n" + row(9, note="fine")).encode()
        log += row(10).encode().replace(b"n\n", b"\xff\xfe\n") + (row(11, note='"never closed') + row(12)).encode()
        place = Place(log)
        done = place.run()
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual([s[0] for s in place.sent()], ["1", "7", "9"])
        self.assertEqual(done.result["word"], "PARTIAL")
        self.assertEqual(done.result["rejected"], "7")
        self.assertIn("row 11 (line 13) is left for the next run: the quote that opens column 5 is never closed", done.stderr)
        reasons = {r["row"]: (r["line"], r["reason"]) for r in place.rejects()}
        self.assertEqual(reasons["2"][0], "3")
        self.assertIn("column 'time': '2020-02-30T00:00:00Z' names a day", reasons["2"][1])
        self.assertIn("is not a time", reasons["3"][1])
        self.assertIn("2 columns, the header has 5", reasons["4"][1])
        self.assertIn("column 5 ('note') holds a NUL", reasons["5"][1])
        self.assertIn("a quote stands where none may stand", reasons["6"][1])
        self.assertIn("column 'case': it is empty, and 'record_id' needs it", reasons["8"][1])
        self.assertEqual(reasons["10"][0], "12")  # row 7 took two lines
        self.assertIn("column 5 ('note') is not UTF-8 text", reasons["10"][1])
        self.assertEqual(place.rejects()[1]["raw"], row(3, time="yesterday").strip())
        self.assertNotIn("yesterday", done.stderr)  # no contents in log lines
        self.assertEqual(oct((place.path / "node/rejects.csv").stat().st_mode & 0o777), "0o600")

    def test_a_field_of_a_hundred_megabytes_is_one_bad_row(self):
        place = Place()
        with open(place.path / "log.csv", "w") as file:
            file.write(HEADER + row(1) + "c2,2,2020-01-02T03:04:05Z,in,")
            for _ in range(100):
                file.write("x" * (1 << 20))
            file.write("\n" + row(3) + 'c4,4,2020-01-02T03:04:05Z,in,"')
            for _ in range(50000):
                file.write("c9,9,2020-01-02T03:04:05Z,in,what an applicant writes is no row\n")
            file.write('"\n' + row(5))
        done = place.check("--rows", "0")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.result["events"], "3", done.stdout[-500:])
        self.assertIn("Row 2 (line 3) cannot be used: the row is longer than 1048576 bytes", done.stdout)
        self.assertIn("Row 4 (line 5) cannot be used: the row is longer than 1048576 bytes", done.stdout)

    def test_what_was_read_before_damage_is_kept(self):
        whole = gzip.compress((HEADER + "".join(row(n) for n in range(1, 5001))).encode())
        for name, content in (("cut", whole[:-2000]), ("check sum", whole[:-8] + b"\1\2\3\4" + whole[-4:])):
            place = Place(content)
            done = place.run()
            self.assertEqual(done.returncode, 3, name)
            self.assertEqual(done.result["word"], "FAILED")
            self.assertGreater(int(done.result["accepted"]), 1000 if name == "cut" else 4999, name)
            self.assertIn("SOURCE-DAMAGED", done.stderr)
            self.assertIn("what was read before this place is kept", done.stderr)

    def test_gb18030_is_recognised_and_decoded(self):
        place = Place((HEADER + row(1, note="收件，核对𠀀") + row(2, note="x")).encode("gb18030"))
        done = place.check()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("(CSV, GB18030)", done.stdout)
        self.assertIn("form.note = 收件，核对𠀀", done.stdout)
        place.log((HEADER + row(1, note="收件")).encode("gb18030") + b"c2,2,2020-01-02T03:04:05Z,in,\xff\xff\n")
        done = place.check("--set", "source.encoding=GB18030")
        self.assertIn("column 5 ('note') is not GB18030 text", done.stdout)

    def test_xml_bombs_and_broken_xml_are_refused(self):
        bomb = ('<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
                '<log><trace><event><string key="x" value="&b;"/></event></trace></log>')
        deep = "<log><trace><event>" + "<list>" * 5000
        long = '<log><trace><event><string key="x" value="' + "y" * (5 << 20)
        config = CONFIG.replace("log.csv", "log.csv\n  format: xes")
        for name, text, said in (("bomb", bomb, "document type"), ("deep", deep, "nested"),
                                 ("long", long, "longer than"), ("cut", "<log><trace>", "not well-formed"),
                                 ("other", "<html></html>", "does not begin with <log>"),
                                 ("empty", "", "not well-formed")):
            done = Place(text, config).check()
            self.assertEqual(done.returncode, 3, name)
            self.assertIn(said, done.stderr, name)

    def test_headers_that_cannot_be_used_are_faults(self):
        for log, said in (("", "is empty"), ("a,a\n1,2\n", "both called 'a'"), ("a,,b\n1,2,3\n", "has no name"),
                          ('"a,b\n1,2\n', "never closed"), ("a,b\r1,2\r", "carriage return"),
                          (b"\xff\xfea\0,\0", "UTF-16"), (",".join(f"c{n}" for n in range(300)) + "\n", "at most 256")):
            done = Place(log).check()
            self.assertEqual(done.returncode, 2, said)
            self.assertIn(said, done.stderr)


class Runs(unittest.TestCase):
    def test_a_run_that_the_hub_shuts_out_fails_and_says_why(self):
        place = Place(HEADER + row(1), plan="stranger\n")
        for sent in ("1", "0"):  # the second time there is nothing new to send
            done = place.run()
            self.assertEqual((done.returncode, done.result["word"], done.result["sent"]), (3, "FAILED", sent))
            self.assertIn("does not know this node's key", done.stderr)

    def test_a_run_with_nothing_to_send_meets_the_hub_before_it_ends(self):
        done = Place(HEADER, plan="away 3\n").run()
        self.assertEqual((done.returncode, done.result["word"]), (0, "OK"))
        self.assertIn("SESSION-READY", done.stderr)

    def test_each_row_is_sent_across_a_crash(self):
        log = HEADER + "".join(row(n, time="?" if n % 10 == 0 else "2020-01-02T03:04:05Z") for n in range(1, 101))
        place = Place(log, plan="crash 57\n")
        self.assertEqual(place.run().returncode, 137)
        with open(place.path / "node/rejects.csv", "a") as file:
            file.write('50,51,CB-ROW,"torn by the cra')
        (place.path / "node/fake.plan").write_text("")
        done = place.run()
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("ROWS-AGAIN", done.stderr)  # nothing was known of them that could be compared
        self.assertEqual(done.result["skipped"], "0")
        good = [n for n in range(1, 101) if n % 10]
        self.assertEqual([int(s[0]) for s in place.sent()], [n for n in good if n < 57] + good)
        self.assertEqual([int(r["row"]) for r in place.rejects()], list(range(10, 101, 10)))

    def test_outcomes_are_counted_and_refusals_kept(self):
        place = Place(HEADER + "".join(row(n) for n in range(1, 11)), plan="refuse 3\nduplicate 4\nduplicate 5\nbusy 7\n")
        done = place.run()
        self.assertEqual(done.returncode, 1)
        self.assertEqual((done.result["accepted"], done.result["duplicate"], done.result["refused"]), ("7", "2", "1"))
        self.assertEqual(done.result["sent"], "10")
        kept = place.rejects()
        self.assertEqual((kept[0]["row"], kept[0]["code"]), ("3", "CB-NOT-ALLOWED"))
        self.assertEqual(kept[0]["reason"], 'this node may not, "really"')

    def test_another_source_behind_the_same_outbox_is_noticed(self):
        place = Place(HEADER + row(1) + row(2))
        self.assertEqual(place.run().returncode, 0)
        place.log(HEADER + row(11) + row(12) + row(13))
        done = place.run()
        self.assertEqual(done.returncode, 3)
        self.assertIn("begins with another row", done.stderr)
        self.assertIn("--from-start", done.stderr)
        self.assertEqual(place.run("--from-start").returncode, 0)
        self.assertEqual(len(place.sent()), 5)
        with open(place.path / "log.csv", "a") as file:
            file.write(row(14))
        self.assertEqual(place.run().result["sent"], "1")

    def changed(self, place, said, sent=0):
        """A run stops at a source that is another one, sends nothing of it, and says the way out; which works."""
        before = len(place.sent())
        done = place.run()
        self.assertEqual((done.returncode, done.result["word"], done.result["sent"]), (3, "FAILED", "0"), done.stderr)
        self.assertIn(said, done.stderr)
        self.assertIn("--from-start", done.stderr)
        self.assertEqual(len(place.sent()), before)
        self.assertEqual(place.run("--from-start").result["sent"], str(sent))
        again = place.run()
        self.assertEqual((again.returncode, again.result["sent"]), (0, "0"), again.stderr)

    def test_rows_that_are_corrected_inserted_or_removed_are_noticed(self):
        rows = [row(n) for n in range(1, 6)]
        bad = [rows[0], row(2, time="?"), *rows[2:]]
        for what, now in (("corrected", rows), ("inserted", [*bad[:2], row(9), *bad[2:]]), ("sorted", bad[::-1][1:] + bad[-1:]),
                          ("removed", bad[:2] + bad[3:] + [row(8)])):
            place = Place(HEADER + "".join(bad))
            self.assertEqual(place.run().result["word"], "PARTIAL")
            place.log(HEADER + "".join(now))
            done = place.run()
            self.assertEqual((done.returncode, done.result["sent"]), (3, "0"), what)
            self.assertIn("begins with another row" if what == "sorted" else "are not what they were", done.stderr, what)
            self.assertIn("--from-start", done.stderr)
            good = [line for line in now if "?" not in line]
            self.assertEqual(place.run("--from-start").result["sent"], str(len(good)), what)

    def test_a_source_that_was_cut_is_noticed(self):
        place = Place(HEADER + row(1) + row(2) + row(3))
        place.run()
        place.log(HEADER + row(1))
        self.changed(place, "ends with row 1, but rows 1 to 3 were read before", sent=1)

    def test_another_filter_behind_the_same_rows_is_noticed(self):
        filtered = CONFIG.replace("  file: log.csv\n", "  file: log.csv\n  filter: {note: [x]}\n")
        place = Place(HEADER + row(1, note="x") + row(2, note="y") + row(3, note="x"), filtered)
        self.assertEqual(place.run().result["sent"], "2")
        (place.path / "adapter.yaml").write_text(filtered.replace("[x]", "[x, y]"))
        self.changed(place, "the filter is another one", sent=3)

    def test_a_filter_that_passes_nothing_is_told(self):
        filtered = CONFIG.replace("  file: log.csv\n", "  file: log.csv\n  filter: {note: [X]}\n")
        done = Place(HEADER + row(1) + row(2), filtered).run()
        self.assertEqual((done.returncode, done.result["filtered"]), (0, "2"))
        self.assertIn("none of 2 rows passed the filter", done.stderr)

    def test_a_source_that_only_grew_goes_on_even_behind_a_crash(self):
        place = Place(HEADER + row(1) + row(2), plan="crash 2\n")
        self.assertEqual(place.run().returncode, 137)
        (place.path / "node/fake.plan").write_text("")
        self.assertEqual(place.run().returncode, 0)
        place.log(HEADER + row(1) + row(2) + row(3, time="?"))
        self.assertEqual(place.run().result["rejected"], "1")
        place.log(HEADER + row(1) + row(2) + row(3) + row(4))  # nothing of row 3 was published: it may be corrected in its place
        self.assertEqual(place.run().result["sent"], "2")
        (place.path / "node/source.mark").write_text("0badcafe\n")  # as an earlier version kept it
        self.assertEqual(place.run().returncode, 0)
        place.log(HEADER + row(1) + row(7) + row(3) + row(4))
        self.changed(place, "are not what they were", sent=4)

    def test_a_row_that_is_still_being_written_waits_for_its_line_end(self):
        for cut in (row(2).rstrip("\n"), row(2)[:-8], "c2"):
            place = Place(HEADER + row(1) + cut)
            self.assertEqual(place.check().returncode, 1)
            self.assertIn("Row 2 (line 3) would be left for the next run", place.check().stdout)
            done = place.run()
            self.assertEqual((done.returncode, done.result["word"], done.result["sent"]), (1, "PARTIAL", "1"))
            self.assertIn("row 2 (line 3) is left for the next run", done.stderr)
            self.assertEqual(place.rejects(), [])
            place.log(HEADER + row(1) + row(2) + row(3))
            done = place.run()
            self.assertEqual((done.returncode, done.result["sent"], done.result["skipped"]), (0, "2", "1"))
        place = Place(HEADER + row(1) + row(2).rstrip("\n"))
        self.assertEqual(place.run("--set", "source.last_row=any").result["sent"], "2")
        self.assertEqual(place.run().returncode, 0)

    def test_deliveries_reach_the_file_once(self):
        place = Place(config="node: node\nsink: {kind: jsonl, file: out.jsonl}\n", plan="deliver 20\n")
        self.assertEqual(place.run("--idle", "1").returncode, 0)
        out = place.path / "out.jsonl"
        lines = out.read_text().splitlines()
        self.assertEqual([json.loads(line)["position"] for line in lines], list(range(1, 21)))
        self.assertEqual(json.loads(lines[0])["kind"], "accept")
        out.write_text("\n".join(lines[:12]) + "\n" + lines[12][:30])  # torn
        (place.path / "node/fake.state").write_text("0 5\n")              # and the hub delivers 6 to 20 again
        self.assertEqual(place.run("--idle", "1").returncode, 0)
        self.assertEqual([json.loads(line)["position"] for line in out.read_text().splitlines()], list(range(1, 21)))

    def test_a_signal_ends_it_cleanly(self):
        place = Place(HEADER + row(1))
        for ending in (signal.SIGTERM, signal.SIGINT):
            process = subprocess.Popen([PROGRAM, "run", "adapter.yaml"], cwd=place.path, env=ENVIRONMENT, text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            while "SESSION-READY" not in process.stderr.readline():
                self.assertIsNone(process.poll())
            process.send_signal(ending)
            out, _ = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 0)
            self.assertIn("RESULT OK", out)

    def test_what_was_read_is_known_after_a_kill_in_service(self):
        place = Place(HEADER + row(1) + row(2) + row(3))
        process = subprocess.Popen([PROGRAM, "run", "adapter.yaml"], cwd=place.path, env=ENVIRONMENT,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        mark, end = place.path / "node/source.mark", time.monotonic() + 60
        while not (mark.exists() and mark.read_text().startswith("2 3 ")):
            self.assertLess(time.monotonic(), end, mark.read_text() if mark.exists() else "no mark")
            time.sleep(0.02)
        process.kill()
        process.wait()
        place.log(HEADER + row(1) + row(7) + row(3))
        self.changed(place, "are not what they were", sent=3)

    def test_backfill_marks_every_event(self):
        place = Place(HEADER + row(1))
        self.assertIn("backfill = true", place.check("--backfill").stdout)
        self.assertNotIn("backfill", place.check().stdout)
        self.assertIn("backfill = true", place.check("--set", "backfill=true").stdout)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], warnings="ignore")
