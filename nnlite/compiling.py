"""How the kernels are compiled: Numba's decorators, a cache whose files may fail, and what the processor can do."""

import contextlib
import functools
import hashlib
import logging
import pickle
import re

import numba
from llvmlite import binding, ir
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.registry import cpu_target
from numba.core.serialize import dumps


class _Checked(CompileResultCacheImpl):
    """What is kept of a compiled function, with a digest of it and its name: no other machine code must run."""

    def reduce(self, compiled):
        data = dumps(super().reduce(compiled))
        return self._digest(data), data

    def rebuild(self, context, kept):
        digest, data = kept
        if self._digest(data) != digest:
            raise ValueError("found another digest than its contents have")
        return super().rebuild(context, pickle.loads(data))

    def _digest(self, data):
        return hashlib.sha256(self.filename_base.encode() + data).digest()


class _Cache(FunctionCache):
    """Numba's cache of a function, but no fault of its files ends a run: the function is compiled again."""

    _impl_class = _Checked

    def __init__(self, function):
        self._fault = None
        try:
            super().__init__(function)
        except (RuntimeError, OSError):
            self._fault = "no folder can be written to"
            self.disable()

    def load_overload(self, signature, context):
        try:
            found = super().load_overload(signature, context)
            if found is None or found.signature.args == tuple(signature):
                return found
        except Exception:  # damaged files raise almost anything
            pass
        with contextlib.suppress(OSError):
            self.flush()  # their index: the function is compiled again, and kept in their place

    def save_overload(self, signature, compiled):
        try:
            super().save_overload(signature, compiled)
        except Exception as error:  # such as a full disk, or a damaged index that cannot be replaced
            self._fault = f"{self.cache_path}: {getattr(error, 'strerror', None) or error}"
        if self._fault:
            _say_not_kept(self._fault)


@functools.cache
def _say_not_kept(fault):
    sentence = "what is compiled cannot be kept ({}), so each run compiles; NUMBA_CACHE_DIR may name another folder"
    logging.getLogger("nnlite").warning("nnlite: " + sentence.format(fault))


def jit(function, parallel=False):
    # "contract" permits a * b + c in one instruction, "reassoc" adding in another order, which vector sums need.
    # The flags that let the compiler assume that there is no nan or inf stay off.
    options = {"fastmath": {"contract", "reassoc"}, "error_model": "numpy", "boundscheck": False}
    dispatcher = numba.njit(parallel=parallel, **options)(function)
    dispatcher._cache = _Cache(function)  # where cache=True puts a FunctionCache
    return dispatcher


jit_parallel = functools.partial(jit, parallel=True)


def vector_registers():
    """(how many vector registers the processor has, how many bytes each holds, whether it has the instruction fma).

    x y + z is compiled for 16, 8 and 4 floats: the most for which one instruction adds are as many as a register holds.
    """
    compiler = cpu_target.target_context.codegen()._tm  # LLVM's TargetMachine, as Numba has set it up
    for lanes in (16, 8, 4):
        vector, module = ir.VectorType(ir.FloatType(), lanes), ir.Module()
        function = ir.Function(module, ir.FunctionType(vector, [vector] * 3), "multiply_and_add")
        builder = ir.IRBuilder(function.append_basic_block())
        x, y, z = function.args
        builder.ret(builder.fadd(builder.fmul(x, y, flags=["contract"]), z, flags=["contract"]))
        assembly = compiler.emit_assembly(binding.parse_assembly(str(module)))
        adding = re.findall("fmadd|fmla|addps|fadd", assembly)  # as x86 and ARM call them
        if len(adding) == 1:
            break
    is_wide = lanes == 16 or compiler.triple.startswith(("aarch64", "arm64"))
    return 32 if is_wide else 16, 4 * lanes, "fmadd" in adding or "fmla" in adding
