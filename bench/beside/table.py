"""The table, in Markdown: of several runs the one in the middle, by processor time."""

import json
import sys

COLUMNS = ["what", "by", "seconds", "CPU seconds", "memory, MB", ""]


def main():
    runs = {}
    with open(sys.argv[1]) as file:
        for line in file:
            row = json.loads(line)
            runs.setdefault((row["kind"], row["system"]), []).append(row)
    print("\n| " + " | ".join(COLUMNS) + " |\n|---|---|--:|--:|--:|---|")
    for (kind, system), rows in runs.items():
        measured = sorted((row for row in rows if "failed" not in row), key=lambda row: row["cpu_seconds"])
        if not measured:
            print(f"| {kind} | {system} | | | | {rows[-1]['failed']} |")
            continue
        row = measured[len(measured) // 2]
        spread = f"{measured[0]['cpu_seconds']:.2f} to {measured[-1]['cpu_seconds']:.2f}"
        cpu = spread if len(measured) > 1 else f"{row['cpu_seconds']:.2f}"
        print(f"| {kind} | {system} | {row['seconds']:.2f} | {cpu} | {row['peak_mb']} | {row.get('package', '')} |")


main()
