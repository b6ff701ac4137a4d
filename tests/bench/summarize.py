#!/usr/bin/env python3
"""Prints medians (min-max) of a results file of run.sh as Markdown, and each figure of casebus as a ratio of its peers'."""
import json
import statistics
import sys

FIGURES = [
    ("pub", "published_s", "published events/s"),
    ("e2e", "delivered_s", "delivered and acknowledged events/s"),
    ("e2e", "server_cpu_us_per_event", "server CPU, µs an event"),
    ("e2e", "client_cpu_us_per_event", "clients' CPU, µs an event"),
    ("e2e", "server_anon_mb", "server anonymous memory, MB"),
    ("lat1", "ack_p50_us", "window 1: acknowledged, p50 µs"),
    ("lat1", "ack_p99_us", "window 1: acknowledged, p99 µs"),
    ("lat1", "e2e_p50_us", "window 1: delivered, p50 µs"),
    ("rate5k", "ack_p50_us", "5,000/s: acknowledged, p50 µs"),
    ("rate5k", "ack_p99_us", "5,000/s: acknowledged, p99 µs"),
    ("rate5k", "e2e_p99_us", "5,000/s: delivered, p99 µs"),
    ("restart", "ready_s", "ready after KILL with 1M events, s"),
]


def shown(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 1 else f"{value:.2f}"


def main(path):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    peers = list(dict.fromkeys(row["peer"] for row in rows))
    others = [peer for peer in peers if peer != "casebus"]
    print("| figure | " + " | ".join(peers) + "".join(f" | casebus / {p}" for p in others if "casebus" in peers) + " |")
    print("|" + "---|" * (1 + len(peers) + (len(others) if "casebus" in peers else 0)))
    for mode, key, title in FIGURES:
        found = {p: [row[key] for row in rows if row["peer"] == p and row["mode"] == mode and key in row] for p in peers}
        if not any(found.values()):
            continue
        medians = {p: statistics.median(v) for p, v in found.items() if v}
        cells = [f"{shown(medians[p])} ({shown(min(v))}–{shown(max(v))})" if (v := found[p]) else "–" for p in peers]
        ratios = [f"{medians['casebus'] / medians[p]:.2f}" if "casebus" in medians and medians.get(p) else "–" for p in others]
        print(f"| {title} | " + " | ".join(cells + (ratios if "casebus" in peers else [])) + " |")


if __name__ == "__main__":
    main(sys.argv[1])
