"""Queries in other words by a language model, behind an address that answers as OpenAI's chat completions do."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from nearfar.core.errors import BadInput, excerpt
from nearfar.core.folding import folded

PATH = "/chat/completions"
TIMEOUT_S = 60.0  # without a byte of an answer
AT_ONCE = 4
MOST_BYTES = 1 << 20  # of an answer
KEY = "OPENAI_API_KEY"  # in the environment
THOUGHT = "</think>"  # ends what some models think aloud before they answer
PROMPT = (
    "Say the search query of the user in other words, as another person would ask for the same thing. "
    "Keep its meaning, its language, and all names and numbers. Answer with the new query alone."
)
REFUSED = (401, 403)


@dataclass(frozen=True)
class Rewriter:
    """Where to ask for other words."""

    url: str
    model: str | None = None  # None: the one that the server has
    key: str = field(default="", repr=False)
    timeout_s: float = TIMEOUT_S

    @classmethod
    def of(cls, url: str, model: str | None = None, key: str = "", timeout_s: float = TIMEOUT_S) -> Rewriter:
        """An address as users have it: with or without the path of chat completions.

        Raises:
            BadInput: it is no address for HTTP, or the key cannot be sent.
        """
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or "@" in parts.netloc:  # whose password would be shown in errors
            raise BadInput.at("paraphrases", expected="an address such as http://localhost:8000/v1",
                              found="one with a user's name" if usable else excerpt(url),
                              do="give that of an OpenAI-compatible server")  # fmt: skip
        if not all("!" <= letter <= "~" for letter in key.strip()):
            raise BadInput.at(KEY, expected="a key of plain letters", found="others in it", do="check it")
        path = parts.path.rstrip("/")
        path = path if path.endswith(PATH) else path + PATH
        whole = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
        return cls(whole, model or None, key.strip(), timeout_s)

    @property
    def place(self) -> str:
        """The address as it may be shown: what follows a question mark can be a secret."""
        return self.url.partition("?")[0]

    def reword(self, query: str) -> str | None:
        """The query in other words; None where the answer is empty or the query itself.

        Raises:
            BadInput: nobody answers, or not in this way.
        """
        said = [{"role": "system", "content": PROMPT}, {"role": "user", "content": query}]
        body: dict[str, Any] = {"messages": said} | ({"model": self.model} if self.model else {})
        text = " ".join((self._content(self._post(body)) or "").rpartition(THOUGHT)[2].split()).strip('"“”')
        return None if not text or folded(text) == folded(query) else text

    def reword_all(self, queries: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """Each query with what `reword` says of it, in order; the first alone, so that one error is one wait."""
        yield from ((query, self.reword(query)) for query in queries[:1])
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            yield from zip(queries[1:], pool.map(self.reword, queries[1:]), strict=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _post(self, body: dict[str, Any]) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": "nearfar"}
        request = Request(self.url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310  # http or https
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        try:
            with build_opener(_Stay).open(request, timeout=self.timeout_s) as answer:
                return bytes(answer.read(MOST_BYTES))
        except HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            found = self._shown(str(getattr(reason, "strerror", None) or reason or type(reason).__name__))
            raise self._bad(found, "start the server, or check the address") from None

    def _refusal(self, error: HTTPError) -> BadInput:
        """What a status other than 200 means; what is said of a refused key may hold it, and is not shown."""
        if error.code in REFUSED:
            do = f"check the key in {KEY}" if self.key else f"set {KEY} to a key of the server"
            return self._bad(f"status {error.code}", do)
        try:
            said = json.loads(error.read(MOST_BYTES))["error"]
            said = f": {self._shown(str(said['message'] if isinstance(said, dict) else said))}"
        except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
            said = ""
        return self._bad(f"status {error.code}{said}", "check the address, and name a model with --paraphrase-model")

    def _content(self, answer: bytes) -> str | None:
        try:
            content = json.loads(answer)["choices"][0]["message"]["content"]
        except ValueError:
            raise self._bad("no JSON", "check the address") from None
        except (KeyError, IndexError, TypeError):
            raise self._bad("JSON without choices[0].message.content", "check the address") from None
        if not isinstance(content, str | None):
            raise self._bad("an answer that is no text", "name another model with --paraphrase-model")
        return content

    def _bad(self, found: str, do: str) -> BadInput:
        return BadInput.at(self.place, expected="an answer of a language model", found=found, do=do)

    def _shown(self, text: str) -> str:
        return excerpt(text.replace(self.key, "…") if self.key else text, 120)


class _Stay(HTTPRedirectHandler):
    """Follows nobody to another place: the key is for this one."""

    def redirect_request(self, *_: Any) -> None:
        """No request, so that the redirection is an error."""
