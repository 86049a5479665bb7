"""The table: reads the lines that the programs printed, prints Markdown and JSON.

A system and scenario that was run several times is the run in the middle, by its rate or (pickup) by its median.
"""

import json
import sys

SCENARIOS = ["submit", "batch", "drain", "sustained", "pickup"]
COLUMNS = ["scenario", "system", "tasks", "tasks/s", "p50 ms", "p99 ms", "durable", "finished tasks", "store"]


def main():
    results, machine, json_file = sys.argv[1:4]
    with open(results) as file:
        rows = middle([json.loads(line) for line in file])
    print(f"{machine}\n")
    line(COLUMNS)
    line(["---", "---", "--:", "--:", "--:", "--:", "---", "---", "---"])
    for row in rows:
        line(cells(row))
    print()
    for system, row in sorted({row["system"]: row for row in rows if "version" in row}.items()):
        print(f"- {system}: {row['package']} {row['version']}; {row['settings']}")
    report = json.dumps({"machine": machine, "results": rows}, indent=2)
    if json_file:
        with open(json_file, "w") as file:
            file.write(report + "\n")
    else:
        print(f"\n```json\n{report}\n```")


def middle(rows):
    """One row for each system and scenario, in the order of SCENARIOS, the fastest first."""
    runs = {}
    for row in rows:
        runs.setdefault((row["scenario"], row["system"]), []).append(row)
    chosen = []
    for of_one in runs.values():
        measured = sorted((row for row in of_one if "failed" not in row), key=slowness)
        row = measured[len(measured) // 2] if measured else of_one[-1]
        chosen.append(row | {"runs": len(measured), "failures": len(of_one) - len(measured)})
    return sorted(chosen, key=lambda row: (SCENARIOS.index(row["scenario"]), "failed" in row, slowness(row)))


def slowness(row):
    if "failed" in row:
        return 0
    return row["p50_ms"] if row["scenario"] == "pickup" else row["seconds"] / row["tasks"]


def cells(row):
    known = [row.get(name, "") for name in ("durable", "history", "store")]
    if "failed" in row:
        return [row["scenario"], row["system"], "", row["failed"], "", "", *known]
    # The rate of pickup is that of its pauses.
    rate = "" if row["scenario"] == "pickup" else f"{row['tasks'] / row['seconds']:,.0f}"
    times = [f"{row[name]:.2f}" if name in row else "" for name in ("p50_ms", "p99_ms")]
    return [row["scenario"], row["system"], f"{row['tasks']:,}", rate, *times, *known]


def line(cells):
    print("| " + " | ".join(cells) + " |")


main()
