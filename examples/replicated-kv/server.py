#!/usr/bin/env python3
"""A small replicated key-value store: the system that docs/tutorial.md puts through a trial.

Every node knows all others. The first one in order that can be heard leads. It applies a write to itself, answers, and hands it
on to the others a moment later. A node that comes to lead first asks who knows more than itself. One JSON object a line:

  {"op": "read", "key": 1}                        {"value": 5}, or null
  {"op": "write", "key": 1, "value": 5}           {"ok": true}
  {"op": "cas", "key": 1, "old": 5, "new": 6}     {"ok": true} or {"ok": false}
  {"op": "role"}                                  {"leads": false, "leader": "n1"}

or {"error": ".."}: it was not done and will not be; or {"unknown": ".."}: nobody knows.
"""
import argparse
import json
import os
import socket
import socketserver
import sys
import threading
import time

HEARTBEAT_S, DEAD_AFTER_S, HAND_ON_S = 0.1, 0.5, 0.25


def ask(address, question, timeout=0.3):
    """One question on a connection of its own. ConnectionError: the other has seen nothing of it."""
    try:
        link = socket.create_connection(address, timeout)
    except OSError as problem:
        raise ConnectionError(str(problem)) from problem
    with link:
        link.sendall(json.dumps(question).encode() + b"\n")
        answer = link.makefile().readline()
    if not answer:
        raise OSError("no answer")
    return json.loads(answer)


class Node:
    def __init__(self, options):
        self.name, self.reads = options.name, options.reads
        self.order = [pair.split("=")[0] for pair in options.nodes.split(",")]
        self.address = {pair.split("=")[0]: (pair.split("=")[1], options.port) for pair in options.nodes.split(",")}
        self.heard = {name: 0.0 for name in self.order}
        self.lock = threading.Lock()
        self.data, self.sequence, self.leads = {}, 0, False
        self.behind = {name: None for name in self.order}  # the sequence that each follower has; None: not known
        self.recent = []  # (sequence, key, value), for followers
        self.path = os.path.join(options.data_dir, "log")
        if os.path.exists(self.path):
            with open(self.path) as log:
                for line in log:
                    if line.endswith("\n"):
                        self.put(*json.loads(line))
        self.log = open(self.path, "a")

    def put(self, sequence, key, value):
        self.data[key], self.sequence = value, sequence

    def change(self, key, value):
        self.put(self.sequence + 1, key, value)
        self.recent = self.recent[-9999:] + [(self.sequence, key, value)]
        self.log.write(json.dumps([self.sequence, key, value]) + "\n")
        self.log.flush()

    def become(self, state):
        """All that somebody else knows, instead of what this node does."""
        self.data, self.sequence, self.recent = {int(key): value for key, value in state["data"].items()}, state["sequence"], []
        with open(self.path + ".new", "w") as log:
            for key, value in self.data.items():
                log.write(json.dumps([self.sequence, key, value]) + "\n")
        os.rename(self.path + ".new", self.path)
        self.log = open(self.path, "a")

    # Who leads.

    def alive(self):
        """Those that can be heard, in order; the first of them leads."""
        now = time.monotonic()
        return [name for name in self.order if name == self.name or now - self.heard[name] < DEAD_AFTER_S]

    def watch(self):
        for name in self.order:
            if name != self.name:
                threading.Thread(target=self.listen_to, args=(name,), daemon=True).start()
        time.sleep(DEAD_AFTER_S)
        while True:
            leads = self.alive()[0] == self.name
            if leads and not self.leads:
                self.take_over()
            self.leads = leads
            time.sleep(HEARTBEAT_S)

    def listen_to(self, name):
        while True:
            try:
                ask(self.address[name], {"op": "role"})
                self.heard[name] = time.monotonic()
            except (OSError, ValueError):
                pass
            time.sleep(HEARTBEAT_S)

    def take_over(self):
        for name in self.alive():
            try:
                state = ask(self.address[name], {"op": "state"}) if name != self.name else {"sequence": 0}
            except (OSError, ValueError):
                continue
            with self.lock:
                if state["sequence"] > self.sequence:
                    self.become(state)
        self.behind = {name: None for name in self.order}

    # What followers are told.

    def hand_on(self):
        while True:
            time.sleep(HAND_ON_S)
            for name in self.alive() if self.leads else []:
                if name != self.name:
                    self.hand_on_to(name)

    def hand_on_to(self, name):
        with self.lock:
            known = self.behind[name]
            news = [update for update in self.recent if known is not None and update[0] > known]
            if known is not None and len(news) == self.sequence - known:
                question = {"op": "updates", "after": known, "updates": news}
            else:
                question = {"op": "become", "data": self.data, "sequence": self.sequence}
            now = self.sequence
        try:
            self.behind[name] = now if ask(self.address[name], question).get("ok") else None
        except (OSError, ValueError):
            self.behind[name] = None

    # Answers.

    def answer(self, question):
        op = question.get("op")
        if op == "role":
            return {"leads": self.leads, "leader": self.alive()[0]}
        if op in ("state", "become", "updates"):
            return self.answer_node(op, question)
        if not self.leads and not (op == "read" and self.reads == "any"):
            return self.ask_leader(question)
        with self.lock:
            key = question["key"]
            if op == "read":
                return {"value": self.data.get(key)}
            if op == "cas" and self.data.get(key) != question["old"]:
                return {"ok": False}
            self.change(key, question["new"] if op == "cas" else question["value"])
            return {"ok": True}

    def answer_node(self, op, question):
        with self.lock:
            if op == "state":
                return {"data": self.data, "sequence": self.sequence}
            if op == "become":
                self.become(question)
            elif question["after"] != self.sequence:
                return {"ok": False}
            else:
                for _, key, value in question["updates"]:
                    self.change(key, value)
            return {"ok": True}

    def ask_leader(self, question):
        leader = self.alive()[0]
        if leader == self.name or question.get("handed-on"):
            return {"error": "nobody leads"}
        try:
            return ask(self.address[leader], dict(question, **{"handed-on": True}))
        except ConnectionError as problem:
            return {"error": f"{leader}: {problem}"}
        except (OSError, ValueError) as problem:
            return {"unknown": f"{leader}: {problem}"}


def main():
    parser = argparse.ArgumentParser()
    for name in ("name", "nodes", "data-dir"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--port", type=int, default=7000)
    parser.add_argument("--reads", choices=("any", "leader"), default="any")
    parser.add_argument("--ask", choices=("leads", "is-led"), help="instead of serving: does this node lead, does it know a leader?")
    options = parser.parse_args()
    if options.ask:
        role = ask((dict(pair.split("=") for pair in options.nodes.split(","))[options.name], options.port), {"op": "role"})
        if options.ask == "is-led" and role["leader"] != options.name:
            return None
        return None if role["leads"] else f"{options.name} does not lead"
    node = Node(options)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(json.dumps(node.answer(json.loads(line))).encode() + b"\n")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

    threading.Thread(target=node.watch, daemon=True).start()
    threading.Thread(target=node.hand_on, daemon=True).start()
    with Server(("", node.address[node.name][1]), Handler) as server:
        server.serve_forever()
    return None


if __name__ == "__main__":
    sys.exit(main())
