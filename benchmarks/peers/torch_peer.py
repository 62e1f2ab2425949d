"""Plain torch: an eager loop that does only what learning needs, and the same with torch.compile."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
import torch
from peers.turns import Turns
from torch import nn
from workloads import Arrays, Workload, start_like_keras


def choose_products(device: str) -> None:
    """Let a GPU multiply float32 as float32, or all of it in TF32: torch's own choice differs between layers."""
    if device == "cuda":
        tf32 = os.environ.get("BENCHMARK_TF32") == "1"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32


class TorchPeer:
    """Fused Adam; channels last where that is faster; autocast under mixed_bfloat16.

    On a GPU (`BENCHMARK_DEVICE=cuda`) the compiler looks for the fastest kernels
    ("max-autotune"); on a CPU that takes minutes and was not faster.

    Args:
        compiled: Whether the model is compiled.
    """

    def __init__(self, compiled: bool) -> None:
        self.compiled, self.device = compiled, torch.device(os.environ.get("BENCHMARK_DEVICE", "cpu"))
        self.mode = "max-autotune" if self.device.type == "cuda" else None
        choose_products(self.device.type)
        torch.zeros(1, device=self.device)  # fails here and now if there is no such device
        self.threads = int(os.environ.get("BENCHMARK_THREADS", "0")) or torch.get_num_threads()
        torch.set_num_threads(self.threads)

    def versions(self) -> dict[str, Any]:
        return {
            "versions": {"torch": torch.__version__},
            "threads": self.threads,
            "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        }

    def _prepared(self, workload: Workload, x: np.ndarray, channels_last: bool) -> tuple[nn.Module, torch.Tensor]:
        torch.manual_seed(0)
        torch.set_num_threads(1 if workload.tiny else self.threads)
        model = start_like_keras(workload.in_torch()).to(self.device)
        samples = torch.from_numpy(x)
        if samples.ndim == 4:
            samples = samples.permute(0, 3, 1, 2)  # memory stays channels last
            if channels_last:
                model = model.to(memory_format=torch.channels_last)
            else:
                samples = samples.contiguous()
        return model, samples.to(self.device)

    def _compiled(self, model: nn.Module) -> Any:
        if not self.compiled:
            return model
        torch.compiler.reset()
        return torch.compile(model, mode=self.mode, dynamic=False)

    def train(self, workload: Workload, policy: str, arrays: Arrays, batch: int, turns: Turns) -> None:
        model, x = self._prepared(workload, arrays[0], policy in workload.channels_last)
        y = torch.from_numpy(arrays[1]).long().to(self.device)
        forward = self._compiled(model)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)
        loss_function = nn.CrossEntropyLoss()
        half = policy == "mixed_bfloat16"
        model.train()
        while turns.begin():
            order, losses = torch.randperm(len(x), device=self.device), []
            for begin in range(0, len(x), batch):
                index = order[begin : begin + batch]
                optimizer.zero_grad()
                with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                    loss = loss_function(forward(x[index]), y[index])
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            turns.end(lambda losses=losses: torch.stack(losses).mean().item())

    @torch.inference_mode()
    def predict(self, workload: Workload, policy: str, x: np.ndarray, calls: int, turns: Turns) -> None:
        model, samples = self._prepared(workload, x, channels_last=True)
        model.eval()
        half = policy == "mixed_bfloat16"
        if half:
            model, samples = model.to(torch.bfloat16), samples.to(torch.bfloat16)
        if self.compiled:
            from torch._inductor import config

            config.freezing = True
        forward = self._compiled(model)
        while turns.begin():
            for _ in range(calls):
                last = forward(samples)
            turns.end(lambda last=last: float(last.float().abs().mean()))
        if self.compiled:
            config.freezing = False
