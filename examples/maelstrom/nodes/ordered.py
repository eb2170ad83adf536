#!/usr/bin/env python3
"""Maelstrom's txn-list-append, txn-rw-register, kafka and unique-ids by the simplest means: the first node decides everything in the
order in which it hears of it, and the others ask it. Bugs on demand: with --applies every tenth transaction that appends or writes is
refused as in conflict, and done all the same; with --drops every tenth record gets its offset, and is not there; with --again every
tenth identifier is the one before."""
import json
import sys

APPLIES, DROPS, AGAIN = ("--" + bug in sys.argv for bug in ("applies", "drops", "again"))
me = first = None
values, logs, number, turn = {}, {}, 0, 0  # logs: by key, what is there, and the next offset
asked, last_id = {}, 0  # by our msg_id: who wants to know, and its msg_id


def send(dest, body):
    print(json.dumps({"src": me, "dest": dest, "body": body}), flush=True)


def transact(parts):
    answer = []
    for kind, key, value in parts:
        if kind == "append":
            values[key] = values.get(key, []) + [value]
        elif kind == "w":
            values[key] = value
        answer.append([kind, key, values.get(key) if kind == "r" else value])
    return answer


def tenth():
    global turn
    turn += 1
    return turn % 10 == 0


def do(body):
    global number
    kind = body["type"]
    if kind == "txn":
        answer = transact(body["txn"])
        if APPLIES and any(part[0] != "r" for part in answer) and tenth():
            return {"type": "error", "code": 30, "text": "there is a conflict"}
        return {"type": "txn_ok", "txn": answer}
    if kind == "generate":
        number += 0 if AGAIN and tenth() else 1
        return {"type": "generate_ok", "id": number}
    if kind == "send":
        log = logs.setdefault(body["key"], {"records": [], "next": 0})
        offset = log["next"]
        log["next"] += 1
        if not (DROPS and tenth()):
            log["records"].append([offset, body["msg"]])
        return {"type": "send_ok", "offset": offset}
    if kind == "poll":
        return {"type": "poll_ok", "msgs": {
            key: [record for record in logs[key]["records"] if record[0] >= offset][:100]
            for key, offset in body["offsets"].items() if key in logs}}
    return {"type": "error", "code": 10, "text": f"there is no {kind} here"}


for line in sys.stdin:
    message = json.loads(line)
    body, sender = message["body"], message["src"]
    if body["type"] == "init":
        me, first = body["node_id"], body["node_ids"][0]
        send(sender, {"type": "init_ok", "in_reply_to": body["msg_id"]})
    elif "in_reply_to" in body:
        client, msg_id = asked.pop(body["in_reply_to"], (None, None))
        if client is not None:
            send(client, dict(body, in_reply_to=msg_id))
    elif me == first:
        send(sender, dict(do(body), in_reply_to=body["msg_id"]))
    else:
        last_id += 1
        asked[last_id] = (sender, body["msg_id"])
        send(first, dict(body, msg_id=last_id))
