"""What stands before the page's server: its names, each address's share of the queue, words for requests by hand."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def own_names(host: str, more: Iterable[str] = ()) -> frozenset[str]:
    """The names that the page answers to, beside addresses and localhost: the given one and the machine's own."""
    machine = socket.gethostname()
    return frozenset(_plain(name) for name in (host, machine, f"{machine}.local", socket.getfqdn(), *more))


def is_own(header: str, names: frozenset[str]) -> bool:
    """Whether a `Host` header is one of the names, localhost or an address.

    A foreign page can have its own name point to this machine (DNS rebinding) and would then read and send as if it
    were this one; its name stays in the header. An address cannot be taken over so.
    """
    name = header[1:].partition("]")[0] if header.startswith("[") else header.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        plain = _plain(name)
        return plain == "localhost" or plain.endswith(".localhost") or (plain != "" and plain in names)
    return True


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


class Guard:
    """Refuses foreign names and whoever fills the queue; speaks for the server where it breaks on a request.

    Args:
        app: What it stands before.
        names: Of `own_names`.
        waiting: Gives the number of requests of an address that wait in the queue.
        most_waiting: At which it may have no more.
    """

    def __init__(
        self, app: Application, names: frozenset[str], waiting: Callable[[str], int], most_waiting: int
    ) -> None:
        self.app, self.names, self.waiting, self.most_waiting = app, names, waiting, most_waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not is_own(headers.get(b"host", b"").decode("latin-1"), self.names):
            refusal = PlainTextResponse("Not served under this name: see amodal demo --allow-host.", 403)
            await refusal(scope, receive, send)
            return
        address = (scope.get("client") or ("", 0))[0]
        if scope["path"].endswith("/queue/join") and self.waiting(address) >= self.most_waiting:
            detail = f"{self.most_waiting} requests from your address wait already. Wait for their answers"
            await JSONResponse({"detail": detail}, 429)(scope, receive, send)
            return
        begun = False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:  # Gradio trips over requests that its own page never makes
            if begun:
                raise
            await PlainTextResponse("This request is not understood.", 400)(scope, receive, send)
