"""What Prometheus scrapes, at the root."""

from __future__ import annotations

from fastapi import APIRouter, Response

from packd.api.context import InContext
from packd.flow.metrics import CONTENT_TYPE

root_router = APIRouter(tags=["health"])


@root_router.get("/metrics", response_class=Response)
def show_metrics(context: InContext) -> Response:
    """Counters and states in Prometheus' text format."""
    return Response(context.metrics(), headers={"Content-Type": CONTENT_TYPE})
