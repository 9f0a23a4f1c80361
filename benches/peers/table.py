#!/usr/bin/env python3
"""table.py RESULTS.tsv: medians over the repetitions of run.sh's results, a table a work, best CPU first; then the
ratios of exeat to the best peer of each work."""
import collections, json, statistics, sys

runs = collections.defaultdict(lambda: collections.defaultdict(list))
for line in open(sys.argv[1]):
    part = line.rstrip("\n").split("\t")
    if line.startswith("#") or len(part) < 5:
        continue
    try:
        runs[part[1]][part[0]].append(json.loads(part[4]))
    except ValueError:
        pass

BULK = ("tunnel-down", "tunnel-up", "mitm-down", "upload", "mitm-upload")
US, S_GB, KIB, P50 = "CPU us each", "CPU s/GB", "KiB each", "p50 us"


def median(rows, key):
    values = [r[key] for r in rows if isinstance(r.get(key), (int, float))]
    return statistics.median(values) if values else None


def show(value, scale=1.0, digits=1):
    return "-" if value is None else f"{value * scale:.{digits}f}"


def kib(rows):
    return next((median(rows, key) for key in rows[0] if key.startswith("kib_per")), None)


def measure(work, rows):
    """What counts in this work, and its unit."""
    if work.endswith("idle"):
        return kib(rows), KIB
    if work in BULK:
        return median(rows, "cpu_s_per_GB"), S_GB
    if work in ("mitm-sse", "mitm-500", "http-1", "mitm-1"):
        return median(rows, "p50_us"), P50
    each = median(rows, "cpu_s_per_1000")
    return (None if each is None else each * 1000), US


for work, peers in runs.items():
    print(f"\n{work}\n{'peer':12}{'n':>3}{'err':>7}{'rate/s':>10}{'MB/s':>9}{'p50 us':>9}{'p99 us':>9}{'CPU us/op':>11}{'CPU s/GB':>10}{'KiB each':>10}")
    for peer in sorted(peers, key=lambda p: median(peers[p], "cpu_s_per_1000") or 1e9):
        rows = peers[peer]
        print(f"{peer:12}{len(rows):>3}{show(median(rows, 'errors'), 1, 0):>7}{show(median(rows, 'rps'), 1, 0):>10}{show(median(rows, 'MBps'), 1, 0):>9}"
              f"{show(median(rows, 'p50_us'), 1, 0):>9}{show(median(rows, 'p99_us'), 1, 0):>9}{show(median(rows, 'cpu_s_per_1000'), 1000, 2):>11}{show(median(rows, 'cpu_s_per_GB'), 1, 3):>10}{show(kib(rows)):>10}")

print("\n| work | unit | direct | exeat | best peer | ratio |\n| --- | --- | --- | --- | --- | --- |")
for work, peers in runs.items():
    if "exeat" not in peers:
        continue
    (ours, unit), direct = measure(work, peers["exeat"]), peers.get("direct")
    others = {p: measure(work, rows)[0] for p, rows in peers.items() if p not in ("exeat", "direct")}
    others = {p: value for p, value in others.items() if value}
    best = min(others, key=others.get, default=None)
    beside = f"{best} {others[best]:.2f}" if best else "-"
    ratio = f"{ours / others[best]:.2f}" if best and ours else "-"
    floor = show(measure(work, direct)[0], 1, 2) if direct and unit == P50 else "-"
    print(f"| {work} | {unit} | {floor} | {show(ours, 1, 2)} | {beside} | {ratio} |")
