"""How kernels are compiled, and two instructions of the processor that numba has no name for.

numba's cache only looks at the file of a kernel itself: after a change here or in `layout`, touch the kernels' files too.
"""

# Numba infers types, and annotations would only repeat them.
# pyright: reportMissingParameterType=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from matching.engine.layout import CACHE_LINE

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
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
