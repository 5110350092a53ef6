"""The Hugging Face hub, which `push` and `pull` alone talk to: what can go wrong there, in one line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from nearfar.core.disk import DISK_ERRORS
from nearfar.core.errors import BadInput, NearfarError, excerpt
from nearfar.encoder.load import HUB_NAME, quiet

LOG_IN = "log in with 'hf auth login', or set HF_TOKEN"
KNOWN: Mapping[type[Exception], tuple[str, str]] = {
    OfflineModeIsEnabled: ("that HF_HUB_OFFLINE is set", "unset it for this call"),
    LocalTokenNotFoundError: ("no token", LOG_IN),
    GatedRepoError: ("one that asks for permission", "ask for it on the repository's page"),
    RepositoryNotFoundError: ("none that this token may see", f"check the name; {LOG_IN}"),
    RevisionNotFoundError: ("no such revision", "name another"),
}
STATUS: Mapping[int, tuple[str, str]] = {
    401: ("a token that it does not know, or none", LOG_IN),
    403: ("a token without the right to do this", "use one that may write there"),
    404: ("none that this token may see", "check the name and the token"),
    413: ("a file that it does not take", "make it smaller"),
    429: ("too many requests", "wait and try again"),
}


def check_name(name: str) -> None:
    """Refuse what is no OWNER/NAME.

    Raises:
        BadInput: so.
    """
    if "/" not in name or not HUB_NAME.fullmatch(name):
        raise BadInput.at("repository", expected="OWNER/NAME", found=excerpt(name), do="such as acme/search-model")


@contextmanager
def hub_told(name: str) -> Iterator[None]:
    """Tell whatever the client of the hub raises in one line about the repository; trouble with the disk passes.

    Raises:
        BadInput: so.
    """
    shown = sys.stderr.isatty()
    hidden = are_progress_bars_disabled()
    (enable_progress_bars if shown else disable_progress_bars)()
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the client, for programmers
            yield
    except NearfarError:
        raise
    except Exception as error:  # whatever the network, its absence or a busy hub raises
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        found, do = _said(error)
        raise BadInput.at(name, expected="a repository on the hub", found=found, do=do) from error
    finally:
        (disable_progress_bars if hidden else enable_progress_bars)()


def _said(error: Exception) -> tuple[str, str]:
    """What was found, and what to do."""
    if known := next((said for kind, said in KNOWN.items() if isinstance(error, kind)), None):
        return known
    if isinstance(error, HfHubHTTPError):
        status, said = error.response.status_code, error.server_message
        other = f"the answer {status}" + (f" {excerpt(said)}" if said else "")
        return STATUS.get(status, (other, "try again later"))
    if isinstance(error, ValueError):  # of a name, or of the card's front matter
        return excerpt(" ".join(str(error).split()), 200), "mend it"
    return f"no answer from {constants.ENDPOINT} ({type(error).__name__})", "check the network"
