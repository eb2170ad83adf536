#!/usr/bin/env python3
"""Asks Maelstrom nodes what ordeal wants asked: ordeal's words on one side, Maelstrom's messages on the other.

One process for all workers. It also plays Maelstrom's services (lin-kv, seq-kv, lww-kv, lin-tso), which all are linearizable here.
"""
import json
import queue
import socket
import sys
import threading
import time

# Errors that say that nothing happened, and never will. Of all others nobody knows.
DEFINITE = {1: "node-not-found", 10: "not-supported", 11: "temporarily-unavailable", 12: "malformed-request", 14: "abort",
            20: "key-does-not-exist", 21: "key-already-exists", 22: "precondition-failed", 30: "txn-conflict"}
out_lock = threading.Lock()


def say(answer):
    with out_lock:
        print(json.dumps(answer), flush=True)


class Unknown(Exception):
    """It was sent, and nobody knows."""


class NotSent(Exception):
    """The node can have seen nothing of it."""


class Refused(Exception):
    """The node says that it did not and will not do it."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code


class Link:
    """A connection to one node's router, as one client."""

    def __init__(self, name, node, address, timeout):
        self.name, self.node, self.address, self.timeout = name, node, address, timeout
        self.link = self.lines = None
        self.last_id = 0

    def close(self):
        if self.link is not None:
            self.link.close()
        self.link = self.lines = None

    def connect(self):
        try:
            self.link = socket.create_connection(self.address, self.timeout)
            self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.lines = self.link.makefile()
            self.link.sendall(json.dumps({"i-am": self.name}).encode() + b"\n")
        except OSError as problem:
            self.close()
            raise NotSent(str(problem)) from problem

    def ask(self, body):
        if self.link is None:
            self.connect()
        self.last_id += 1
        message = {"src": self.name, "dest": self.node, "body": dict(body, msg_id=self.last_id)}
        deadline = time.monotonic() + self.timeout
        try:
            self.link.sendall(json.dumps(message).encode() + b"\n")
            while True:
                self.link.settimeout(max(deadline - time.monotonic(), 0.001))
                line = self.lines.readline()
                if not line.endswith("\n"):
                    raise Unknown("the connection was closed")
                answer = json.loads(line)["body"]
                if answer.get("in_reply_to") == self.last_id:  # what is older was given up
                    break
        except (OSError, ValueError, KeyError, TypeError) as problem:
            self.close()
            raise Unknown(str(problem)) from problem
        except Unknown:
            self.close()
            raise
        if answer.get("type") == "error":
            code, text = answer.get("code"), answer.get("text", "")
            if code in DEFINITE:
                raise Refused(code, text)
            raise Unknown(f"error {code}: {text}")
        return answer


# ordeal's operations as messages. Each takes the link and the value, and gives the value that was ok.

def echo(link, value):
    return link.ask({"type": "echo", "echo": value})["echo"]


def kv_read(link, value):
    try:
        return [value[0], link.ask({"type": "read", "key": value[0]})["value"]]
    except Refused as refused:
        if refused.code != 20:
            raise
        return [value[0], None]  # a key that was never written: that is an answer


def kv_write(link, value):
    link.ask({"type": "write", "key": value[0], "value": value[1]})
    return value


def kv_cas(link, value):
    link.ask({"type": "cas", "key": value[0], "from": value[1][0], "to": value[1][1]})
    return value


def txn(link, value):
    return link.ask({"type": "txn", "txn": value})["txn"]


def generate(link, value):
    return link.ask({"type": "generate"})["id"]


# Maelstrom has one set and one counter, and ordeal's workloads several, told apart by number: system.json asks for one only. Nodes
# converge, so it has reads only in the end, when they have had time for that, and then of every node.

def set_add(link, value):
    link.ask({"type": "add", "element": value[1]})
    return value


def set_read(link, value):
    return [value[0], link.ask({"type": "read"})["value"]]


def broadcast_add(link, value):
    link.ask({"type": "broadcast", "message": value[1]})
    return value


def broadcast_read(link, value):
    return [value[0], link.ask({"type": "read"})["messages"]]


def counter_add(link, value):
    link.ask({"type": "add", "delta": value[1]})
    return value


def log_append(link, value):
    return dict(value, offset=link.ask({"type": "send", "key": str(value["log"]), "msg": value["value"]})["offset"])


def log_poll(link, value):
    records = link.ask({"type": "poll", "offsets": {str(value["log"]): value["from"]}})["msgs"].get(str(value["log"]), [])
    return dict(value, records=records, end=not records)


