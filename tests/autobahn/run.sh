#!/usr/bin/env bash
# The Autobahn test suite's cases through the gateway: its fuzzing client against an echo server behind it, and its
# fuzzing server against a client behind it. Needs a Python 2.7 with autobahntestsuite 0.8.2 (PyPI), and the Python 3
# that tests/run.sh makes:
#   AUTOBAHN_PYTHON=python2.7 tests/autobahn/run.sh [CASES...]        default: all but the slow 9.*, 12.*, 13.*
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
python2=${AUTOBAHN_PYTHON:?a Python 2.7 with autobahntestsuite}
python3=${EXEAT_TEST_PYTHON:-$root/target/test-venv/bin/python}
binary=${EXEAT_TEST_BINARY:-$root/target/debug/exeat}
cases='"*"' without='"9.*", "12.*", "13.*"'
if [ "$#" -gt 0 ]; then
    cases=$(printf '"%s", ' "$@") && cases=${cases%, } without=
fi

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export EXEAT_TOKEN
EXEAT_TOKEN=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
cat >exeat.yaml <<YAML
listen: {proxy: "127.0.0.1:9402", control: "127.0.0.1:9404"}
ca: {certificate: ca.pem, key: ca.key}
control: {key: "file:control.key"}
flows: {journal: flows}
resolver: {connect: [{host: ws.test, to: "127.0.0.1:9401"}]}
policies: {agent: {allow: [{host: ws.test, ports: [9401], addresses: ["127.0.0.0/8"]}]}}
sessions: [{id: dev, policy: agent, token: "env:EXEAT_TOKEN"}]
YAML
wstest=("$python2" -c 'from autobahntestsuite.wstest import run; run()')
count() {
    "$python3" - "$1" <<'PYTHON'
import collections, json, sys
cases = json.load(open(sys.argv[1]))['exeat']
print(len(cases), 'cases:', dict(collections.Counter(case['behavior'] for case in cases.values())))
for name, case in sorted(cases.items()):
    if case['behavior'] not in ('OK', 'INFORMATIONAL', 'NON-STRICT'):
        print('  ', name, case['behavior'], case['behaviorClose'])
PYTHON
}
until_listening() { until (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do sleep 0.1; done; }

"$binary" serve --config exeat.yaml 2>gateway.log &
"$python3" "$here/peers.py" shim &
"$python3" "$here/peers.py" echo &
echo=$!
for port in 9401 9402 9403; do until_listening $port; done
echo "{\"outdir\": \"client\", \"cases\": [$cases], \"exclude-cases\": [$without], \"exclude-agent-cases\": {},
  \"servers\": [{\"agent\": \"exeat\", \"url\": \"ws://127.0.0.1:9403\", \"options\": {\"version\": 18}}]}" >client.json
"${wstest[@]}" -m fuzzingclient -s client.json >wstest.log 2>&1
printf 'the fuzzing client, and an echo server behind the gateway: ' && count client/index.json

kill $echo
wait $echo 2>/dev/null || true
echo "{\"outdir\": \"server\", \"url\": \"ws://127.0.0.1:9401\", \"cases\": [$cases], \"exclude-cases\": [$without],
  \"exclude-agent-cases\": {}}" >server.json
"${wstest[@]}" -m fuzzingserver -s server.json -u 0 >>wstest.log 2>&1 &
until_listening 9401
"$python3" "$here/peers.py" client
printf 'the fuzzing server, and a client before the gateway: ' && count server/index.json
