"""What a fault does to an answer: replaces it, or spoils the real one."""

from __future__ import annotations

from email.utils import formatdate

from runner.sandbox.answers import Answer, Body, error_body, gateway_html, gateway_json, throttled, unauthorized_xml
from runner.sandbox.config import FaultTimes
from runner.sandbox.faults import Fault

_REASONS = {
    301: "Moved Permanently", 302: "Found", 303: "See Other", 307: "Temporary Redirect", 308: "Permanent Redirect",
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
    520: "Unknown Error", 521: "Web Server Is Down", 522: "Connection Timed Out", 523: "Origin Is Unreachable",
    524: "A Timeout Occurred",
}  # fmt: skip

HUGE_BYTES = 9 * 2**20


def replaced(fault: Fault, real: Answer | None, *, path: str, now: float, times: FaultTimes) -> Answer | None:
    """The answer that stands in for the real one, or ``None`` when the fault keeps the real one."""
    name = fault.kind.name
    seconds = times.retry_after_seconds if fault.seconds is None else fault.seconds
    status = fault.kind.status or fault.number
    match name:
        case "code":
            return Answer(error_body(fault.number))
        case "http" | "500_html" | "502_html" | "503_html" | "504_html":
            return gateway_html(status, _REASONS.get(status, "Error"))
        case "500_json":
            return gateway_json(500, "Internal Server Error", path, "No message available")
        case "301" | "302" | "303" | "307" | "308":
            answer = gateway_html(status, _REASONS[status])
            answer.headers["Location"] = path
            return answer
        case "400_unparsable":
            return gateway_html(400, _REASONS[400])
        case "401_xml":
            return unauthorized_xml()
        case "429":
            return throttled()
        case "429_seconds":
            return throttled(f"{seconds:g}" if seconds == int(seconds) else str(int(seconds) + 1))
        case "429_date":
            return throttled(formatdate(now + max(1.0, seconds), usegmt=True))
        case "503_4001":
            return Answer(error_body(4001), 503)
        case "empty_200":
            return Answer(b"")
        case "html_200":
            page = gateway_html(200, "OK")
            page.body = b"<html><body><h1>We will be back soon</h1></body></html>\r\n"
            return page
        case "empty_object":
            return Answer({})
        case "gzip_garbage":
            return Answer(b"\x1f\x8b\x08\x00garbage that is no gzip at all", headers={"Content-Encoding": "gzip"})
        case "cut_json":
            whole = real.encoded() if real is not None else b'{"coupons":[{"code":"'
            return Answer(whole[: max(1, len(whole) // 2)])
        case "722_half":
            return Answer(error_body(722))
        case _:
            return None


def spoil(fault: Fault, body: Body) -> None:
    """Change the real answer's body in place."""
    coupons = body.get("coupons")
    match fault.kind.name:
        case "nulls":
            body["warnings"] = None
            body["errors"] = [*body.get("errors", ()), None]
            if coupons is not None:
                body["coupons"] = [None, *coupons]
        case "codes_as_strings":
            for one in [*body.get("errors", ()), *body.get("warnings", ())]:
                one["code"] = str(one["code"])
            for coupon in coupons or ():
                coupon["couponId"] = str(coupon["couponId"])
        case "no_counts":
            _drop_counts(body)
        case "partial_unexplained" if coupons is not None:
            _drop_counts(body)
            body["errors"], body["warnings"] = [], []
        case "count_above" if coupons:
            coupons.pop()
        case "repeated_coupon" if coupons:
            coupons.append(dict(coupons[0]))
            body["successCount"] = len(coupons)
            body["failureCount"] = max(0, body["totalCount"] - len(coupons))
            body["errors"], body["warnings"] = [], []


def pad(answer: Answer) -> None:
    """Make an answer larger than a careful client takes."""
    answer.body = answer.encoded() + b" " * HUGE_BYTES


def _drop_counts(body: Body) -> None:
    for name in ("totalCount", "successCount", "failureCount"):
        body.pop(name, None)
