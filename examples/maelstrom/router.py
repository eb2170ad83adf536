#!/usr/bin/env python3
"""Carries a Maelstrom node's messages: runs the node, and stands between its standard input and output and the network.

A Maelstrom node reads and writes lines of JSON, {"src": "n1", "dest": "n2", "body": {..}}. One router runs beside each node. Messages to
other nodes go to their routers over TCP, so that a partition of the real network cuts them; messages to clients and services go to
whoever has connected under that name. A message that cannot be delivered within a second is lost, as on a network.

  router.py --name n1 --nodes n1=10.0.0.1,n2=10.0.0.2 --port 7100 --as broadcast PROGRAM [ARGUMENT..]
"""
import argparse
import collections
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time

PATIENCE_S = 1.0  # how old a message may become before it is lost
QUEUE_MAX = 20000
SERVICES = ("lin-kv", "seq-kv", "lww-kv", "lin-tso")


def note(text):
    print(f"router: {text}", file=sys.stderr, flush=True)


class Outbox:
    """What is to be sent to somebody, in order; the oldest goes first, and is forgotten when it is too old."""

    def __init__(self):
        self.lines = collections.deque(maxlen=QUEUE_MAX)
        self.news = threading.Condition()

    def put(self, line):
        with self.news:
            self.lines.append((time.monotonic(), line))
            self.news.notify()

    def get(self):
        with self.news:
            while not self.lines:
                self.news.wait()
            return self.lines.popleft()


class Router:
    def __init__(self, options):
        self.name, self.port, self.topology = options.name, options.port, options.speaks == "broadcast"
        self.addresses = dict(pair.split("=") for pair in options.nodes.split(","))
        self.peers = {name: Outbox() for name in self.addresses if name != self.name}
        self.services = {name: Outbox() for name in SERVICES}
        self.guests, self.guests_lock = {}, threading.Lock()  # clients, by name: their connections
        self.inbox = Outbox()
        self.waiting = {}  # of our own requests: msg_id to an event
        self.serves = False
        self.node = subprocess.Popen(options.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    # The node.

    def feed(self):
        while True:
            _, line = self.inbox.get()
            try:
                self.node.stdin.write(line)
                self.node.stdin.flush()
            except OSError:
                return

    def listen(self):
        for line in self.node.stdout:
            try:
                message = json.loads(line)
                dest = message["dest"]
                message["body"]["type"]
            except (ValueError, KeyError, TypeError):
                note(f"{self.name} said what is no message: {line[:200]!r}")
                continue
            self.deliver(dest, message, line if line.endswith(b"\n") else line + b"\n")
        status = self.node.wait()
        note(f"{self.name} ended with status {status}")
        os._exit(status if status > 0 else 1)

    def deliver(self, dest, message, line):
        if dest == self.name:
            self.inbox.put(line)
        elif dest in self.peers:
            self.peers[dest].put(line)
        elif dest in self.services:
            self.services[dest].put(line)
        elif dest == "router-" + self.name:
            event = self.waiting.pop(message["body"].get("in_reply_to"), None)
            if event is not None:
                event.set()
        else:
            with self.guests_lock:
                guest = self.guests.get(dest)
            if guest is not None:
                guest.put(line)

    def ask(self, msg_id, body):
        self.waiting[msg_id] = event = threading.Event()
        message = {"src": "router-" + self.name, "dest": self.name, "body": dict(body, msg_id=msg_id)}
        self.inbox.put(json.dumps(message).encode() + b"\n")
        if not event.wait(10):
            note(f"{self.name} does not answer {body['type']}")
            os._exit(1)

    def begin(self):
        names = list(self.addresses)
        self.ask(1, {"type": "init", "node_id": self.name, "node_ids": names})
        if self.topology:  # everybody is everybody's neighbour
            self.ask(2, {"type": "topology", "topology": {name: [other for other in names if other != name] for name in names}})
        self.serves = True
        note(f"{self.name} serves")

    # The network.

    def carry(self, name):
        """Messages to one other node."""
        link = None
        while True:
            since, line = self.peers[name].get()
            while line is not None and time.monotonic() - since < PATIENCE_S:
                try:
                    if link is None:
                        link = socket.create_connection((self.addresses[name], self.port), PATIENCE_S / 2)
                        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PATIENCE_S * 1000))
                        link.sendall(json.dumps({"i-am": self.name}).encode() + b"\n")
                    link.sendall(line)
                    line = None
                except OSError:
                    # Half of it may have arrived: without its end, and so it is no line, and counts for nothing.
                    if link is not None:
                        link.close()
                    link = None
                    time.sleep(0.02)

    def receive(self, handler):
        """Whoever has connected says who it is, then speaks."""
        hello = json.loads(handler.rfile.readline())
        name, outbox = hello["i-am"], None
        if name == "services":
            for outbox in self.services.values():
                threading.Thread(target=self.hand_out, args=(outbox, handler, None), daemon=True).start()
        elif name not in self.peers:
            outbox = Outbox()
            with self.guests_lock:
                self.guests[name] = outbox
            threading.Thread(target=self.hand_out, args=(outbox, handler, name), daemon=True).start()
            if hello.get("ask-ready"):
                outbox.put(json.dumps({"ready": self.serves}).encode() + b"\n")
        try:
            for line in handler.rfile:
                if not line.endswith(b"\n"):
                    break
                if self.serves:
                    self.inbox.put(line)
                elif name not in self.peers and name != "services":
                    self.refuse(name, json.loads(line))
        finally:
            with self.guests_lock:
                if outbox is not None and self.guests.get(name) is outbox:
                    del self.guests[name]
            if outbox is not None:
                outbox.put(None)

    def refuse(self, name, message):
        """The node has not seen it: a definite error."""
        body = {"type": "error", "in_reply_to": message["body"].get("msg_id"), "code": 11, "text": "the node is not initialised yet"}
        self.deliver(name, {}, json.dumps({"src": self.name, "dest": name, "body": body}).encode() + b"\n")

    def hand_out(self, outbox, handler, name):
        while True:
            since, line = outbox.get()
            if line is None:
                return
            try:
                handler.wfile.write(line)
            except (OSError, ValueError):
                if name is None and time.monotonic() - since < PATIENCE_S:
                    outbox.put(line)  # for whoever serves next
                return


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--nodes", required=True)
    parser.add_argument("--port", type=int, default=7100)
    parser.add_argument("--as", dest="speaks", default="usual", help="which of Maelstrom's workloads")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    router = Router(parser.parse_args())

    class Handler(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self):
            try:
                router.receive(self)
            except (OSError, ValueError, KeyError):
                pass

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

    def end(*_):
        router.node.kill()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    server = Server(("", router.port), Handler)
    for work in (router.feed, router.listen, router.begin, *(lambda name=name: router.carry(name) for name in router.peers)):
        threading.Thread(target=work, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
