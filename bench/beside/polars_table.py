"""The table by polars: every column's statistics, and the rows written again. polars_table.py INPUTS OUTPUT"""

import json
import sys

import polars

table = polars.read_csv(f"{sys.argv[1]}/table.csv", try_parse_dates=True)
statistics = table.describe(percentiles=[0.05, 0.25, 0.5, 0.75, 0.95])
missing, distinct = table.null_count(), table.select(polars.all().n_unique())
frequent = {name: table[name].value_counts(sort=True).head(10) for name in table.columns}
table.write_csv(f"{sys.argv[2]}/output.csv")
print(json.dumps({"package": f"polars {polars.__version__}"}))
