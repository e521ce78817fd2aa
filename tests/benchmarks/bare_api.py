"""The peer of (g): FastAPI as its own documentation shows it, with nothing behind it. `python bare_api.py ANSWERS SOCKET`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class RegisterRequest(BaseModel):
    path: str
    replace: bool = False
    force: bool = False
    skip_tests: bool = False


def create(answers: dict[str, Any]) -> FastAPI:
    app = FastAPI()

    @app.get("/api/v1/packs")
    def list_packs(page: int = 1, page_size: int = 50) -> Any:
        return answers["page"]

    @app.post("/api/v1/packs/register")
    def register(wish: RegisterRequest) -> Any:
        return answers["registered"]

    return app


if __name__ == "__main__":
    uvicorn.run(create(json.loads(Path(sys.argv[1]).read_text())), uds=sys.argv[2], log_level="warning", http="h11")
