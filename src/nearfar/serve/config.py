"""How a service listens, and what it takes at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nearfar.core.config import Config

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ServeConfig(Config):
    """Limits and places of a service."""

    host: str = "127.0.0.1"
    """Address to listen at; another than the machine's own needs a key."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port to listen at; 0: one that is free, which is said."""
    allow_writes: bool = False
    """Let requests add, change and delete documents of the index."""
    most_texts: Annotated[int, Field(ge=1)] = 2048
    """Texts of one request; more are refused with 413."""
    most_bytes: Annotated[int, Field(ge=1024)] = 16 << 20
    """Bytes of the body of one request; more are refused with 413."""
    queue_s: Annotated[float, Field(gt=0)] = 1.5
    """Seconds that a request may have to wait for those before it; one that would wait longer is refused with 429.
    Where most are refused, a sixth of it."""
    queue_tokens: Annotated[int, Field(ge=1)] = 262_144
    """Tokens that wait to be embedded, however fast the model is; a request that finds no room is refused with 429."""
    timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds in which a request is answered, or refused with 503."""
    cache_bytes: Annotated[int, Field(ge=0)] = 64 << 20
    """Vectors of texts that came before, kept in so much memory."""
    drain_s: Annotated[float, Field(gt=0)] = 20.0
    """Seconds in which requests that were accepted are finished after a signal to end."""

    @property
    def is_loopback(self) -> bool:
        """Whether none but this machine can connect."""
        return self.host in LOOPBACK
