#!/usr/bin/env python3
"""Asks the server what ordeal wants asked: one JSON object a line in, one out. docs/clients.md has the protocol.

ok: it happened. fail: it did not, and never will. info: nobody knows. When in doubt, info."""
import json
import socket
import sys


class Client:
    def __init__(self, question):
        # All clients ask the first node; question["node"] would be the one that ordeal has in mind for this client.
        self.address = (question["nodes"][0]["address"], int(question["options"]["port"]))
        self.timeout = question["timeout-ms"] / 1000 * 0.9
        self.link = self.lines = None

    def close(self):
        if self.link is not None:
            self.link.close()
        self.link = self.lines = None

    def ask(self, text):
        """The answer in words. ConnectionError: it was never sent. OSError: nobody knows."""
        if self.link is None:
            try:
                self.link = socket.create_connection(self.address, self.timeout)
            except OSError as problem:
                raise ConnectionError(str(problem)) from problem
            self.link.settimeout(self.timeout)
            self.lines = self.link.makefile()
        try:
            self.link.sendall(text.encode() + b"\n")
            words = self.lines.readline().split()
        except OSError as problem:
            self.close()  # an answer may still come: it must not be taken for the next one's
            raise TimeoutError(str(problem)) from problem
        if not words:
            self.close()
            raise TimeoutError("the connection was closed")
        return words

    def invoke(self, f, value):
        key, argument = value
        try:
            if f == "read":
                words = self.ask(f"GET {key}")
                return {"type": "ok", "value": [key, int(words[1]) if words[0] == "VALUE" else None]}
            if f == "write":
                self.ask(f"SET {key} {argument}")
                return {"type": "ok"}
            if f == "cas":
                words = self.ask(f"CAS {key} {argument[0]} {argument[1]}")
                return {"type": "ok"} if words[0] == "OK" else {"type": "fail", "error": "no-match"}
            return {"type": "fail", "error": "not-supported"}
        except ConnectionError as problem:
            return {"type": "fail", "error": "not-connected", "detail": str(problem)}
        except OSError as problem:
            return {"type": "info", "error": "no-answer", "detail": str(problem)}


clients = {}
for line in sys.stdin:
    question = json.loads(line)
    answer, number = {}, question["client"]
    if question["ask"] == "open":
        clients[number] = Client(question)
    elif question["ask"] == "invoke":
        answer = clients[number].invoke(question["f"], question["value"])
    elif question["ask"] == "close":
        clients.pop(number).close()
    print(json.dumps(dict(answer, id=question["id"])), flush=True)
