#!/bin/sh
# Builds Errand and starts it; settings may follow, as: scripts/start.sh --bind 127.0.0.1:9000
set -eu
cd "$(dirname "$0")/.."
cargo build --release --locked
exec target/release/errand "$@"
