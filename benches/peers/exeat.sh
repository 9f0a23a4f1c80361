# Exeat as one more peer, with policy, scanning, journal and metrics as they are by default.
EXEAT=${EXEAT:-$PWD/target/release/exeat}
PEERS="$PEERS exeat"
port_exeat=7201
mitm_port_exeat=7201
can_exeat=THM
auth_exeat=bench:exeat-bench-token-0123456789

start_exeat() {
    local dir=$RUN/exeat
    install -m 600 "$CERTS/mitm-ca.key" "$dir/ca.key"
    cp "$CERTS/mitm-ca.pem" "$dir/ca.pem"
    cat >"$dir/exeat.yaml" <<CONF
listen: {proxy: "127.0.0.1:$port_exeat", control: "127.0.0.1:7209"}
ca: {certificate: "$dir/ca.pem", key: "$dir/ca.key"}
control: {key: "file:$dir/control.key"}
resolver: {connect: [{host: "*.bench.test", to: "127.0.0.1"}]}
upstream: {trust: ["$CERTS/origin-ca.pem"]}
flows: {journal: "$dir/flows"}
policies:
  bench:
    allow:
      - {host: "127.0.0.1", ports: [7080], tls: tunnel, protocols: [any], addresses: ["127.0.0.0/8"]}
      - {host: "*.bench.test", ports: [7443], addresses: ["127.0.0.0/8"]}
sessions: [{id: bench, policy: bench, token: "env:EXEAT_BENCH_TOKEN"}]
CONF
    export EXEAT_BENCH_TOKEN=${auth_exeat#*:}
    spawn exeat both "$EXEAT" serve --config "$dir/exeat.yaml"
    unset EXEAT_BENCH_TOKEN
}
