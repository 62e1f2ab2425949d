"""Whether attention layers must use the fused "flash" function, for the whole program."""

from __future__ import annotations

_enabled: bool | None = None


def enable_flash_attention() -> None:
    """Let attention layers made from now on compute with flash attention only.

    Source: Dao et al., "FlashAttention", NeurIPS 2022.
    """
    global _enabled
    _enabled = True


def disable_flash_attention() -> None:
    """Let attention layers made from now on do without flash attention, unless they ask for it."""
    global _enabled
    _enabled = False


def is_flash_attention_enabled() -> bool | None:
    """Return True or False after one of the two functions above, and None if torch is to choose.

    Example:
        >>> is_flash_attention_enabled()
    """
    return _enabled
