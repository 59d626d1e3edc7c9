"""Holds an answer against the sandbox's OpenAPI page: status, media type, headers, and the exact shape of the body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator

NOT_ON_THE_PAGE = {404: "GatewayError", 405: "GatewayError"}
"""What an address or a method that is not listed is answered with."""


class Described:
    """An OpenAPI page, to hold answers against."""

    def __init__(self, page: dict[str, Any]) -> None:
        self.page = page
        self._validators: dict[str, Draft202012Validator] = {}

    def misfit(self, shape: Mapping[str, Any], body: Any) -> str | None:
        """Why a body has not this shape; None when it has."""
        key = json.dumps(shape, sort_keys=True)
        if key not in self._validators:
            schema = {**shape, "components": self.page["components"]}
            Draft202012Validator.check_schema(schema)
            self._validators[key] = Draft202012Validator(schema)
        problem = next(self._validators[key].iter_errors(body), None)
        return None if problem is None else f"{problem.json_path}: {problem.message[:400]}"

    def named(self, shape: str, body: Any) -> str | None:
        """The same for a shape by its name."""
        return self.misfit({"$ref": f"#/components/schemas/{shape}"}, body)

    def problem(self, method: str, target: str, status: int, headers: Mapping[str, str], raw: bytes) -> str | None:
        """What about an answer is not as the page says; None when all is."""
        operation = self.page["paths"].get(urlsplit(target).path, {}).get(method.lower())
        if operation is None:
            return self.named(NOT_ON_THE_PAGE[status], json.loads(raw)) if status in NOT_ON_THE_PAGE else "not listed"
        answers = operation["responses"]
        answer = answers.get(str(status)) or answers.get(f"{status // 100}XX")
        if answer is None:
            return f"status {status} is not on the page"
        given = {name.lower() for name in headers}
        missing = [name for name, one in answer.get("headers", {}).items() if one.get("required")]
        missing = [name for name in missing if name.lower() not in given]
        if missing:
            return f"without the header {', '.join(missing)}"
        media = {name.lower(): value for name, value in headers.items()}["content-type"].partition(";")[0]
        if media not in answer["content"]:
            return f"{media} with status {status} is not on the page"
        if media != "application/json":
            return None
        try:
            body = json.loads(raw)
        except ValueError:
            return None if "x-faults" in self.page else "no JSON"
        return self.misfit(answer["content"][media]["schema"], body)
