"""Builds fastnn/kernels/core.pyx once for each instruction set and dtype.  Everything else is in pyproject.toml."""

import os
import platform
import tempfile
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = "src/fastnn/kernels"
X86 = platform.machine().lower() in ("x86_64", "amd64")
LEVELS = {"base": []}
if X86:  # base is plain scalar code there: what an unknown compiler gets, and what tests compare the others with
    LEVELS = {
        # -O2 for processors of before 2013: the wheel is to stay below 3 MB.
        "base": ["-O2", "-fno-tree-vectorize"],  # gcc 12 vectorises its tiles into reads past the end of B
        "v2": ["-O2", "-ftree-vectorize", "-march=x86-64-v2"],
        "v3": ["-march=x86-64-v3"],
        "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    }
if chosen := os.environ.get("FASTNN_LEVELS"):  # for development: a build of all takes long
    LEVELS = {level: flags for level, flags in LEVELS.items() if level in chosen.split(",")}
DTYPES = {"f32": [], "f64": [("FASTNN_F64", None)]}
# No contraction: where the kernels want a fused multiply-add they say so (simd.h), and every compiler's bits are the
# same. No -ffast-math, nor any part of it that touches results: NaN and infinity must survive.
# Nor tables for unwinding, which C has no use for, and the wheel would carry.
FLAGS = ["-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]
FLAGS += ["-fno-asynchronous-unwind-tables"]
LINK = ["-pthread", *([] if platform.system() == "Darwin" else ["-Wl,-s"])]  # stripped: a fifth of the size
MACROS = [
    ("Py_LIMITED_API", "0x030B0000"),
    ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
    ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
]


def translate(name: str, source: str, build_dir: str) -> Extension:
    # One build_dir for each: the C file carries the module's name.  Flags are set later, in BuildKernels: cythonize
    # hands the list settings of one Extension on to the next of the same source.
    [extension] = cythonize(
        [Extension(f"fastnn.kernels.{name}", [f"{KERNELS}/{source}"])],
        build_dir=f"build/cython/{build_dir}",
        quiet=True,
    )
    extension.include_dirs = [KERNELS, numpy.get_include()]
    extension.py_limited_api = True
    extension.define_macros = list(MACROS)
    return extension


class BuildKernels(build_ext):
    """Choose the flags by trying them: what the compiler does not take is left out, down to plain scalar code."""

    def build_extensions(self) -> None:
        unix = self.compiler.compiler_type in ("unix", "cygwin", "mingw32")
        flags = [f for f in [*FLAGS, "-pthread"] if unix and self.compiles([f])]
        link = [f for f in LINK if unix and self.compiles([], [f])]
        inline = unix and self.compiles(
            ["-DTEST=inline __attribute__((always_inline))"],
            code="static TEST int f(int x) { return x; } int main(void) { return f(0); }",
        )
        kept = []
        for extension in self.extensions:
            level = extension.name.rpartition("_")[2]
            march = LEVELS.get(level, [])
            if level == "base":  # must always be built, with as much of its flags as there is
                march = [f for f in march if unix and self.compiles([f])]
            elif march and not (unix and self.compiles(march)):
                continue
            # Cython's inline functions are the kernels' building blocks; gcc leaves them out of line unless told.
            extension.extra_compile_args = (
                flags + march + (["-DCYTHON_INLINE=inline __attribute__((always_inline))"] if inline else [])
            )
            extension.extra_link_args = link
            kept.append(extension)
        self.extensions = kept
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()

    def compiles(
        self, flags: list[str], link: list[str] | None = None, code: str = "int main(void) { return 0; }"
    ) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "try.c")
            source.write_text(code)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=["-Werror", *flags])
                if link is not None:
                    self.compiler.link_executable(objects, str(Path(folder, "try")), extra_postargs=link)
            except Exception:  # distutils raises what its compiler class likes
                return False
        return True


extensions = [translate("_cpu", "cpu.pyx", "cpu")]
for dtype, macros in DTYPES.items():
    for level in LEVELS:
        extension = translate(f"_{dtype}_{level}", "core.pyx", f"{dtype}_{level}")
        extension.define_macros += macros + ([("FASTNN_PLAIN", None)] if X86 and level == "base" else [])
        extensions.append(extension)

setup(
    ext_modules=extensions, cmdclass={"build_ext": BuildKernels}, options={"bdist_wheel": {"py_limited_api": "cp311"}}
)
