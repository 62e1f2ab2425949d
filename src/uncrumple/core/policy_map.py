"""`DTypePolicyMap`: one precision policy for each of the layers within a layer, by their paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from uncrumple.core.dtypes import POLICIES, DTypePolicy, dtype_policy, get_policy
from uncrumple.core.errors import explain


class DTypePolicyMap(DTypePolicy):
    """Precision policies by the paths of layers, given as `dtype` to a layer that has layers within it.

    A layer takes the policy of its own `path`: by the very key, or else by the one key
    that, as a regular expression, matches the whole path, or else the default.

    Args:
        default_policy: For the layers that no key fits; None stands for the global policy.
        policy_map: {path or regular expression: policy}.

    Example:
        >>> policies = DTypePolicyMap("float32", {"encoder/.*": DTypePolicy("bfloat16")})
        >>> policies["encoder/dense"].name, policies["decoder/dense"].name
        ('bfloat16', 'float32')
    """

    def __init__(self, default_policy: Any = None, policy_map: dict[str, Any] | None = None) -> None:
        if isinstance(default_policy, DTypePolicyMap):
            raise ValueError(
                explain(
                    "DTypePolicyMap got a DTypePolicyMap as its default_policy.",
                    "Expected one policy for all other layers.",
                    "default_policy=other.default_policy",
                )
            )
        if policy_map is not None and not isinstance(policy_map, dict):
            raise TypeError(
                explain(
                    f"DTypePolicyMap got policy_map={policy_map!r}.",
                    "Expected {path: policy}.",
                    'policy_map={"encoder/.*": "bfloat16"}',
                )
            )
        default = get_policy(default_policy)
        super().__init__(default.name)
        self._name = f"map_{default.name}"
        self._given = None if default_policy is None else default
        self._named = default_policy if isinstance(default_policy, str) else None
        self._policies: dict[str, DTypePolicy] = {}
        for key, policy in (policy_map or {}).items():
            self[key] = policy

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of the layers that no key fits."""
        return dtype_policy() if self._given is None else self._given

    def __getitem__(self, key: str) -> DTypePolicy:
        if key in self._policies:
            return self._policies[key]
        fitting = [pattern for pattern in self._policies if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            raise ValueError(
                explain(
                    f"The path {key!r} fits {len(fitting)} keys of a DTypePolicyMap: {', '.join(map(repr, fitting))}.",
                    "Expected one at most.",
                    f"policies[{key!r}] = ..., for this layer alone",
                )
            )
        return self._policies[fitting[0]] if fitting else self.default_policy

    def __setitem__(self, key: str, policy: Any) -> None:
        if key in self._policies:
            raise ValueError(
                explain(
                    f"The DTypePolicyMap has a policy for {key!r} already: {self._policies[key].name!r}.",
                    "Expected a new key.",
                    f"del policies[{key!r}] first",
                )
            )
        try:
            re.compile(key)
        except (re.error, TypeError) as error:
            raise ValueError(
                explain(f"{key!r} is no key of a DTypePolicyMap: {error}.", "Expected a regular expression.", '"a/.*"')
            ) from None
        self._policies[key] = get_policy(policy)

    def __delitem__(self, key: str) -> None:
        del self._policies[key]

    def __contains__(self, key: object) -> bool:
        return key in self._policies

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def keys(self) -> Any:
        return self._policies.keys()

    def values(self) -> Any:
        return self._policies.values()

    def items(self) -> Any:
        return self._policies.items()

    def get(self, key: str, default: Any = None) -> Any:
        """Return the policy for a path, which is that of `[]`: no path is without one."""
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """Take a key out, and return its policy."""
        return self._policies.pop(key, *default)

    def popitem(self) -> tuple[str, DTypePolicy]:
        """Take the last key out, and return it with its policy."""
        return self._policies.popitem()

    def clear(self) -> None:
        """Take all keys out."""
        self._policies.clear()

    def setdefault(self, key: str, default: Any = None) -> DTypePolicy:
        """Return the policy of a key, which is `default` if it is new."""
        if key not in self._policies:
            self[key] = default
        return self._policies[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Enter several keys."""
        for key, policy in dict(*args, **kwargs).items():
            self[key] = policy

    def get_config(self) -> dict[str, Any]:
        default = self._named or (None if self._given is None else _written(self._given))
        return {
            "default_policy": default,
            "policy_map": {key: _written(policy) for key, policy in self._policies.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> DTypePolicyMap:
        return cls(config["default_policy"], config["policy_map"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DTypePolicyMap):
            return False
        return other._given == self._given and other._policies == self._policies

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        mapping = [(key, policy.name) for key, policy in self._policies.items()]
        return f"<DTypePolicyMap default_policy={self.default_policy.name}, mapping={mapping}>"


def _written(policy: DTypePolicy) -> dict[str, Any]:
    """Return a policy as Keras's files hold it."""
    name = type(policy).__name__
    module = "keras" if name == "DTypePolicy" else "keras.dtype_policies"
    return {"module": module, "class_name": name, "config": policy.get_config(), "registered_name": None}


POLICIES["DTypePolicyMap"] = DTypePolicyMap
