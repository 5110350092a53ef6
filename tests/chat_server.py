"""A server on this machine in the place of a language model."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(answer):
    """A server whose answers are `answer(body)`: a status, a text, and headers if any.

    Yields its address, and a list of the requests as they come: path, headers, body.
    """
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, dict(self.headers), body))
            status, text, *more = answer(body)
            self.send_response(status)
            for name, value in more:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def query_of(body):
    return body["messages"][-1]["content"]


def chat(content):
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})
