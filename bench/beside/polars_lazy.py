"""The statistics of a table by polars, lazily and by its streaming engine; no rows are written. How many threads it has,
POLARS_MAX_THREADS says. polars_lazy.py TABLE [frequent]: with the most frequent values of each column, or without."""

import json
import sys

import polars
from polars import col

SHARES = [0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
table = polars.scan_csv(sys.argv[1], try_parse_dates=True)
schema = table.collect_schema()
numbers = [name for name, kind in schema.items() if kind.is_numeric()]
times = [name for name, kind in schema.items() if kind.is_temporal()]
texts = [name for name, kind in schema.items() if kind == polars.String]

asked = [polars.len().alias("rows"), polars.all().null_count().name.suffix(" nulls")]
asked += [polars.all().approx_n_unique().name.suffix(" distinct")]
for name in numbers:
    asked += [getattr(col(name), what)().alias(f"{name} {what}") for what in ("sum", "mean", "std")]
for name in numbers + times + texts:
    asked += [getattr(col(name), what)().alias(f"{name} {what}") for what in ("min", "max")]
for name in numbers + times:
    asked += [col(name).quantile(share).alias(f"{name} {share}") for share in SHARES]
for name in texts:
    lengths = col(name).str.len_chars()
    asked += [getattr(lengths, what)().alias(f"{name} length {what}") for what in ("min", "max", "mean")]
queries = [table.select(asked)]
if "frequent" in sys.argv[2:]:
    counts = [table.select(col(name).value_counts().alias("value")).unnest("value") for name in schema]
    queries += [count.top_k(10, by="count") for count in counts]
polars.collect_all(queries, engine="streaming")
print(json.dumps({"package": f"polars {polars.__version__}"}))