WORDS = {
    "echo": {"echo": echo},
    "lin-kv": {"read": kv_read, "write": kv_write, "cas": kv_cas},
    "txn-list-append": {"txn": txn},
    "txn-rw-register": {"txn": txn},
    "unique-ids": {"generate": generate},
    "g-set": {"add": set_add, "read": set_read},
    "broadcast": {"add": broadcast_add, "read": broadcast_read},
    "pn-counter": {"add": counter_add, "read": set_read},
    "g-counter": {"add": counter_add, "read": set_read},
    "kafka": {"append": log_append, "poll": log_poll},
}
# What a workload of ordeal's is in Maelstrom, unless the option `as` says otherwise.
USUAL = {"echo": "echo", "register": "lin-kv", "list-append": "txn-list-append", "rw-register": "txn-rw-register",
         "unique-ids": "unique-ids", "set": "g-set", "counter": "pn-counter", "log": "kafka"}


class Client(threading.Thread):
    """What one worker wants, in a thread of its own."""

    def __init__(self, question):
        super().__init__(daemon=True)
        chosen = question["options"]["as"]
        self.words = WORDS[USUAL[question["workload"]] if chosen == "usual" else chosen]
        self.link = Link(f"c{question['client']}", question["node"]["name"],
                         (question["node"]["address"], int(question["options"]["port"])), question["timeout-ms"] / 1000 * 0.9)
        self.questions = queue.SimpleQueue()

    def run(self):
        while (question := self.questions.get()) is not None:
            say(dict(self.invoke(question), id=question["id"]))
        self.link.close()

    def invoke(self, question):
        word = self.words.get(question["f"])
        if word is None:
            return {"type": "fail", "error": "not-supported"}
        try:
            return {"type": "ok", "value": word(self.link, question["value"])}
        except Refused as refused:
            return {"type": "fail", "error": DEFINITE[refused.code], "detail": str(refused)}
        except NotSent as problem:
            return {"type": "fail", "error": "not-connected", "detail": str(problem)}
        except Unknown as problem:
            return {"type": "info", "error": "no-answer", "detail": str(problem)}
        except (KeyError, TypeError, AttributeError) as problem:  # an answer without what belongs there
            return {"type": "info", "error": "bad-reply", "detail": repr(problem)}


class Services:
    """lin-kv and its like, and lin-tso, for all nodes."""

    def __init__(self):
        self.lock, self.stores, self.time = threading.Lock(), {}, 0

    def serve(self, address):
        """To one node, for ever."""
        while True:
            try:
                with socket.create_connection(address, 1) as link:
                    link.settimeout(None)
                    link.sendall(b'{"i-am": "services"}\n')
                    for line in link.makefile():
                        message = json.loads(line)
                        body = dict(self.answer(message["dest"], message["body"]), in_reply_to=message["body"].get("msg_id"))
                        link.sendall(json.dumps({"src": message["dest"], "dest": message["src"], "body": body}).encode() + b"\n")
            except (OSError, ValueError, KeyError, TypeError):
                pass
            time.sleep(0.05)

    def answer(self, service, body):
        kind = body.get("type")
        with self.lock:
            if service == "lin-tso" and kind == "ts":
                self.time += 1
                return {"type": "ts_ok", "ts": self.time}
            store, key = self.stores.setdefault(service, {}), json.dumps(body.get("key"))
            if kind == "read" and key in store:
                return {"type": "read_ok", "value": store[key]}
            if kind == "write":
                store[key] = body["value"]
                return {"type": "write_ok"}
            if kind == "cas" and (key in store or body.get("create_if_not_exists")):
                if key in store and store[key] != body["from"]:
                    return {"type": "error", "code": 22, "text": f"it is {store[key]}, not {body['from']}"}
                store[key] = body["to"]
                return {"type": "cas_ok"}
            if kind in ("read", "cas"):
                return {"type": "error", "code": 20, "text": "there is no such key"}
            return {"type": "error", "code": 10, "text": f"{service} knows no {kind}"}


def main():
    clients, served, services = {}, set(), Services()
    for line in sys.stdin:
        question = json.loads(line)
        ask, number = question["ask"], question["client"]
        if ask == "open":
            for node in question["nodes"]:
                address = (node["address"], int(question["options"]["port"]))
                if address not in served:
                    served.add(address)
                    threading.Thread(target=services.serve, args=(address,), daemon=True).start()
            clients[number] = Client(question)
            clients[number].start()
            say({"id": question["id"]})
        elif ask == "invoke":
            clients[number].questions.put(question)
        else:
            clients.pop(number).questions.put(None)
            say({"id": question["id"]})


if __name__ == "__main__":
    main()
