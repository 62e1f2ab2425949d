"""`utils.Config`: named settings that can be frozen and written as JSON."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from uncrumple.core.errors import NoAttribute, explain


class Config:
    """Named settings, reached as attributes or by key.

    Args:
        kwargs: The settings to begin with.

    Example:
        >>> config = Config(learning_rate=0.1)
        >>> config.momentum = 0.9
        >>> config["momentum"], config.to_json()
        (0.9, '{"learning_rate": 0.1, "momentum": 0.9}')
        >>> config.freeze()
        >>> config.frozen
        True
    """

    def __init__(self, **kwargs: Any) -> None:
        self.__dict__["_config"] = kwargs
        self.__dict__["_frozen"] = False

    @property
    def frozen(self) -> bool:
        """Whether the settings can no longer be changed."""
        return self._frozen

    def freeze(self) -> None:
        """Refuse changes from now on."""
        self.__dict__["_frozen"] = True

    def unfreeze(self) -> None:
        """Allow changes again."""
        self.__dict__["_frozen"] = False

    def as_dict(self) -> dict[str, Any]:
        """Return the settings in a new dict."""
        return copy.copy(self._config)

    def to_json(self) -> str:
        """Return the settings as JSON."""
        return json.dumps(self._config)

    def keys(self) -> Any:
        return self._config.keys()

    def values(self) -> Any:
        return self._config.values()

    def items(self) -> Any:
        return self._config.items()

    def pop(self, *args: Any) -> Any:
        """Take a setting out and return its value; a second argument stands for one that is not there."""
        self._check_open("pop(...)")
        return self._config.pop(*args)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several at once."""
        self._check_open("update(...)")
        self._config.update(*args, **kwargs)

    def get(self, keyname: str, value: Any = None) -> Any:
        """Return a setting, or `value` if it is not there."""
        return self._config.get(keyname, value)

    def _check_open(self, what: str) -> None:
        if self._frozen:
            raise ValueError(
                explain(
                    f"{what} was called on a frozen Config.", "Expected no change after freeze().", "config.unfreeze()"
                )
            )

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).__dict__:
            raise AttributeError(
                explain(f"Config has a method '{name}'.", "Expected another name.", f"config[{name!r}] = ...")
            )
        self[name] = value

    def __getattr__(self, name: str) -> Any:
        config = self.__dict__.get("_config", {})
        if name in config:
            return config[name]
        raise NoAttribute("Config", name, lambda: config, f"config.{name} = ... first")

    def __setitem__(self, key: str, item: Any) -> None:
        self._check_open(f"{key} = {item!r}")
        self._config[key] = item

    def __getitem__(self, key: str) -> Any:
        return self._config[key]

    def __delitem__(self, key: str) -> None:
        self._check_open(f"del {key}")
        del self._config[key]

    def __contains__(self, item: Any) -> bool:
        return item in self._config

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def __len__(self) -> int:
        return len(self._config)

    def __deepcopy__(self, memo: Any) -> Config:
        made = Config(**copy.deepcopy(self._config, memo))
        made.__dict__["_frozen"] = self._frozen
        return made

    def __repr__(self) -> str:
        return f"<Config {self._config}>"
