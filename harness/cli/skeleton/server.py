#!/usr/bin/env python3
"""A key-value server: server.py PORT LOG. Put your own system in its place.

It runs on every node, and clients ask the one on the first node only: so what is written there is read there. One line each way:
  GET key            VALUE 5, or NONE
  SET key value      OK
  CAS key old new    OK, or NO when the value is not old
"""
import os
import socketserver
import sys
import threading

data, lock = {}, threading.Lock()


def load(path):
    if os.path.exists(path):
        with open(path) as lines:
            for line in lines:
                if line.endswith("\n"):  # else it was cut off, and never acknowledged
                    key, value = line.split()
                    data[key] = value
    return open(path, "a")


def change(key, value):
    log.write(f"{key} {value}\n")
    log.flush()
    os.fsync(log.fileno())
    data[key] = value


def answer(command, key, *values):
    with lock:
        if command == "GET":
            return f"VALUE {data[key]}" if key in data else "NONE"
        if command == "CAS" and data.get(key) != values[0]:
            return "NO"
        change(key, values[-1])
        return "OK"


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write((answer(*line.decode().split()) + "\n").encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128


log = load(sys.argv[2])
with Server(("", int(sys.argv[1])), Handler) as server:
    server.serve_forever()
