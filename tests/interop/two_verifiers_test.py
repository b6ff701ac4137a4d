#!/usr/bin/env python3
"""Two verifiers that share no code have to say the same of every evidence file: casebus verify, and verify_evidence.py.

They are given what an honest hub makes, what lying ones make, files of a real hub, and some hundreds of files with
something broken in them, in ways that bytes break and in ways that a clever forger would try: whole and canonical
again, with another's leaf, path, signature, header or checkpoint. What is proved of a forged file has to be true of the
ledger all the same. CASEBUS_SEED repeats a run.
"""
import contextlib
import datetime
import functools
import io
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import harness  # noqa: E402
import verify_evidence as second  # noqa: E402
from openssl_line import OpenSSL  # noqa: E402

FORGED = int(os.environ.get("CASEBUS_FORGED", "250"))
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
MEMORY = "/dev/shm"  # for the maker's ledgers: their disk is not what is tested
CASEBUS = str(harness.BIN / "casebus")


def verify_words(path, trust, witnesses=(), quorum=None):
    """The command line, that both understand."""
    words = [str(path), "--trust", trust]
    for witness in witnesses:
        words += ["--witness", str(witness)]
    if quorum is not None:
        words += ["--quorum", str(quorum)]
    return words


def first_verify(*what):
    """Exit code and answer of casebus verify."""
    words = [CASEBUS, "verify", "--json", *verify_words(*what)]
    done = subprocess.run(words, capture_output=True, env=harness.ENVIRONMENT, timeout=harness.PATIENCE_S)
    error = done.stderr.decode(errors="replace")
    if done.returncode not in (0, 1) or harness.SANITIZER.search(error):
        raise AssertionError(f"{' '.join(words)}: {done.returncode} {error[-4000:]}")
    return done.returncode, json.loads(done.stdout)


def second_verify(*what):
    """The same of the other one, as the program that it is."""
    words = [sys.executable, "-B", str(HERE / "verify_evidence.py"), *verify_words(*what)]
    done = subprocess.run(words, capture_output=True, timeout=harness.PATIENCE_S)
    if done.returncode not in (0, 1):
        raise AssertionError(f"{' '.join(words)}: {done.returncode} {done.stderr.decode(errors='replace')[-4000:]}")
    return done.returncode, json.loads(done.stdout)


def sentences(gaps):
    """How many it takes to tell them: those that differ in nothing but the event are told together."""
    together = {"header", "part", "receipt", "exact_receipt"}
    kinds = {(gap["gap"], gap.get("node"), gap.get("part"), gap.get("withheld")) for gap in gaps if gap["gap"] in together}
    return len(kinds) + sum(gap["gap"] not in together for gap in gaps)


