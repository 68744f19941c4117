#!/usr/bin/env python3
"""Reads a Maildir of TLS reports with nothing but Python's own library, and adds them up.

Shares no code with the package: the tests compare what both find.
"""
import email
import gzip
import json
import pathlib
import sys
from collections import defaultdict


def reports(folder):
    for path in sorted(pathlib.Path(folder).glob("*/*")):
        message = email.message_from_bytes(path.read_bytes())
        for part in message.walk():
            if part.get_content_type() == "application/tlsrpt+gzip":
                yield json.loads(gzip.decompress(part.get_payload(decode=True)))


totals = defaultdict(
    lambda: {"sessions": 0, "failed": 0, "days": set(), "senders": set(), "failures": defaultdict(int)}
)
count = 0
for report in reports(sys.argv[1]):
    count += 1
    day = report["date-range"]["start-datetime"][:10]
    for item in report["policies"]:
        policy = item["policy"]
        total = totals[policy["policy-domain"] + " " + policy["policy-type"]]
        summary = item["summary"]
        failed = summary["total-failure-session-count"]
        total["sessions"] += summary["total-successful-session-count"] + failed
        total["failed"] += failed
        total["days"].add(day)
        total["senders"].add(report["organization-name"])
        for failure in item.get("failure-details", []):
            key = failure["result-type"] + " " + failure.get("receiving-mx-hostname", "-")
            total["failures"][key] += failure["failed-session-count"]

json.dump(
    {
        "reports": count,
        "totals": {
            key: {**total, "days": len(total["days"]), "senders": len(total["senders"])}
            for key, total in totals.items()
        },
    },
    sys.stdout,
)
