#!/bin/bash
# Exeat beside the proxies that people would pick instead, on the same works in one run: a table of CPU seconds per unit
# of work, and of ratios to the best peer. Linux, root, two cores, loopback only; about half an hour.
#
#   benches/peers.sh --install                  # Debian's, PyPI's and crates.io's packages first, once
#   benches/peers.sh                            # all works, all peers
#   benches/peers.sh --modes "http mitm" --peers "direct exeat haproxy hudsucker" --reps 1 --seconds 2
#
# Options are those of benches/peers/run.sh; EXEAT names another binary than target/release/exeat.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
[ -n "${EXEAT-}" ] || cargo build --release --bin exeat
export EXEAT=${EXEAT:-$PWD/target/release/exeat}
results=$(mktemp)
trap 'rm -f "$results"' EXIT
"$here/peers/run.sh" --peer-file "$here/peers/exeat.sh" --out "$results" \
    --peers "direct exeat hudsucker haproxy tinyproxy squid mitmproxy proxypy" "$@"
python3 "$here/peers/table.py" "$results"
