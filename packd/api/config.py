"""The configuration of the daemon that runs."""

from __future__ import annotations

from fastapi import APIRouter

from packd.api.answer import Answer
from packd.api.context import InContext

router = APIRouter(tags=["housekeeping"])


@router.get("/config")
def show_config(context: InContext) -> Answer:
    """Every setting in force and where it was said: `default`, `FILE:LINE`, `environment NAME` or `flag --NAME`.

    Secrets are starred out. What was changed in the file and needs a restart is not among it, nor what was rejected: see
    `configuration` in /status.
    """
    return Answer({"data": context.settings()})
