#!/usr/bin/env python3
"""Maelstrom's echo: says back what it is told."""
import json
import sys

for line in sys.stdin:
    message = json.loads(line)
    body, me = message["body"], message["dest"]
    answer = {"type": "init_ok"} if body["type"] == "init" else {"type": "echo_ok", "echo": body["echo"]}
    print(json.dumps({"src": me, "dest": message["src"], "body": dict(answer, in_reply_to=body["msg_id"])}), flush=True)
