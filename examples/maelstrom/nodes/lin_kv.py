#!/usr/bin/env python3
"""Maelstrom's lin-kv by the simplest means: the first node has all keys, and the others ask it. With --stale they answer reads from what
it has told them so far, which it does with every fifth change. That is a bug: such a read may be stale."""
import json
import sys

STALE = "--stale" in sys.argv
me, first, names = None, None, []
data, copies, news, asked, last_id = {}, {}, [], {}, 0  # asked: our msg_id to (client, its msg_id)


def send(dest, body):
    print(json.dumps({"src": me, "dest": dest, "body": body}), flush=True)


def do(body):
    key, kind = json.dumps(body["key"]), body["type"]
    if kind == "write":
        data[key] = body["value"]
    elif key not in data:
        return {"type": "error", "code": 20, "text": "there is no such key"}
    elif kind == "read":
        return {"type": "read_ok", "value": data[key]}
    elif data[key] != body["from"]:
        return {"type": "error", "code": 22, "text": f"it is {data[key]}"}
    else:
        data[key] = body["to"]
    if STALE:
        news.append([key, data[key]])
    if len(news) >= 5:
        for name in names[1:]:
            send(name, {"type": "copy", "news": news})
        news.clear()
    return {"type": kind + "_ok"}


for line in sys.stdin:
    message = json.loads(line)
    body, sender = message["body"], message["src"]
    kind = body["type"]
    if kind == "init":
        me, names = body["node_id"], body["node_ids"]
        first = names[0]
        send(sender, {"type": "init_ok", "in_reply_to": body["msg_id"]})
    elif kind == "copy":
        copies.update(body["news"])
    elif "in_reply_to" in body:
        client, msg_id = asked.pop(body["in_reply_to"], (None, None))
        if client is not None:
            send(client, dict(body, in_reply_to=msg_id))
    elif me == first:
        send(sender, dict(do(body), in_reply_to=body["msg_id"]))
    elif STALE and kind == "read":
        key = json.dumps(body["key"])
        answer = {"type": "read_ok", "value": copies[key]} if key in copies else {"type": "error", "code": 20}
        send(sender, dict(answer, in_reply_to=body["msg_id"]))
    else:
        last_id += 1
        asked[last_id] = (sender, body["msg_id"])
        send(first, dict(body, msg_id=last_id))
