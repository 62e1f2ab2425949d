"""Records work on the CPU as CUDA's graphs do on a GPU, so that what depends on it can be tested without one.

While work is recorded, nothing happens to memory that was there before. To play it again is to run the same
operations of torch on the same memory: numbers and shapes that Python worked out, and random numbers that it drew, are
what they were.
"""

from contextlib import nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


def memory_of(tensor):
    return tensor.untyped_storage().data_ptr()


class _Tape(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls, self.before, self.made = [], {}, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        args, kwargs = tree_map_only(torch.Tensor, torch.Tensor.detach, (args, kwargs))
        given = []
        tree_map_only(torch.Tensor, given.append, (args, kwargs))
        if function.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            raise RuntimeError("operation not permitted when stream is capturing")
        # torch does not say that batch normalization writes into its averages.
        writes = any(one.alias_info is not None and one.alias_info.is_write for one in function._schema.arguments)
        if writes or function.overloadpacket is torch.ops.aten.native_batch_norm:
            known = self.before.keys() | {memory_of(one) for one in self.made}
            for one in given:
                if memory_of(one) not in known:
                    whole = torch.as_strided(one, (one.untyped_storage().nbytes() // one.element_size(),), (1,), 0)
                    self.before[memory_of(one)] = whole, whole.clone()
        out = function(*args, **kwargs)
        outs = []
        tree_map_only(torch.Tensor, outs.append, out)
        places = {memory_of(one) for one in given}
        fresh = [one for one in outs if memory_of(one) not in places]
        self.made += fresh
        if fresh or not outs or function._schema.is_mutable:
            self.calls.append((function, args, kwargs, fresh))
        return out

    def play(self):
        with torch.no_grad():
            for function, args, kwargs, fresh in self.calls:
                outs = []
                tree_map_only(torch.Tensor, outs.append, function(*args, **kwargs))
                for own, now in zip(fresh, outs, strict=False):
                    own.copy_(now)


class TapeRecorder:
    """Stands in for `Recorder`, and counts."""

    def __init__(self):
        self.recorded = self.played = 0
        self.room = True

    def generator(self):
        return torch.default_generator

    def aside(self):
        return nullcontext()

    def has_room(self):
        return self.room

    def record(self, work, generators):
        drawn = [one.get_state() for one in generators]
        with _Tape() as tape:
            result = work()
        with torch.no_grad():
            for whole, value in tape.before.values():
                whole.copy_(value)
        for one, state in zip(generators, drawn, strict=True):
            one.set_state(state)
        self.recorded += 1

        def replay():
            self.played += 1
            tape.play()

        return replay, result
