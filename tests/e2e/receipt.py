"""The main job on the receipt log: ten offices publish their own rows, a supervising office receives all.

What must come out is read from the CSV here, by code that shares nothing with casebus.
"""
import collections
import csv
import datetime
import gzip
import re

from harness import REPO

LOG = REPO / "tests/data/logs/receipt.events.csv.gz"
MAP = REPO / "tests/data/logs/receipt_activity_map.csv"  # our own reading of the activities, made before there was a program
MAPPING = REPO / "deploy/receipt/adapter.yaml"
GROUP = "source.filter.org_group"
SUPERVISOR = "supervisor"
EMPTY = {"EMPTY", "UNKNOWN", "NIL", ""}
FROM_HUB = ("origin", "position", "ordinal", "hub_time", "number", "case_id", "event_id")  # differ from run to run

# How the words of that reading became kinds of events.
KINDS = {"apply": "apply", "accept": "accept", "finish_not_required": "finish", "special_begin": "special_begin",
         "deliver": "deliver"}


def rows_read(path=LOG):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def office_of(group):
    return "unassigned" if group == "EMPTY" else re.sub(r"[^a-z0-9]+", "-", group.lower())


def by_office(rows):
    offices = collections.defaultdict(list)
    for row in rows:
        offices[office_of(row["org_group"])].append(row)
    return offices


def instant(text):
    return datetime.datetime.fromisoformat(text)


def kinds_read():
    with open(MAP, encoding="utf-8", newline="") as file:
        return {row["activity"]: (KINDS.get(row["record_kind"], "step"), row["record_kind"], row["record_zh"])
                for row in csv.DictReader(file)}


def expected_line(row, kinds):
    """What a receiver has to see of a row."""
    kind, action, step = kinds[row["activity"]]
    line = {"node": office_of(row["org_group"]), "record_namespace": "nl.coselog.receipt/events",
            "record_id": f"{row['case_id']}#{row['seq']}", "operation": "put", "kind": kind,
            "case_number": row["case_id"], "channel": "other", "occurred_at": instant(row["time_timestamp"]),
            "backfill": "true", "source_code": row["activity"]}
    if row["org_group"] not in EMPTY:
        line["handler"] = row["org_group"]
    for column in ("org_resource", "lifecycle_transition", "concept_instance"):
        if row[column] not in EMPTY:
            line[f"form.{column}"] = row[column]
    if kind == "step":
        line["step.step"] = step
        line["step.action"] = action
    return line


def received_line(line):
    """The same of what was received: without what the hub adds, the time as an instant."""
    line = {name: value for name, value in line.items() if name not in FROM_HUB}
    line["occurred_at"] = instant(line["occurred_at"])
    return line


def identity(line):
    """(record, revision, operation, plaintext) as one comparable value."""
    return tuple(sorted((name, str(value)) for name, value in line.items() if name not in FROM_HUB))


def event_identity(event):
    """The same of an event as the hub shows it."""
    header = event["header"]
    parts = tuple((part["kind"], str(part.get("content"))) for part in event.get("parts", []))
    return event["node"], str(sorted((name, str(value)) for name, value in header.items())), parts


class Job:
    """The offices and their adapters. Each office may have a file of its own, of the rows that exist so far."""

    def __init__(self, world, hub, rows=None):
        self.world = world
        self.hub = hub
        self.rows = rows or rows_read()
        self.groups = {office_of(row["org_group"]): row["org_group"] for row in self.rows}
        self.supervisor = world.office(hub, SUPERVISOR, receive=True)
        self.offices = [world.office(hub, name, publish=True) for name in sorted(self.groups)]
        for office in self.offices:
            office.config = MAPPING
            office.settings = ["--backfill", "--set", f"node={office.dir}",
                               "--set", f"{GROUP}={self.groups[office.name]}"]

    def own_file(self, office):
        """From now on the office reads its own file."""
        office.settings += ["--set", f"source.file={office.rows_path}"]

    def write(self, office, rows):
        """At once: an adapter may be about to open it."""
        new = office.rows_path.with_suffix(".new")
        with open(new, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        new.rename(office.rows_path)

    def run(self):
        """All of it, undisturbed."""
        self.supervisor.launch()
        for office in self.offices:
            office.launch("--once")
        results = {}
        for office in self.offices:
            results[office.name] = office.finish()
            if results[office.name]["code"] != 0:
                raise AssertionError(f"{office.name}: {office.process.log()[-3000:]}")
        self.supervisor.wait_received(len(self.rows))
        return results
