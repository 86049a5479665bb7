#!/bin/sh
# The table by qsv: every column's statistics and its most frequent values; no rows are written. INPUTS OUTPUT PROGRAM
set -eu
# It keeps an index and what it found out beside the table, and would use them again: here they are gone with the output.
ln "$1/table.csv" "$2/table.csv" 2>/dev/null || cp "$1/table.csv" "$2/table.csv"
cd "$2"
{
  "$3" index table.csv
  "$3" stats --everything --infer-dates --dates-whitelist day --infer-boolean --output statistics.csv table.csv
  "$3" frequency --limit 10 --output frequent.csv table.csv
} >/dev/null
printf '{"package": "%s"}\n' "$("$3" --version | sed -n 's/^qsv[a-z]* \([0-9.]*\).*/qsv \1/p')"
