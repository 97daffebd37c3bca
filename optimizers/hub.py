"""Whether the Hub can be reached, asked before its own client is let at it.

That client asks six times and waits 23 s in between, without a word, before it says that there is no
network. Here a connection that fails at once is tried again for two seconds. A reply that is slow to
come is a Hub that can be reached: what its client makes of it is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

CONNECT_S = 5.0
WITHIN_S, PAUSE_S = 2.5, 1.0


def unreachable() -> str:
    """Return why no connection to the Hub can be made; nothing where one can."""
    import datasets
    import httpx
    from huggingface_hub import constants, is_offline_mode
    from huggingface_hub.utils import get_session

    if datasets.config.HF_HUB_OFFLINE or is_offline_mode():
        return "the environment says to stay offline (HF_HUB_OFFLINE)"
    until = time.monotonic() + WITHIN_S
    while True:
        try:
            get_session().head(constants.ENDPOINT, timeout=(CONNECT_S,) * 4, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if time.monotonic() + PAUSE_S > until:
                return str(error) or type(error).__name__
            time.sleep(PAUSE_S)
        except httpx.HTTPError:
            return ""  # something answers: what is wrong with it, the loader tells
        else:
            return ""


@contextmanager
def from_cache_alone() -> Iterator[None]:
    """Let `datasets` look for a data set in its cache and nowhere else."""
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before
