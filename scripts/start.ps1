# Builds Errand and starts it; settings may follow, as: scripts/start.ps1 --bind 127.0.0.1:9000
$ErrorActionPreference = "Stop"
Set-Location (Join-Path $PSScriptRoot "..")
cargo build --release --locked
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
& target/release/errand @args
exit $LASTEXITCODE
