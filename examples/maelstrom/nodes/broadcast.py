#!/usr/bin/env python3
"""Maelstrom's broadcast: what one node is told, all come to know. Each goes on telling its neighbours until they say that they know.
With --once it tells them once, whether they hear it or not, and with --forget every tenth message not at all. Both are bugs."""
import json
import sys
import threading
import time

ONCE, FORGET = "--once" in sys.argv, "--forget" in sys.argv
lock = threading.Lock()
me, known, untold = None, [], {}  # untold: by neighbour, what it has not acknowledged


def send(dest, body):
    print(json.dumps({"src": me, "dest": dest, "body": body}), flush=True)


def learn(values, teller):
    for value in values:
        if value not in known:
            known.append(value)
            if FORGET and len(known) % 10 == 0:
                continue
            for neighbour, list_of in untold.items():
                if neighbour != teller:
                    list_of.append(value)


def tell():
    while True:
        time.sleep(0.1)
        with lock:
            for neighbour, values in untold.items():
                if values:
                    send(neighbour, {"type": "gossip", "values": values[:500]})
                    if ONCE:
                        del values[:500]


threading.Thread(target=tell, daemon=True).start()
for line in sys.stdin:
    message = json.loads(line)
    body, sender = message["body"], message["src"]
    kind, answer = body["type"], None
    with lock:
        if kind == "init":
            me, answer = body["node_id"], {"type": "init_ok"}
        elif kind == "topology":
            untold = {neighbour: list(known) for neighbour in body["topology"][me]}
            answer = {"type": "topology_ok"}
        elif kind == "broadcast":
            learn([body["message"]], None)
            answer = {"type": "broadcast_ok"}
        elif kind == "read":
            answer = {"type": "read_ok", "messages": known}
        elif kind == "gossip":
            learn(body["values"], sender)
            send(sender, {"type": "heard", "values": body["values"]})
        elif kind == "heard":
            heard = set(body["values"])
            untold[sender] = [value for value in untold[sender] if value not in heard]
        if answer is not None:
            send(sender, dict(answer, in_reply_to=body["msg_id"]))