class Many:
    """casebus, asked again and again in one process (casebus_many.c): what a start of it costs is paid once."""

    def __init__(self, folder, language):
        self.errors = open(pathlib.Path(folder) / f"many.{language}.err", "w+b")
        self.popen = subprocess.Popen([str(harness.HELPERS / "casebus_many")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=self.errors, env={**harness.ENVIRONMENT, "CASEBUS_LANG": language})

    def run(self, *words):
        """Exit code and what it printed."""
        self.popen.stdin.write("\t".join(words).encode() + b"\n")
        self.popen.stdin.flush()
        said = []
        for line in self.popen.stdout:
            if line.startswith(b"\x1e"):
                return int(line[1:]), b"".join(said).decode()
            said.append(line)
        raise AssertionError(f"casebus {' '.join(words)}: {self.popen.wait(harness.PATIENCE_S)} {self.said()}")

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")[-4000:]

    def close(self):
        self.popen.stdin.close()
        code = self.popen.wait(harness.PATIENCE_S)
        self.popen.stdout.close()
        said = self.said()
        self.errors.close()
        if code != 0 or harness.SANITIZER.search(said):
            raise AssertionError(f"casebus_many: {code} {said}")


def second_here(*what):
    """What verify_evidence.py does, without a new interpreter."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = second.main(verify_words(*what))
    return code, json.loads(out.getvalue())


def as_set(facts):
    return {json.dumps(fact, sort_keys=True) for fact in facts}


class Shape:
    """A file of a ledger, and what it takes to check it."""

    def __init__(self, directory, row):
        self.ledger, self.proved, self.quorum, self.code = row["ledger"], row["proved"], row["quorum"], row["code"]
        self.path = directory / row["ledger"] / row["file"]
        self.name = f"{row['ledger']}/{row['file']}"
        self.trust = f"{self.path.parent / 'authority.pem'},{self.path.parent / 'log.vkey'}"
        self.witnesses = [self.path.parent / name for name in row["witnesses"].split()]
        self.what = (self.path, self.trust, self.witnesses, self.quorum)


class Forger:
    """Takes a good file and another one; gives back bytes that are not it any more."""

    def __init__(self, chance):
        self.chance = chance
        self.by_bytes = [self.flip, self.cut, self.grow, self.splice]
        self.by_structure = [
            self.swap_entries, self.swap_paths, self.foreign_leaf, self.drop_leaf, self.drop_claim, self.swap_claims, self.foreign_checkpoint,
            self.move_position, self.alter_hash, self.alter_entry, self.swap_headers, self.alter_header, self.swap_parts, self.alter_part,
            self.drop_parts, self.withhold, self.alter_link, self.drop_links, self.swap_batch_paths, self.alter_index, self.repeat_leaf,
            self.alter_withheld, self.alter_note, self.foreign_claim, self.uncanonical, self.reencode_entry]

    def kinds(self):
        """All of them in turn, for ever."""
        while True:
            yield from self.by_structure + self.by_bytes

    def forge(self, how, file, other):
        """Bytes that differ from the file's; None when this cannot be done to it."""
        forged = self.structural(how, file, other) if how in self.by_structure else how(file, other)
        return forged if forged != file else None

    def structural(self, how, file, other):
        evidence, others = (second.read(second.EVIDENCE, data[len(second.MAGIC):], second.FILE_MAX, 1 << 20, 3) for data in (file, other))
        done = how(evidence, others)
        if done is None:
            return None
        return second.MAGIC + (done if isinstance(done, bytes) else second.write(second.EVIDENCE, evidence))

    # ---- bytes ----

    def bit(self, data):
        if not data:
            return None
        at, out = self.chance.randrange(len(data) * 8), bytearray(data)
        out[at // 8] ^= 1 << at % 8
        return bytes(out)

    def flip(self, file, _):
        return self.bit(file)

    def cut(self, file, _):
        return file[:self.chance.randrange(len(file))]

    def grow(self, file, _):
        return file + self.chance.randbytes(self.chance.randrange(1, 9))

    def splice(self, file, other):
        at = self.chance.randrange(len(second.MAGIC), min(len(file), len(other)))
        return file[:at] + other[at:]

    # ---- what is inside ----

    def pick(self, values, wanted=lambda value: True):
        found = [value for value in values if wanted(value)]
        return self.chance.choice(found) if found else None

    def two(self, values):
        return self.chance.sample(values, 2) if len(values) > 1 else (None, None)

    def swap_entries(self, evidence, _):
        a, b = self.two(evidence.leaf)
        if a is None:
            return None
        a["entry"], b["entry"] = b.entry, a.entry
        return True

    def swap_paths(self, evidence, _):
        a, b = self.two(evidence.leaf)
        if a is None:
            return None
        a["inclusion"], b["inclusion"] = b.inclusion, a.inclusion
        return True

    def foreign_leaf(self, evidence, others):
        mine, theirs = self.pick(evidence.leaf), self.pick(others.leaf)
        if self.chance.random() < 0.5:
            mine["entry"] = theirs.entry
        else:
            mine["entry"], mine["inclusion"] = theirs.entry, theirs.inclusion
        return True

    def drop_leaf(self, evidence, _):
        """All that speaks of it goes with it, and the others are renumbered: a smaller file that may well be true."""
        gone = self.chance.randrange(len(evidence.leaf))
        del evidence.leaf[gone]
        for name, refers in (("event", ("leaf", "seal")), ("outcome", ("seal",)), ("confirm", ("leaf",))):
            evidence[name] = [claim for claim in evidence[name] if all(claim[refer] != gone for refer in refers)]
            for claim in evidence[name]:
                for refer in refers:
                    claim[refer] -= claim[refer] > gone
        return True

    def claims(self, evidence):
        return [name for name in ("event", "outcome", "confirm") if evidence[name]]

    def drop_claim(self, evidence, _):
        name = self.pick(self.claims(evidence))
        if name is None:
            return None
        del evidence[name][self.chance.randrange(len(evidence[name]))]
        return True

    def swap_claims(self, evidence, _):
        name = self.pick([name for name in self.claims(evidence) if len(evidence[name]) > 1])
        if name is None:
            return None
        claims = evidence[name]
        a, b = self.chance.sample(range(len(claims)), 2)
        claims[a], claims[b] = claims[b], claims[a]
        return True

    def foreign_checkpoint(self, evidence, others):
        evidence["checkpoint"] = others.checkpoint
        return True

    def move_position(self, evidence, _):
        leaf = self.pick(evidence.leaf)
        leaf["position"] += self.chance.choice([1, 2, 64, 1 << 40])
        evidence["leaf"] = sorted(evidence.leaf, key=lambda one: one.position)
        return True

    def alter_hash(self, evidence, _):
        paths = [leaf.inclusion for leaf in evidence.leaf] + [claim.batch_path for claim in evidence.event + evidence.outcome]
        path = self.pick(paths, len)
        if path is None:
            return None
        how = self.chance.randrange(3)
        if how == 0:
            at = self.chance.randrange(len(path))
            path[at] = self.bit(path[at])
        elif how == 1:
            path.append(self.chance.randbytes(32))
        else:
            path.pop()
        return True

    def alter_entry(self, evidence, _):
        leaf = self.pick(evidence.leaf)
        leaf["entry"] = self.bit(leaf.entry)
        return True

    def reencode_entry(self, evidence, _):
        """The same message in other bytes: an unknown field, or the last field given first."""
        leaf = self.pick(evidence.leaf)
        leaf["entry"] += second.write_varint(1000 << 3) + b"\1"
        return True

    def swap_headers(self, evidence, others):
        mine, theirs = self.pick(evidence.event, lambda e: e.header), self.pick(others.event + evidence.event, lambda e: e.header)
        if mine is None or theirs is None or mine is theirs:
            return None
        mine["header"], mine["part"] = theirs.header, theirs.part
        return True

    def alter_header(self, evidence, _):
        event = self.pick(evidence.event, lambda e: e.header)
        if event is None:
            return None
        event["header"] = self.bit(event.header)
        return True

    def parts(self, evidence):
        return [part for event in evidence.event for part in event.part if part.salt]

    def swap_parts(self, evidence, others):
        mine, theirs = self.pick(self.parts(evidence)), self.pick(self.parts(others) + self.parts(evidence))
        if mine is None or theirs is None or mine is theirs:
            return None
        for name in self.chance.choice([("salt",), ("content",), ("salt", "content")]):
            mine[name] = theirs[name]
        return True

    def alter_part(self, evidence, _):
        part = self.pick(self.parts(evidence))
        if part is None:
            return None
        name = self.chance.choice(["salt", "content"])
        part[name] = self.bit(part[name])
        return True

    def drop_parts(self, evidence, _):
        event = self.pick(evidence.event, lambda e: e.part)
        if event is None:
            return None
        event.part.pop()
        return True

    def withhold(self, evidence, _):
        """True as well: less is shown."""
        part = self.pick(self.parts(evidence))
        if part is not None and self.chance.random() < 0.5:
            part["salt"], part["content"], part["withheld"] = b"", b"", self.chance.randrange(1, 4)
            return True
        event = self.pick(evidence.event, lambda e: e.header)
        if event is None:
            return None
        event["header"], event["part"], event["header_withheld"] = b"", [], self.chance.randrange(1, 4)
        return True

    def alter_withheld(self, evidence, _):
        event = self.pick(evidence.event)
        if event is None:
            return None
        target, name = self.pick([(event, "header_withheld")] + [(part, "withheld") for part in event.part])
        target[name] = (target[name] + self.chance.randrange(1, 5)) % 6
        return True

    def links(self, evidence):
        return self.pick(evidence.confirm, lambda c: c.link)

    def alter_link(self, evidence, _):
        confirm = self.links(evidence)
        if confirm is None:
            return None
        link = self.pick(confirm.link)
        how = self.chance.randrange(4)
        if how == 0:
            link["event_hash"] = self.bit(link.event_hash)
        elif how == 1:
            link["ordinal"] += 1
        elif how == 2:
            confirm["running_before"] = self.bit(confirm.running_before)
        else:
            confirm.link.remove(link)
            if not confirm.link:
                confirm["running_before"] = b""
        return True

    def drop_links(self, evidence, _):
        """The first ones: true when the running hash moves on with them, as it does half of the time here."""
        confirm = self.links(evidence)
        if confirm is None:
            return None
        link = confirm.link.pop(0)
        if self.chance.random() < 0.5:
            confirm["running_before"] = second.sha256(b"casebus/v1/delivered\0", confirm.running_before,
                                                      link.position.to_bytes(8, "big") + link.ordinal.to_bytes(4, "big"), link.event_hash)
        if not confirm.link:
            confirm["running_before"] = b""
        return True

    def swap_batch_paths(self, evidence, _):
        a, b = self.two(evidence.event + evidence.outcome)
        if a is None:
            return None
        a["batch_path"], b["batch_path"] = b.batch_path, a.batch_path
        return True

    def alter_index(self, evidence, _):
        name = self.pick(self.claims(evidence))
        if name is None:
            return None
        claim = self.pick(evidence[name])
        refer = self.chance.choice({"event": ["leaf", "seal"], "outcome": ["seal", "index"], "confirm": ["leaf", "index"]}[name])
        claim[refer] = self.chance.choice([self.chance.randrange(len(evidence.leaf) + 2), 1 << 31])
        return True

    def repeat_leaf(self, evidence, _):
        evidence.leaf.insert(self.chance.randrange(len(evidence.leaf)), self.pick(evidence.leaf))
        return True

    def alter_note(self, evidence, _):
        note, how = evidence.checkpoint, self.chance.randrange(3)
        if how == 0:
            evidence["checkpoint"] = self.bit(note)
        elif how == 1:
            evidence["checkpoint"] = note + "\u2014 somebody.example AAAAAAAA\n".encode()  # a line of another's: fine
        else:
            evidence["checkpoint"] = note + note[note.rindex("\u2014".encode()):].replace(b"A", b"B")
        return True

    def foreign_claim(self, evidence, others):
        name = self.pick(self.claims(others))
        if name is None:
            return None
        evidence[name] = sorted(evidence[name] + [self.pick(others[name])],
                                key=lambda claim: [claim[k] for k in ("leaf", "seal", "index") if k in claim])
        return True

    def uncanonical(self, evidence, _):
        """The same message, written in another way."""
        message = second.write(second.EVIDENCE, evidence)
        return self.chance.choice([
            message + second.write_varint(99 << 3) + b"\1",            # a field that nobody knows
            message + b"\x08\x01",                                     # a field once more
            message[2:] + message[:2],                                 # the first field last
            b"\x08\x81\x00" + message[2:],                             # a longer number
            message + second.write_varint(8 << 3 | 2) + b"\0",         # a reserved field, empty
        ])


class FilesOfManyShapes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="evidence-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)
        environment = {**harness.ENVIRONMENT, **({"TMPDIR": MEMORY} if os.access(MEMORY, os.W_OK) else {})}
        done = subprocess.run([str(harness.HELPERS / "make_evidence"), str(cls.dir)], capture_output=True, timeout=harness.PATIENCE_S,
                              env=environment)
        if done.returncode != 0:
            raise AssertionError(f"make_evidence: {done.returncode} {(done.stdout + done.stderr).decode(errors='replace')[-4000:]}")
        cls.shapes = [Shape(cls.dir, row) for row in json.loads((cls.dir / "index.json").read_text())]
        cls.many = {language: Many(cls.dir, language) for language in ("en", "zh")}
        for many in cls.many.values():
            cls.addClassCleanup(many.close)

    @classmethod
    def first(cls, *what):
        """As first_verify."""
        code, said = cls.many["en"].run("verify", "--json", *verify_words(*what))
        return code, json.loads(said)

    @classmethod
    @functools.cache
    def answers(cls, shape):
        """Of both verifiers; each is asked once."""
        return cls.first(*shape.what), second_here(*shape.what)

    def test_both_say_what_the_maker_knows(self):
        for shape in self.shapes:
            with self.subTest(shape.name):
                (code, answer), (other_code, other) = self.answers(shape)
                self.assertEqual(code, 0 if shape.proved else 1, answer)
                self.assertEqual(other_code, code, other)
                self.assertEqual(other["verdict"], answer["verdict"])
                self.assertEqual(other["facts"], answer["facts"])
                self.assertEqual(other["not_proved"], answer["not_proved"])

    def test_what_does_not_hold_is_named(self):
        """Both find the same thing wrong, in the lies that a ledger can tell."""
        for shape in self.shapes:
            if shape.proved:
                continue
            with self.subTest(shape.name):
                (_, answer), (_, other) = self.answers(shape)
                self.assertEqual(answer["code"], other["code"], (answer, other))
                if shape.code:
                    self.assertEqual(answer["code"], shape.code, answer)

    def test_all_shapes_are_there(self):
        found, gaps = set(), set()
        for shape in self.shapes:
            if shape.proved:
                found |= {fact["fact"] for fact in self.answers(shape)[0][1]["facts"]}
                gaps |= {gap["gap"] for gap in self.answers(shape)[0][1]["not_proved"]}
        self.assertEqual(gaps, {"unwitnessed", "complete", "true", "key_before", "vouched", "key_period", "header", "part", "receipt",
                                "exact_receipt"})
        self.assertEqual(found, {"checkpoint", "cosigned", "opened", "taken_over", "enrolled", "sealed", "event", "receiver", "header", "part", "outcome",
                                 "act", "erasure", "confirmed", "received", "confirmed_at_or_behind"})

    def words(self, shape, language):
        return self.many[language].run("verify", *verify_words(shape.path, shape.trust))[1]

    def test_every_fact_and_every_gap_is_said_in_both_languages(self):
        for shape in self.shapes:
            with self.subTest(shape.name):
                code, answer = self.first(shape.path, shape.trust)
                told = {language: self.words(shape, language).splitlines() for language in ("en", "zh")}
                self.assertEqual(len(told["en"]), len(told["zh"]))
                for line in told["zh"]:
                    self.assertRegex(line, "[\u4e00-\u9fff]", "not in Chinese")
                if code == 0:
                    exact = {(f["node"], f["position"], f["ordinal"]) for f in answer["facts"] if f["fact"] == "received"}
                    weaker = [f for f in answer["facts"] if f["fact"] == "confirmed_at_or_behind" and
                              (f["node"], f["position"], f["ordinal"]) in exact]  # said by the stronger one already
                    self.assertEqual(len(told["en"]), 2 + len(answer["facts"]) - len(weaker) + sentences(answer["not_proved"]))
                    self.assertEqual((told["en"][0], told["zh"][0]), ("PROVED", "得到证明"))
                else:
                    self.assertEqual((told["en"][0], told["zh"][0]), ("NOT PROVED", "未得到证明"))

    def test_nothing_that_steers_a_terminal_comes_out_of_a_file(self):
        """Neither in words nor in JSON; the readers of JSON get every character all the same."""
        shapes = [shape for shape in self.shapes if shape.ledger == "words-steer-a-terminal"]
        self.assertEqual(len(shapes), 2)
        for shape in shapes:
            words = verify_words(*shape.what)
            for said in (*(self.words(shape, language) for language in ("en", "zh")), self.many["en"].run("verify", "--json", *words)[1],
                         subprocess.run([sys.executable, "-B", str(HERE / "verify_evidence.py"), *words], capture_output=True,
                                        timeout=harness.PATIENCE_S).stdout.decode()):
                self.assertIsNone(STEERING.search(said), repr(said))
        texts = [bytes.fromhex(fact["header"]).decode(errors="replace")
                 for fact in self.answers(shapes[0])[0][1]["facts"] if fact["fact"] == "header"]
        self.assertTrue(any("\u202e" in text for text in texts))
        codes = {fact["code"] for fact in self.answers(shapes[0])[0][1]["facts"] if fact["fact"] == "outcome"}
        self.assertTrue(any(code and STEERING.search(code) for code in codes), codes)

    def test_words_tell_what_was_received_and_what_was_not(self):
        shape = next(shape for shape in self.shapes if shape.name == "honest/case.evidence")
        said = self.words(shape, "en")
        self.assertIn("Node 'office' signed that it received event 6: it is inside of what the node signed in entry 9.", said)
        self.assertIn("That node 'office' received event 15: the file shows no confirmation.", said)
        self.assertIn("What part 0 (identity) of event 6 says; it was not asked for.", said)
        said = self.words(shape, "zh")
        self.assertIn("节点“office”签名确认收到事件 6：该投递包含在它于条目 9 中所签的内容之内。", said)
        self.assertIn("未证明：节点“office”收到了事件 15：文件中没有其签收。", said)

    def test_many_gaps_of_one_kind_are_one_sentence(self):
        many = [(shape, [gap["position"] for gap in self.first(shape.path, shape.trust)[1]["not_proved"]
                         if gap["gap"] == "receipt" and gap["node"] == "office"]) for shape in self.shapes]
        shape, positions = max(many, key=lambda pair: len(set(pair[1])))
        self.assertGreater(len(set(positions)), 1)
        lines = [line for line in self.words(shape, "en").splitlines() if "node 'office' received" in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(f"received {len(set(positions))} events ({positions[0]}", lines[0])

    def test_a_file_that_broke_off_is_told_as_one(self):
        shape = next(shape for shape in self.shapes if shape.name == "honest/case.evidence")
        whole, cut = shape.path.read_bytes(), self.dir / "cut.evidence"
        for size in (0, 5, len(whole) // 2, len(whole) - 1):
            cut.write_bytes(whole[:size])
            done = subprocess.run([CASEBUS, "verify", str(cut), "--trust", shape.trust], capture_output=True, env=harness.ENVIRONMENT,
                                  timeout=harness.PATIENCE_S)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"a copy does that broke off", done.stdout, size)
        cut.write_bytes(b"something else")
        done = subprocess.run([CASEBUS, "verify", str(cut), "--trust", shape.trust], capture_output=True, env=harness.ENVIRONMENT,
                              timeout=harness.PATIENCE_S)
        self.assertNotIn(b"broke off", done.stdout)

    def test_a_command_line_that_makes_no_sense_ends_with_2(self):
        shape = self.shapes[0]
        missing = self.dir / "missing"
        for words in ([str(shape.path)], ["--trust", shape.trust], [str(missing), "--trust", shape.trust],
                      [str(shape.path), "--trust", str(missing)], [str(shape.path), "--trust", shape.trust.split(",")[0] + ",nokey"],
                      [str(shape.path), "--trust", shape.trust, "--quorum", "1"],
                      [str(shape.path), "--trust", shape.trust, "--witness", str(shape.path.parent / "log.vkey")]):
            for program in ([CASEBUS, "verify"], [sys.executable, "-B", str(HERE / "verify_evidence.py")]):
                done = subprocess.run([*program, *words], capture_output=True, env=harness.ENVIRONMENT, timeout=harness.PATIENCE_S)
                self.assertEqual(done.returncode, 2, (program, words, done.stderr))

    def test_a_key_may_be_given_itself_or_in_a_file(self):
        shape = self.shapes[0]
        authority, key = shape.trust.split(",")
        for word in (key, "@" + key, pathlib.Path(key).read_text().strip()):
            for verify in (first_verify, second_verify):
                self.assertEqual(verify(shape.path, f"{authority},{word}")[0], 0)

    def test_the_enrolment_of_a_node_is_trust_enough(self):
        shape = self.shapes[0]
        authority, key = (pathlib.Path(name).read_text() for name in shape.trust.split(","))
        enrolment, bad = self.dir / "enrolment.json", self.dir / "bad.json"
        good = {"format": 1, "origin": "any", "authority": authority, "log_key": key.strip(), "certificate": "the node's own"}
        enrolment.write_text(json.dumps(good))
        for verify in (first_verify, second_verify):
            self.assertEqual(verify(shape.path, str(enrolment))[0], 0)
        for wrong in ("{", "[]", "{}", json.dumps({**good, "authority": "none"}), json.dumps({**good, "log_key": ""}),
                      json.dumps({**good, "log_key": None}), json.dumps({**good, "log_key": "a+b"})):
            bad.write_text(wrong)
            for program in ([CASEBUS, "verify"], [sys.executable, "-B", str(HERE / "verify_evidence.py")]):
                done = subprocess.run([*program, str(shape.path), "--trust", str(bad)], capture_output=True, env=harness.ENVIRONMENT,
                                      timeout=harness.PATIENCE_S)
                self.assertEqual(done.returncode, 2, (program, wrong, done.stderr))

    def test_nothing_is_proved_to_who_trusts_another(self):
        honest = next(shape for shape in self.shapes if shape.name == "honest/case.evidence")
        other = next(shape for shape in self.shapes if shape.ledger == "truth")
        for trust in (other.trust, honest.trust.split(",")[0] + "," + other.trust.split(",")[1],
                      other.trust.split(",")[0] + "," + honest.trust.split(",")[1]):
            self.assertEqual((self.first(honest.path, trust)[0], second_here(honest.path, trust)[0]), (1, 1))

    def test_a_key_that_is_given_for_a_later_generation_counts_from_there(self):
        shape = next(shape for shape in self.shapes if shape.ledger == "key-is-taken-over-twice")
        stranger = next(shape for shape in self.shapes if shape.ledger == "truth")
        authority, key = (pathlib.Path(word) for word in shape.trust.split(","))
        ours, theirs = (second.NoteKey(pathlib.Path(path).read_text().strip(), second.LOG_TYPES)
                        for path in (key, stranger.trust.split(",")[1]))

        def named(log, number):
            return second.renamed(log, f"js.example/exchange/{number}").text

        for keys, expected in (([named(ours, 1), named(theirs, 2)], 1), ([named(theirs, 2), named(ours, 1)], 1),
                               ([named(theirs, 1), named(ours, 2)], 0), ([named(theirs, 1), named(ours, 3)], 0),
                               ([named(theirs, 4), named(ours, 1)], 0), ([named(ours, 1), named(theirs, 1)], 0),
                               ([named(theirs, 1), named(ours, 1)], 1), ([named(ours, 1), named(theirs, 3)], 1)):
            with self.subTest(keys):
                words = [str(shape.path), *(word for vkey in keys for word in ("--trust", f"{authority},{vkey}"))]
                code, said = self.many["en"].run("verify", "--json", *words)
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    other_code = second.main(words)
                self.assertEqual((code, other_code), (expected, expected), said)
                self.assertEqual(json.loads(said)["facts"], json.loads(out.getvalue())["facts"])

    def test_both_agree_on_every_forgery_and_none_proves_what_is_not_so(self):
        chance = random.Random(harness.SEED)
        forger = Forger(chance)
        good = [shape for shape in self.shapes if shape.proved and shape.ledger in ("honest", "truth", "witnessed", "generation-goes-on", "key-is-taken-over",
                                                                                    "key-changes-with-its-word", "content-is-destroyed")]
        rich = [shape for shape in good if shape.path.name in ("case-open.evidence", "other-case.evidence", "member-1.evidence")]
        true = {}
        for shape in good:
            true.setdefault(shape.ledger, set()).update(as_set(self.first(shape.path, shape.trust)[1]["facts"]))
        keys = {shape.ledger: second.trust_load([shape.trust]) for shape in good}
        done, proved, kinds = 0, 0, set()
        path = self.dir / "forged.evidence"
        for how in forger.kinds():
            if done >= FORGED:
                break
            for _ in range(100):
                shape, other = chance.sample(chance.choice([good, rich]), 2)
                data = forger.forge(how, shape.path.read_bytes(), other.path.read_bytes())
                if data is not None:
                    break
            name = how.__name__
            self.assertIsNotNone(data, f"no file for {name}, CASEBUS_SEED={harness.SEED}")
            path.write_bytes(data)
            code, answer = self.first(path, shape.trust)
            try:
                (facts, gaps), other_code = second.verify(data, *keys[shape.ledger]), 0
            except second.NotProved:
                facts, gaps, other_code = [], [], 1
            said = f"{name} of {shape.name} with {other.name}, CASEBUS_SEED={harness.SEED}: {answer}"
            if (code, answer["facts"], answer["not_proved"]) != (other_code, facts, gaps):
                kept = pathlib.Path(tempfile.gettempdir()) / f"disagree-{harness.SEED}.evidence"
                kept.write_bytes(data)
                self.fail(f"{said}\nthe other one: {other_code} {facts}\n{kept}")
            self.assertLessEqual(as_set(answer["facts"]), true[shape.ledger], said)
            done += 1
            proved += code == 0
            kinds.add(name)
        print(f"{done} forgeries of {len(kinds)} kinds; {proved} of them still proved something, and only what is so", flush=True)
        self.assertLess(proved, done / 3)


class RealHub(unittest.TestCase):
    """Adapters, hubs, their command."""

    @staticmethod
    def vkey(hub):
        """Of the log, as its newest generation names it."""
        opened = [entry for entry in hub.ask("ledger", "dump") if entry["type"] == "ledger_opened"]
        return opened[-1]["act"]["ledger_opened"]["log_key"]

    def trust(self, hub):
        return f"{hub.dir / 'keys' / 'authority.pem'},{self.vkey(hub)}"

    def prove(self, *words, hub=None, witnesses=()):
        hub = hub or self.hub
        path = self.world.path / "one.evidence"
        done = hub.casebus("prove", *words, "-o", path)
        self.assertEqual(done.code, 0, done.said)
        code, answer = first_verify(path, self.trust(hub), witnesses)
        other_code, other = second_verify(path, self.trust(hub), witnesses)
        self.assertEqual((code, other_code), (0, 0), (answer, other))
        self.assertEqual((answer["facts"], answer["not_proved"]), (other["facts"], other["not_proved"]))
        return answer

    def facts(self, answer, name):
        return [fact for fact in answer["facts"] if fact["fact"] == name]


class FilesOfARealHub(RealHub):
    @classmethod
    def setUpClass(cls):
        world = cls.world = harness.World(cls)
        hub = cls.hub = world.hub().start()
        cls.supervisor = world.office(hub, "supervisor", receive=True)
        office, desk = world.office(hub, "office", publish=True), world.office(hub, "desk", publish=True)
        office.write_rows([(f"case-{i % 7}", i, "apply") for i in range(1, 400)]).publish()
        desk.write_rows([(f"case-{i % 7}", i, "accept") for i in range(1, 30)]).publish()
        cls.supervisor.launch()
        cls.supervisor.wait_received(399 + 29)
        harness.wait_until("what was received is confirmed in the ledger", cls.confirmed)
        cls.supervisor.process.stop()
        cls.events = hub.events()

    @classmethod
    def confirmed(cls):
        node = cls.hub.ask("node", "show", "supervisor")
        return node["deliveries_decided"] == 399 + 29 and node["confirmed_position"] == node["last_delivery_position"]

    def of_case(self, number):
        return [event for event in self.events if event["header"]["case_number"] == number]

    def test_a_case_is_proved_with_what_was_received(self):
        answer = self.prove("--case", "case-3", "--open", "form")
        events = self.facts(answer, "event")
        self.assertEqual([event["event_hash"] for event in events], [event["event_id"] for event in self.of_case("case-3")])
        self.assertEqual({fact["position"] for fact in self.facts(answer, "received")}, {event["position"] for event in events})
        self.assertEqual(len(self.facts(answer, "part")), len(events))
        self.assertEqual(self.facts(answer, "enrolled")[0]["node"], "supervisor")

    def test_every_kind_of_entry_is_proved(self):
        kinds = {}
        for entry in self.hub.ask("ledger", "dump"):
            kinds.setdefault(entry["type"], entry["position"])
        self.assertLessEqual({"event", "seal", "ledger_opened", "node_enrolled", "deliveries_confirmed"}, set(kinds))
        for position in kinds.values():
            self.prove("--position", str(position))

    def test_what_was_refused_is_proved_with_what_is_kept_of_it(self):
        late = self.world.office(self.hub, "late", publish=True)
        late.rows_path.write_text(f"case,seq,time,kind,note\ncase-99,1,{datetime.date.today().year + 2}-01-01T08:00:00+08:00,apply,-\n")
        self.assertEqual(late.publish("--from-start", expect=1)["refused"], 1)
        seals = [entry["seal"]["statement"] for entry in self.hub.ask("ledger", "dump") if entry["type"] == "seal"]
        stream, = (seal["stream"] for seal in seals if seal["node"] == "late")
        answer = self.prove("--event", f"late:{stream}:1")
        self.assertEqual([fact["code"] for fact in self.facts(answer, "outcome")], ["CB-FUTURE"])
        self.assertEqual([fact["act"] for fact in self.facts(answer, "act")], ["quarantined"])

    def test_sealed_evidence_shows_nothing_that_was_said(self):
        answer = self.prove("--case", "case-3", "--sealed")
        self.assertEqual(self.facts(answer, "header"), [])
        self.assertNotIn(b"case-3", (self.world.path / "one.evidence").read_bytes())

    def test_the_openssl_command_says_the_same_of_hashes_and_signatures(self):
        """Each signature and each hash of a file, with a signature spoilt to show that it does not nod at everything."""
        answer = self.prove("--case", "case-3")
        openssl = OpenSSL(self.world.path / "openssl")
        evidence = second.evidence_read((self.world.path / "one.evidence").read_bytes())
        log = second.NoteKey(self.vkey(self.hub), second.LOG_TYPES)
        note = second.Note(evidence.checkpoint)
        signature, = note.signatures_by(log)
        self.assertTrue(openssl.signed(log.key, signature, note.text))
        self.assertFalse(openssl.signed(log.key, signature, note.text + b"\n"))
        keys, authority = {}, None
        for leaf in evidence.leaf:
            entry = second.entry_read(leaf.entry)
            act = entry.act
            if act is not None and act.ledger_opened is not None:
                authority = act.ledger_opened.authority
            elif act is not None and act.node_enrolled is not None:
                enrolled = act.node_enrolled
                said = second.enrolment_read(enrolled.statement)
                keys[said.node] = said.public_key
                self.assertTrue(openssl.certified(authority, enrolled.certificate, entry.hub_time_us // 10**6 + 60))
                self.assertTrue(openssl.signed(said.public_key, enrolled.signature, enrolled.statement))
            elif entry.seal is not None:
                said = second.batch_read(entry.seal.statement)
                self.assertTrue(openssl.signed(keys[said.node], entry.seal.signature, entry.seal.statement))
            elif act is not None and act.deliveries_confirmed is not None:
                for confirm in act.deliveries_confirmed.confirm:
                    node = second.confirm_read(confirm.statement).node
                    if node in keys:
                        self.assertTrue(openssl.signed(keys[node], confirm.signature, confirm.statement))
        self.assertLessEqual({"office", "supervisor"}, set(keys))
        for claim in evidence.event[:20]:
            event = second.entry_read(evidence.leaf[claim.leaf].entry).event
            self.assertEqual(openssl.hash(evidence.suite, b"casebus/v1/event\0" + claim.header), event.event_hash)
        leaf = evidence.leaf[-1]
        root = openssl.hash(evidence.suite, b"\0" + leaf.entry)
        self.assertTrue(second.inclusion(lambda *parts: openssl.hash(evidence.suite, b"".join(parts)), leaf.position, note.size, root,
                                         leaf.inclusion, note.root))
        self.assertEqual(answer["facts"][0]["root"], note.root.hex())

    def test_a_stopped_hub_proves_the_same(self):
        running = self.prove("--event", "10")
        self.hub.stop()
        try:
            stopped = self.prove("--event", "10")
        finally:
            self.hub.start()
        self.assertEqual(self.facts(running, "event"), self.facts(stopped, "event"))

    def test_what_was_destroyed_cannot_be_shown_but_its_order_can(self):
        """A file that was made before stays proved; one that is made behind it shows less, and why."""
        position = str(self.of_case("case-5")[0]["position"])
        before = self.prove("--event", position, "--open", "form")
        kept = self.world.path / "kept.evidence"
        (self.world.path / "one.evidence").rename(kept)
        self.assertEqual(len(self.facts(before, "part")), 1)
        done = self.hub.casebus("erase", "--case", "case-5", "--order", "court 2026-11", "--yes")
        self.assertEqual(done.code, 0, done.said)
        after = harness.wait_until("it is destroyed and told so", lambda: self.erased(position))
        self.assertEqual(self.facts(after, "header") + self.facts(after, "part"), [])
        self.assertEqual({f["act"] for f in self.facts(after, "act")}, {"deliveries_confirmed", "erasure_ordered", "erasure_done"})
        self.assertTrue(self.facts(after, "erasure")[0]["header"])
        self.assertEqual(len(self.facts(after, "received")), 1)
        self.assertIn({"gap": "header", "position": int(position), "withheld": "erased"}, after["not_proved"])
        for verify in (first_verify, second_verify):
            code, answer = verify(kept, self.trust(self.hub))
            self.assertEqual((code, answer["facts"]), (0, before["facts"]))

    def erased(self, position):
        answer = self.prove("--event", position, "--open", "form")
        return answer if any(fact.get("act") == "erasure_done" for fact in answer["facts"]) else None


class FilesOfARestoredHub(RealHub):
    def test_both_generations_are_proved_by_the_checkpoint_of_the_newer_one(self):
        world = self.world = harness.World(self)
        hub = world.hub().start()
        office = world.office(hub, "office", publish=True)
        office.write_rows([("case-1", i, "step") for i in range(1, 20)]).publish()
        hub.settle()
        done = world.run("casebus-hub", "backup", hub.dir, world.path / "copy")
        self.assertEqual(done.code, 0, done.said)
        hub.stop()
        new = world.hub("restored")
        done = world.run("casebus-hub", "restore", world.path / "copy", new.dir, "--keys", hub.dir / "keys", "--checkpoint",
                         office.dir / "checkpoint")
        self.assertEqual(done.code, 0, done.said)
        new.start()
        fresh = world.office(new, "fresh", publish=True)
        fresh.write_rows([("case-1", i, "accept") for i in range(1, 4)]).publish()
        new.settle()
        answer = self.prove("--case", "case-1", hub=new)
        self.assertEqual([fact["origin"] for fact in self.facts(answer, "opened")], ["e2e.example/exchange/1", "e2e.example/exchange/2"])
        self.assertEqual(self.facts(answer, "checkpoint")[0]["origin"], "e2e.example/exchange/2")
        self.assertEqual({fact["node"] for fact in self.facts(answer, "event")}, {"office", "fresh"})
        self.assertEqual(len(self.facts(answer, "header")), 22)
        for enrolment, former in ((office.dir / "enrolment.json", True), (fresh.dir / "enrolment.json", False)):
            code, told = first_verify(world.path / "one.evidence", enrolment)
            self.assertEqual((code, told), second_verify(world.path / "one.evidence", enrolment))
            taken = [{"fact": "taken_over", "position": self.facts(answer, "opened")[1]["position"], "origin": "e2e.example/exchange/2",
                      "former": "e2e.example/exchange/1"}] if former else []
            self.assertEqual((code, self.facts(told, "taken_over")), (0, taken), told)


class FilesOfAWitnessedHub(RealHub):
    def test_a_file_carries_the_word_of_the_witness(self):
        world = self.world = harness.World(self)
        third, hub = world.hub("third").init(), world.hub().init()
        third.port = world.free_port()
        third.set("monitor", f"127.0.0.1:{third.port}")
        third.start()
        witness = third.ask("witness", "show")["vkey"]
        hub.start()
        office = world.office(hub, "office", publish=True)
        log = self.vkey(hub)
        hub.stop()
        (third.dir / "witness.logs").write_text(f"{log}\n")
        (hub.dir / "witness.policy").write_text(f"log {log}\nwitness third {witness} http://127.0.0.1:{third.port}\nquorum third\n")
        hub.start()
        office.write_rows([("case-1", i, "step") for i in range(1, 9)]).publish()
        hub.settle()
        size = hub.ask("status")["ledger_size"]
        harness.wait_until("it is cosigned", lambda: hub.ask("witness", "show")["cosigned_size"] >= size)
        answer = self.prove("--case", "case-1", hub=hub, witnesses=[witness])
        self.assertEqual([fact["witness"] for fact in self.facts(answer, "cosigned")], [witness.split("+")[0]])
        self.assertNotIn({"gap": "unwitnessed"}, answer["not_proved"])


if __name__ == "__main__":
    harness.main()
