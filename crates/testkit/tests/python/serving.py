"""Servers behind a gateway: on a port of the loopback, which is said as one line of JSON, until standard input closes."""

import json
import socket
import sys
import threading

import uvicorn


def serve(app):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning"))

    def end_with_standard_input():
        sys.stdin.read()
        running.should_exit = True

    threading.Thread(target=end_with_standard_input, daemon=True).start()
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    running.run(sockets=[listener])
