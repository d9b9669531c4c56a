"""Prompts that stay on disk: loads what was saved before a prompt is read, and saves prompts when nobody waits."""

import logging

from langchain_gptoss.engine.kv_cache.cache import PagedCache
from langchain_gptoss.engine.kv_cache.saved_prefixes import PrefixStore
from langchain_gptoss.engine.request import GenerationRequest

_log = logging.getLogger(__name__)
_MAX_PENDING = 8  # prompts that wait to be saved; the newest are kept


class PrefixSaver:
    """Keeps the prompts of requests in a store, as far as they are shared with requests of every salt.

    Saved prompts only save time, so a failure is logged and ends no request.
    """

    def __init__(self, cache: PagedCache, store: PrefixStore | None) -> None:
        """Start with nothing to save.

        Args:
            cache: The KV cache.
            store: The saved prefixes; None saves and loads nothing.
        """
        self._cache = cache
        self._store = store
        self._pending: list[tuple[int, ...]] = []

    @property
    def has_pending(self) -> bool:
        """True if a prompt waits to be saved."""
        return bool(self._pending)

    def load(self, request: GenerationRequest) -> None:
        """Load what was saved of a prompt and is not in the cache."""
        if self._store is None:
            return
        try:
            self._cache.load_prefix(self._store, _get_shared(request))
        except Exception:
            _log.exception("A saved prompt was not loaded.")

    def add(self, request: GenerationRequest) -> None:
        """Note a prompt that is in the cache now, to save it later."""
        if self._store is not None and (shared := _get_shared(request)):
            self._pending = [other for other in self._pending if shared[: len(other)] != other][-_MAX_PENDING + 1 :]
            self._pending.append(shared)

    def save_next(self) -> bool:
        """Save one of the prompts that wait; return False if none does. It takes as long as the disk needs."""
        if self._store is None or not self._pending:
            return False
        try:
            self._cache.save_prefix(self._store, self._pending.pop(0))
        except Exception:
            _log.exception("A prompt was not saved.")
        return True


def _get_shared(request: GenerationRequest) -> tuple[int, ...]:
    return request.prompt_ids if request.cache_salt is None else request.prompt_ids[: request.shared_tokens]
