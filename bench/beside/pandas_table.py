"""The table by pandas: every column's statistics, and the rows written again. pandas_table.py INPUTS OUTPUT"""

import json
import sys

import pandas

table = pandas.read_csv(f"{sys.argv[1]}/table.csv", parse_dates=["day"])
statistics = table.describe(include="all", percentiles=[0.05, 0.25, 0.5, 0.75, 0.95])
missing, distinct = table.isna().sum(), table.nunique()
frequent = {name: table[name].value_counts().head(10) for name in table.columns}
table.to_csv(f"{sys.argv[2]}/output.csv", index=False)
print(json.dumps({"package": f"pandas {pandas.__version__}"}))
