"""Builds the optional native kernels; everything else stands in pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# OpenMP shares the work between cores. -ffp-contract lets a multiplication and an addition be one instruction.
FLAGS = ["-O3", "-std=c++17", "-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden"]


class BuildKernels(build_ext):
    """Compiles `kernels.cpp` into a plain shared library; where that fails, the package goes without."""

    def build_extension(self, ext: Any) -> None:
        flags = [*FLAGS, *os.environ.get("UNCRUMPLE_NATIVE_FLAGS", "").split()]
        ext.extra_compile_args = flags
        ext.extra_link_args = os.environ.get("UNCRUMPLE_NATIVE_FLAGS", "").split()
        if self._has_openmp():
            ext.extra_compile_args = [*flags, "-fopenmp"]
            ext.extra_link_args = [*ext.extra_link_args, "-fopenmp"]
        super().build_extension(ext)

    def _has_openmp(self) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "one.cpp")
            with open(source, "w") as file:
                file.write("#include <omp.h>\nint threads() { return omp_get_max_threads(); }\n")
            compiler = getattr(self.compiler, "compiler_cxx", None) or ["c++"]
            command = [compiler[0], "-fopenmp", "-shared", "-fPIC", source, "-o", os.path.join(folder, "one.so")]
            try:
                return subprocess.run(command, capture_output=True).returncode == 0
            except OSError:
                return False

    def get_export_symbols(self, ext: Any) -> list[str]:
        return []  # not a Python module: there is no PyInit function


kernels = Extension(
    "uncrumple.kernels.native._kernels",
    sources=["src/uncrumple/kernels/native/kernels.cpp"],
    depends=sorted(str(path) for path in Path("src/uncrumple/kernels/native").glob("*.h")),
    language="c++",
    optional=True,
)
setup(ext_modules=[kernels], cmdclass={"build_ext": BuildKernels})
