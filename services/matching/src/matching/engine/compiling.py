"""How kernels are compiled, and two instructions of the processor that numba has no name for.

numba's cache looks at the file of a kernel, not at what is inlined there from others. Here it looks at these too: what lies in
`_SHARED` belongs to every kernel. Add a file from which others inline, or which says how sides lie in memory.
"""

# Numba infers types, and annotations would only repeat them.
# pyright: reportMissingParameterType=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from matching.engine.layout import CACHE_LINE

_SHARED = ("compiling.py", "layout.py", "lists.py", "points.py", "scoring.py")


@cache
def _shared_stamp() -> bytes:
    return sha256(b"".join((Path(__file__).parent / name).read_bytes() for name in _SHARED)).digest()


def compiled(kernel):
    """Compiled when it is first called, or taken from the cache where no file that it is made of has changed."""
    made: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(kernel)
    kept = made._cache._cache_file  # numba has no other way to say what a kernel depends on
    kept._source_stamp = (kept._source_stamp, _shared_stamp())
    return made


inlined = numba.njit(inline="always", error_model="numpy")


@intrinsic
def first_bit(_typing, word):
    """The number of the lowest bit that is set; there is one."""

    def generate(context, builder, _signature, arguments):
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.uint64(types.uint64), generate


def _fetching(lines):
    """Asks the processor for the first lines of its cache that a record lies in, so that they are there when it is read."""

    def instruction(_typing, records, place):
        def generate(context, builder, signature, arguments):
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            number = cgutils.intp_t
            pointer = builder.ptrtoint(array.data, number)
            size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
            pointer = builder.add(pointer, builder.mul(arguments[1], number(size)))
            hint = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, cgutils.int32_t, cgutils.int32_t, cgutils.int32_t])
            prefetch = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], hint)
            for line in range(lines):
                at = builder.inttoptr(builder.add(pointer, number(line * CACHE_LINE)), cgutils.voidptr_t)
                builder.call(prefetch, [at, cgutils.int32_t(0), cgutils.int32_t(3), cgutils.int32_t(1)])
            return context.get_dummy_value()

        return types.none(records, types.int64), generate

    return instruction


fetch = intrinsic(_fetching(2))
fetch_line = intrinsic(_fetching(1))
