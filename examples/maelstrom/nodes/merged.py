#!/usr/bin/env python3
"""Maelstrom's g-set, and with --counter its g-counter and pn-counter: what nodes know is merged, so all come to know the same. Each says all it knows to the
others ten times a second. With --forget every tenth addition is acknowledged and not kept; with --twice what others have counted is
added to what they had, instead of taking its place. Both are bugs."""
import json
import sys
import threading
import time

COUNTER, FORGET, TWICE = ("--" + word in sys.argv for word in ("counter", "forget", "twice"))
lock = threading.Lock()
me, others = None, []
elements, counts, additions = set(), {}, 0  # counts: by node, what it was told to add and to take away


def send(dest, body):
    print(json.dumps({"src": me, "dest": dest, "body": body}), flush=True)


def add(body):
    global additions
    additions += 1
    if FORGET and additions % 10 == 0:
        return
    if COUNTER:
        mine = counts.setdefault(me, [0, 0])
        mine[0 if body["delta"] >= 0 else 1] += abs(body["delta"])
    else:
        elements.add(body["element"])


def merge(body):
    elements.update(body["elements"])
    for name, (up, down) in body["counts"].items():
        if name == me:
            continue
        had = counts.get(name, [0, 0])
        counts[name] = [had[0] + up, had[1] + down] if TWICE else [max(had[0], up), max(had[1], down)]


def tell():
    while True:
        time.sleep(0.1)
        with lock:
            for name in others:
                send(name, {"type": "know", "elements": sorted(elements), "counts": counts})


threading.Thread(target=tell, daemon=True).start()
for line in sys.stdin:
    message = json.loads(line)
    body = message["body"]
    kind, answer = body["type"], None
    with lock:
        if kind == "init":
            me, others = body["node_id"], [name for name in body["node_ids"] if name != body["node_id"]]
            answer = {"type": "init_ok"}
        elif kind == "add":
            add(body)
            answer = {"type": "add_ok"}
        elif kind == "read":
            answer = {"type": "read_ok", "value": sum(up - down for up, down in counts.values()) if COUNTER else sorted(elements)}
        elif kind == "know":
            merge(body)
        if answer is not None:
            send(message["src"], dict(answer, in_reply_to=body["msg_id"]))
