#!/usr/bin/env python3
"""Ends with status 0 when the node whose router listens at ADDRESS PORT serves."""
import json
import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2])), 1) as link:
    link.settimeout(1)
    link.sendall(json.dumps({"i-am": "who-waits", "ask-ready": True}).encode() + b"\n")
    if not json.loads(link.makefile().readline())["ready"]:
        sys.exit("the node has not answered init yet")
