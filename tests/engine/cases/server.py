"""A server for the compose files of the tests, whose answers are told by its arguments."""

import argparse
import http.server
import os
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=8000)
parser.add_argument("--status", type=int, default=200)
parser.add_argument("--warm", type=float, default=0, help="for so many seconds it answers 503")
parser.add_argument("--die", type=float, default=0, help="after so many seconds it exits with 3")
args = parser.parse_args()
BEGUN = time.monotonic()


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        warm = time.monotonic() - BEGUN >= args.warm
        self.send_response(args.status if warm else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()


def die():
    print("the disk is on fire", flush=True)
    os._exit(3)


if args.die:
    threading.Timer(args.die, die).start()
print("listening", flush=True)
http.server.ThreadingHTTPServer(("", args.port), Answers).serve_forever()
