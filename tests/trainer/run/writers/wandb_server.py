"""A server on this machine with what W&B's client asks for: runs that are made, fed and resumed.

with WandbServer() as server:
    # a client with WANDB_BASE_URL=server.url and any WANDB_API_KEY of 40 characters
    server.history                      # the rows of the run, in their order
"""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OWNER = {"id": "entity", "name": "somebody"}


class WandbServer:
    """Keeps one run."""

    def __init__(self):
        self.runs = []  # the names under which it was made or resumed
        self.history = []  # rows
        self.states = []  # "preempting", or the exit code of a start
        self.sent = []  # variables of all queries
        self._config = self._summary = "{}"
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path, content):
        """Returns what W&B's server would answer to a JSON object."""
        if not path.startswith("/graphql"):
            self._take(content)
            return {}
        variables, name = content.get("variables") or {}, content.get("operationName")
        self.sent.append(variables)
        answers = {"RunResumeStatus": self._status, "UpsertBucket": self._upsert}
        answers["CreateRunFiles"] = self._files
        return {"data": answers[name](variables) if name in answers else {}}

    def _take(self, content):
        """Takes the rows of the stream of a run's files."""
        files = content.get("files") or {}
        rows = files.get("wandb-history.jsonl", {"content": [], "offset": 0})
        if rows["content"]:
            self.history[rows["offset"] :] = map(json.loads, rows["content"])
        if summary := files.get("wandb-summary.json"):
            self._summary = summary["content"][-1]
        if content.get("preempting"):
            self.states.append("preempting")
        if content.get("complete"):
            self.states.append(content.get("exitcode"))

    def _status(self, variables):
        if not self.runs:
            return {"model": None}
        bucket = dict(self._bucket(), summaryMetrics=self._summary, config=self._config)
        bucket |= {"historyTail": json.dumps([json.dumps(row) for row in self.history[-1:]])}
        bucket |= {"historyLineCount": len(self.history), "eventsTail": "[]", "eventsLineCount": 0}
        bucket |= {"logLineCount": 0, "tags": [], "notes": None, "wandbConfig": '{"t": {}}'}
        return {"model": {"id": "project", "name": "longhaul", "entity": OWNER, "bucket": bucket}}

    def _upsert(self, variables):
        if variables["displayName"]:
            self.runs.append(variables["name"])
        self._config = variables["config"] or self._config
        return {"upsertBucket": {"bucket": self._bucket(), "inserted": len(self.runs) == 1}}

    def _bucket(self):
        project = {"id": "project", "name": "longhaul", "entity": OWNER}
        run = {"id": "run", "name": self.runs[-1], "displayName": "imdb", "sweepName": None}
        return {**run, "project": project, "historyLineCount": len(self.history)}

    def _files(self, variables):
        files = [{"name": n, "uploadUrl": f"{self.url}/upload/{n}"} for n in variables["files"]]
        return {"createRunFiles": {"runID": "run", "uploadHeaders": [], "files": files}}


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *message):
            """Keeps quiet."""

        def do_POST(self):
            self._reply(json.dumps(server.answer(self.path, json.loads(self._body()))).encode())

        def do_PUT(self):
            self._body()
            self._reply(b"")

        def _body(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body

        def _reply(self, body):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
