#!/usr/bin/env python3
"""Where the time of a work goes: the samples of `run.sh --profile DIR`, told apart by what they were for.

    benches/peers/profile.py DIR/exeat.http.data ...

One column a work. A sample within the kernel belongs to the call that led there, one outside to the function it was
taken in; what is shared (copies, allocations) stands by itself."""

import collections
import os
import re
import subprocess
import sys

KERNEL = [
    ("kernel: send", r"sys_(sendto|sendmsg)\b|do_writev"),
    ("kernel: receive", r"sys_(recvfrom|recvmsg)\b"),
    ("kernel: splice", r"sys_splice\b"),
    ("kernel: connect, accept, close", r"sys_(connect|accept4?|close|shutdown|socket|setsockopt|getsockopt|getsockname)\b"),
    ("kernel: wait for sockets", r"sys_epoll"),
    ("kernel: wake and switch threads", r"sys_(futex|sched_yield)|^schedule$|sys_nanosleep"),
    ("kernel: write the journal", r"sys_(write|pwrite64|statx|newfstatat|fdatasync|fsync)\b"),
]
USER = [
    ("TLS", r"aws_lc|rustls|gcm|aes|chacha|sha512|p256|x25519|webpki"),
    ("detector", r"exeat::secrets|pulp::|core_arch|aho_corasick|regex|crc32"),
    ("record", r"exeat::flow|sha256|jiff|itoa|uuid|data_encoding"),
    ("policy and target", r"exeat::(policy|net|session|store)|globset"),
    ("HTTP", r"exeat::http1|^h2::|hpack|http::|httparse|websocket|tungstenite"),
    ("forwarding", r"exeat::(proxy|wire|upstream|dns|ca|reason|telemetry)|arc_swap"),
    ("runtime", r"tokio|mio::|parking_lot|futures|epoll|clock_gettime|pthread|syscall|__send|recv|Condvar|Mutex|poison"),
    ("allocation", r"mi_|malloc|free|__rust_(de|re)?alloc|drop_in_place|raw_vec"),
    ("copies", r"mem(move|cpy|set|cmp)|bytes::|extend|memchr"),
]


def first(rules, texts, otherwise):
    for label, pattern in rules:
        if any(re.search(pattern, text) for text in texts):
            return label
    return otherwise


def areas(data):
    """The share of each area in the samples of one recording."""
    script = ["perf", "script", "-i", data, "-F", "ip,sym,dso"]
    lines = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    count = collections.Counter()
    for sample in lines.split("\n\n"):
        frames = [line.split(None, 1)[1] for line in sample.splitlines() if len(line.split(None, 1)) == 2]
        if not frames:
            continue
        if "[kernel" in frames[0] or "[k]" in frames[0]:
            names = [frame.split(" (")[0] for frame in frames if "[kernel" in frame]
            count[first(KERNEL, names, "kernel: other")] += 1
        else:
            count[first(USER, frames[:1], "other")] += 1
    return count


def main():
    works = {re.sub(r".*?\.(.*)\.data$", r"\1", os.path.basename(path)): areas(path) for path in sys.argv[1:]}
    if not works:
        sys.exit(__doc__)
    labels = [label for label, _ in KERNEL] + ["kernel: other"] + [label for label, _ in USER] + ["other"]
    print("| share of the CPU time, % | " + " | ".join(works) + " |")
    print("| --- |" + " --- |" * len(works))
    for label in labels:
        shares = [100 * count[label] / max(1, sum(count.values())) for count in works.values()]
        if max(shares) >= 0.5:
            print(f"| {label} | " + " | ".join(f"{share:.0f}" for share in shares) + " |")


main()
