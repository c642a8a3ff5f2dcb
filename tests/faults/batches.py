"""The Files and Batches routes of the fault server: a batch is worked off in a fixed number of polls.

An answer is good for every line but those whose input text is in `fails`, which end up in the error file; a
store with `expires` finishes only the first half of the lines and ends as `expired`, as the hosted API does
after its 24 hours.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.faults import answers


@dataclass
class BatchStore:
    """Uploaded files and submitted batches."""

    polls: int = 1
    """How many times a batch is still `in_progress` when asked."""
    fails: frozenset[str] = frozenset()
    expires: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)

    def answer(
        self, method: str, target: str, headers: dict[str, str], raw: bytes
    ) -> tuple[int, bytes] | None:
        """(status, body), or None for a route that is not one of these."""
        if (method, target) == ("POST", "/v1/files"):
            return 200, json.dumps(self._upload(headers, raw)).encode()
        if (method, target) == ("POST", "/v1/batches"):
            return 200, json.dumps(self._submit(json.loads(raw))).encode()
        if method == "GET" and re.fullmatch(r"/v1/batches\?limit=\d+", target):
            newest_first = list(reversed(self.batches.values()))
            return 200, json.dumps({"object": "list", "data": newest_first, "has_more": False}).encode()
        if method == "GET" and (found := re.fullmatch(r"/v1/batches/(\w+)", target)):
            return 200, json.dumps(self._poll(found[1])).encode()
        if method == "GET" and (found := re.fullmatch(r"/v1/files/(\w+)/content", target)):
            return 200, self.files[found[1]]
        return None

    def _keep(self, content: bytes) -> str:
        name = f"file_{len(self.files)}"
        self.files[name] = content
        return name

    def _upload(self, headers: dict[str, str], raw: bytes) -> dict[str, Any]:
        boundary = headers["content-type"].partition("boundary=")[2].encode()
        parts = {}
        for part in raw.split(b"--" + boundary)[1:-1]:
            head, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n")
            name = re.search(rb'[; ]name="([^"]+)"', head)
            assert name is not None
            parts[name[1].decode()] = content
        assert parts["purpose"] == b"batch", parts["purpose"]
        content = parts["file"]
        return {
            "id": self._keep(content),
            "object": "file",
            "bytes": len(content),
            "created_at": 1,
            "filename": "in.jsonl",
            "purpose": "batch",
            "status": "processed",
        }

    def _submit(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["endpoint"] == "/v1/responses" and body["completion_window"] == "24h", body
        name = f"batch_{len(self.batches)}"
        lines = self.files[body["input_file_id"]].splitlines()
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "metadata": body.get("metadata"),
            "completion_window": "24h",
            "created_at": 1,
            "status": "in_progress",
            "output_file_id": None,
            "error_file_id": None,
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        self.asked[name] = 0
        return self.batches[name]

    def _poll(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        self.asked[name] += 1
        if self.asked[name] > self.polls and batch["status"] == "in_progress":
            self._finish(batch)
        return batch

    def _finish(self, batch: dict[str, Any]) -> None:
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        if self.expires:
            lines = lines[: len(lines) // 2]
        good, bad = [], []
        for number, line in enumerate(lines):
            failed = answers.input_text(line["body"]) in self.fails
            body = (
                answers.error_body("refused by plan", kind="invalid_request_error", code="bad")
                if failed
                else answers.response(line["body"], number)
            )
            result = {
                "id": f"batch_req_{number}",
                "custom_id": line["custom_id"],
                "response": {
                    "status_code": 400 if failed else 200,
                    "request_id": f"req_{number}",
                    "body": body,
                },
                "error": None,
            }
            (bad if failed else good).append(json.dumps(result))
        # the hosted API gives results in no particular order
        batch["output_file_id"] = self._keep("\n".join(reversed(good)).encode() + b"\n") if good else None
        batch["error_file_id"] = self._keep("\n".join(bad).encode() + b"\n") if bad else None
        batch["request_counts"] = {
            "total": batch["request_counts"]["total"],
            "completed": len(good),
            "failed": len(bad),
        }
        batch["status"] = "expired" if self.expires else "completed"
