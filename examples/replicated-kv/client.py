#!/usr/bin/env python3
"""How ordeal asks the store: one line of JSON in, one line out. See docs/clients.md."""
import json
import socket
import sys


class Client:
    """One connection to one node."""

    def __init__(self, question):
        self.address = (question["node"]["address"], int(question["options"]["port"]))
        self.timeout = question["timeout-ms"] / 1000 * 0.9  # so that we say what happened before ordeal stops waiting
        self.link = self.lines = None

    def connect(self):
        if self.link is None:
            self.link = socket.create_connection(self.address, self.timeout)
            self.link.settimeout(self.timeout)
            self.lines = self.link.makefile()

    def close(self):
        if self.link is not None:
            self.link.close()
        self.link = self.lines = None

    def invoke(self, f, value):
        key, argument = value
        question = {"op": f, "key": key}
        if f == "write":
            question["value"] = argument
        if f == "cas":
            question["old"], question["new"] = argument
        try:
            self.connect()
        except OSError as problem:
            return {"type": "fail", "error": "not-connected", "detail": str(problem)}  # it was never sent
        try:
            self.link.sendall(json.dumps(question).encode() + b"\n")
            answer = json.loads(self.lines.readline())
        except (OSError, ValueError) as problem:
            self.close()  # an answer may still come, and must not be taken for the next one's
            return {"type": "info", "error": "no-answer", "detail": str(problem)}
        if "unknown" in answer:
            return {"type": "info", "error": "unknown", "detail": answer["unknown"]}
        if "error" in answer:
            return {"type": "fail", "error": "refused", "detail": answer["error"]}
        if f == "read":
            return {"type": "ok", "value": [key, answer["value"]]}
        return {"type": "ok"} if answer["ok"] else {"type": "fail", "error": "no-match"}


def main():
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


if __name__ == "__main__":
    main()
