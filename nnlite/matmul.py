"""Matrix products in Numba: C = A B, or C += A B, for float32 and float64, each operand as it is or transposed.

Each product here equals this triple loop, up to the order of additions:

    for i in range(M):
        for j in range(N):
            for k in range(K):
                C[i, j] += A[i, k] * B[k, j]

Run as it stands, the loop is slow for two reasons. Each multiplication wants two numbers from memory, which takes many
times as long as to multiply them. And it does one at a time, each addition waiting for the one before to end, though
the processor could start eight others in that time, each on a whole vector of numbers. Four changes mend both, after
Goto and van de Geijn, ACM TOMS 34 (2008), and BLIS, Van Zee and van de Geijn, ACM TOMS 41 (2015).

1. Registers: the tile. The processor has 16 vector registers of 32 bytes (AVX-512: 32 of 64). One holds L numbers:
   8 float32 or 4 float64 (16 or 8). One instruction, fma, multiplies two vectors and adds a third. The tile is 6 rows
   and 2 L columns of C, and keeps them in 12 registers: 6 x 2, since with 2 for B and 1 for A that fills 15 of 16.
   For one k it does C += np.outer(A[:, k], B[k, :]): 2 vectors of B's row, and 6 numbers of A's column, each in all L
   places of a vector, make 12 fma out of 8 loads. No sum waits for another or leaves its register before the last k.
2. Panels: packing. The tile reads 6 numbers of A and 2 L of B for k, then those for k + 1. In memory they lie far
   apart, so they are first copied to lie one after another: A in panels of 6 rows, B in panels of 2 L columns.
3. Cache blocks. K is cut into blocks of 384; the first one sets C, unless it is to be added to, the others add to it.
   Caches are small memories near the processor, the first level about 32 KB, the second 256 KB or more. So that all
   is still there when it is wanted again, the tiles of a block of K follow in this order (sizes for float32):

       for each 72 rows of A:                 108 KB, which stay in the second level
           for each panel of B:               24 KB (AVX-512: 48 KB), in the first level, or partly in the second
               for each panel of those rows:  one tile

4. One thread pool. All threads together pack the smaller of A and B; then each takes a strip of 128 columns of the
   other (144 rows, if that is A), packs it for itself and multiplies, until no strip is left. A thread that the system
   slows down takes fewer. No two threads write to the same element of C, and each element is summed in the same order
   whoever does it: two runs agree to the last bit. If the smaller one's panels hold more than a million numbers, this
   is done for one slab of K after another.

Up to 5 rows times a B that is given transposed use no number often enough to pay for packing: B is read as it lies.

Reading: the loops begin at _product, near the end, and lead to _tile. Small letters a, b, c and o are positions in the
numbers of A, B, C and out, taken row by row (.flat); `row` is how many numbers one row of an array is away from the
next; W is the width of a panel, 6 or 2 L; -(-a // b) is a / b rounded up. What an @intrinsic returns are the types of a
new instruction and `generate`, by which the compiler writes it: its docstring, in NumPy's terms, is all that the
kernels need.
"""

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic, models, register_model

_features = numba.config.CPU_FEATURES  # None, unless NUMBA_CPU_FEATURES or NUMBA_CPU_NAME sets it
if _features is None:
    _features = binding.get_host_cpu_features().flatten()
BYTES = 64 if "+avx512f" in _features else 32  # of a vector
ROWS = 6  # of a tile, which is two vectors wide; _tile is written out for them
K_BLOCK = 384
BLOCK_ROWS = 72
STRIP_ROWS, STRIP_COLUMNS = 144, 128
PADDING = 16  # numbers after each panel, room for a whole vector; nor do all panels then begin at the same cache lines
FEW = 5
TINY = 10_000  # multiplications, which one thread makes before it could wake another
DTYPES = (np.float32, np.float64)

# "contract" permits a * b + c in one instruction, "reassoc" adding in another order, which vector sums need.
# The flags that let the compiler assume that there is no nan or inf stay off.
_options = {"fastmath": {"contract", "reassoc"}, "error_model": "numpy", "boundscheck": False, "cache": True}
jit = numba.njit(**_options)
jit_parallel = numba.njit(parallel=True, **_options)


class Vector(types.Type):
    """One vector register as a type of Numba: `lanes` numbers of one dtype."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.lanes = 8 * BYTES // dtype.bitwidth
        super().__init__(name=f"Vector({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, _llvm(vector))


def _llvm(vector):
    return ir.VectorType(ir.FloatType() if vector.dtype == types.float32 else ir.DoubleType(), vector.lanes)


def _place(context, builder, array_type, array, i, vector):
    """The address of array.flat[i], as that of a vector."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [i]), _llvm(vector).as_pointer())


# The instructions. Each takes an array and a position in array.flat. A load or store moves a whole vector and checks no
# bounds.


@intrinsic
def load(typing, array, i):
    """array.flat[i : i + lanes]"""
    vector = Vector(array.dtype)

    def generate(context, builder, signature, args):
        place = _place(context, builder, signature.args[0], *args, vector)
        return builder.load(place, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp), generate


@intrinsic
def store(typing, array, i, vector):
    """array.flat[i : i + lanes] = vector"""

    def generate(context, builder, signature, args):
        place = _place(context, builder, signature.args[0], *args[:2], vector)
        builder.store(args[2], place, align=vector.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def splat(typing, array, i):
    """array.flat[i] in every lane"""
    vector = Vector(array.dtype)

    def generate(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        number = builder.load(builder.gep(data, [args[1]]))
        first = builder.insert_element(ir.Constant(_llvm(vector), ir.Undefined), number, ir.IntType(32)(0))
        return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), None))

    return vector(array, types.intp), generate


@intrinsic
def zeros(typing, array):
    """0 in every lane, of the dtype of array"""
    vector = Vector(array.dtype)
    return vector(array), lambda context, builder, signature, args: ir.Constant(_llvm(vector), None)


@intrinsic
def fma(typing, a, b, c):
    """a * b + c, lane by lane, rounded once"""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(_llvm(a), [_llvm(a)] * 3)
        name = f"llvm.fma.v{a.lanes}f{a.dtype.bitwidth}"
        return builder.call(builder.module.declare_intrinsic(name, fnty=kind), args)

    return a(a, b, c), generate


@intrinsic
def add(typing, a, b):
    """a + b, lane by lane"""
    return a(a, b), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def prefetch(typing, array, i):
    """Ask for the memory around array.flat[i], which is wanted soon."""

    def generate(context, builder, signature, args):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        place = builder.bitcast(_place(context, builder, signature.args[0], *args, Vector(array.dtype)), byte)
        read, keep, data = word(0), word(3), word(1)
        function = builder.module.declare_intrinsic("llvm.prefetch.p0", fnty=kind)
        builder.call(function, [place, read, keep, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _turn(width):
    """The instructions that fill L rows of a panel, W = width(L) wide, from a source in which k runs along the rows."""

    @intrinsic
    def turn(typing, source, i, row, target, o):
        """target.flat[o + k * W + j] = source.flat[i + j * row + k] for k < L and j < W

        Vectors are loaded along k, transposed in registers, and stored along j. For L = 4: abcd, efgh, ijkl, mnop
        become aibj, ckdl, emfn, gohp, where each of the first half is zipped with one of the second, and once more so
        aeim, bfjn, cgko, dhlp. A store of more numbers than are left of W spills into the next k, which is stored after
        it, or into the padding.
        """
        vector = Vector(source.dtype)
        lanes, align = vector.lanes, source.dtype.bitwidth // 8
        W, half = width(lanes), lanes // 2
        zips = [[h * half + q // 2 + q % 2 * lanes for q in range(lanes)] for h in (0, 1)]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), lanes), numbers) for numbers in zips]

        def turned(builder, vectors):
            vectors = vectors + [ir.Constant(_llvm(vector), ir.Undefined)] * (lanes - len(vectors))
            for _ in range(lanes.bit_length() - 1):  # zip vector n with vector n + L / 2, log2(L) times
                pairs = zip(vectors[:half], vectors[half:])
                vectors = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in masks]
            return vectors

        def generate(context, builder, signature, args):
            source, i, row, target, o = args

            def at(which, position):
                return _place(context, builder, signature.args[which], args[which], position, vector)

            rows = []
            for _ in range(W):
                rows.append(builder.load(at(0, i), align=align))
                i = builder.add(i, row)
            squares = [turned(builder, rows[j : j + lanes]) for j in range(0, W, lanes)]
            for k in range(lanes):
                for n, square in enumerate(squares):
                    builder.store(square[k], at(3, builder.add(o, o.type(k * W + n * lanes))), align=align)
            return context.get_dummy_value()

        return types.void(source, types.intp, types.intp, target, types.intp), generate

    return turn


turn_rows = _turn(lambda lanes: ROWS)
turn_columns = _turn(lambda lanes: 2 * lanes)


@intrinsic
def compile_plainly(typing):
    """No instruction, but a wish: not to inline the function that contains it, nor to unroll its loops. That would
    multiply the time of compilation and gain nothing."""

    def generate(context, builder, signature, args):
        for attribute in ("noinline", "optsize"):
            builder.function.attributes.add(attribute)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def take(typing, counter):
    """counter[0], and add 1 to it, as one step that no other thread can come between"""

    def generate(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.IntType(64)(1), "monotonic")

    return types.intp(counter), generate


@jit
def _tile(A, a, B, b, K, C, c, row, adding):
    """C[0:6, 0:2L] = A B, or += if adding: one panel of A, from A[a] on, times one panel of B, from B[b] on.

    c: the position of the tile's first number in C; row: how far C's rows are apart.
    """
    L = BYTES // C.itemsize
    for r in range(6):
        prefetch(C, c + r * row)
    c00 = c01 = c10 = c11 = c20 = c21 = zeros(C)
    c30 = c31 = c40 = c41 = c50 = c51 = zeros(C)
    for _ in range(K):
        b0, b1 = load(B, b), load(B, b + L)
        x = splat(A, a)
        c00, c01 = fma(x, b0, c00), fma(x, b1, c01)
        x = splat(A, a + 1)
        c10, c11 = fma(x, b0, c10), fma(x, b1, c11)
        x = splat(A, a + 2)
        c20, c21 = fma(x, b0, c20), fma(x, b1, c21)
        x = splat(A, a + 3)
        c30, c31 = fma(x, b0, c30), fma(x, b1, c31)
        x = splat(A, a + 4)
        c40, c41 = fma(x, b0, c40), fma(x, b1, c41)
        x = splat(A, a + 5)
        c50, c51 = fma(x, b0, c50), fma(x, b1, c51)
        a += 6
        b += 2 * L
    _put(C, c, c00, c01, adding)
    _put(C, c + row, c10, c11, adding)
    _put(C, c + 2 * row, c20, c21, adding)
    _put(C, c + 3 * row, c30, c31, adding)
    _put(C, c + 4 * row, c40, c41, adding)
    _put(C, c + 5 * row, c50, c51, adding)


@jit
def _put(C, c, v0, v1, adding):
    L = BYTES // C.itemsize
    if adding:
        v0, v1 = add(v0, load(C, c)), add(v1, load(C, c + L))
    store(C, c, v0)
    store(C, c + L, v1)


@jit
def _pack(X, row, along, W, k0, k1, i0, i1, out, o):
    """Panels of W lines of X, rows of A or columns of B, one panel after another, `size` numbers each:

    out[o + p * size + k * W + j] is number k0 + k of line i0 + p * W + j, or 0 from line i1 on.
    along: whether k runs along the rows of X, which are `row` numbers long, or across them.
    """
    compile_plainly()
    L = BYTES // X.itemsize
    size = (k1 - k0) * W + PADDING
    whole = (i1 - i0) // W  # panels, which vectors pack up to the k `packed`; the loop at the end packs what is left
    if along:
        packed = k0 + (k1 - k0) // L * L
        for p in range(whole):
            for k in range(k0, packed, L):
                source, target = (i0 + p * W) * row + k, o + p * size + (k - k0) * W
                if W == ROWS:
                    turn_rows(X, source, row, out, target)
                else:
                    turn_columns(X, source, row, out, target)
    else:
        too_many = -W % L  # numbers that whole vectors hold beyond W: X's row must have them, and in `out` the next k
        packed, whole = k1, min(whole, (row - i0 - too_many) // W)  # overwrites them
        for k in range(k0, k1):
            for p in range(whole):
                source, target = k * row + i0 + p * W, o + p * size + (k - k0) * W
                prefetch(X, source + 12 * row)  # rows lie far apart: the processor does not guess the next
                for v in range(0, W, L):
                    store(out, target + v, load(X, source + v))
    line, step = (row, 1) if along else (1, row)  # how far lines, and numbers of one, are apart
    for i in range(i0, i1, W):
        p = (i - i0) // W
        for k in range(packed if p < whole else k0, k1):
            for j in range(W):
                number = X[(i + j) * line + k * step] if i + j < i1 else 0
                out[o + p * size + (k - k0) * W + j] = number


@jit
def _multiply(A, a, rows, B, b, columns, K, C, c, row, adding, edge):
    """Packed A times packed B to `rows` rows and `columns` columns of C, from position c on; or += if adding.

    Where fewer than 6 rows or 2L columns are left, the tile goes to `edge`, and what is wanted of it to C.
    """
    compile_plainly()
    W = 2 * BYTES // C.itemsize
    for j in range(0, columns, W):
        panel = a
        for i in range(0, rows, ROWS):
            place, whole = c + i * row + j, i + ROWS <= rows and j + W <= columns
            if whole:
                target, at, apart = C, place, row
            else:
                target, at, apart = edge, 0, W
            _tile(A, panel, B, b, K, target, at, apart, adding and whole)
            if not whole:
                for r in range(min(ROWS, rows - i)):
                    for q in range(min(W, columns - j)):
                        number = edge[r * W + q]
                        C[place + r * row + q] = number + C[place + r * row + q] if adding else number
            panel += K * ROWS + PADDING
        b += K * W + PADDING


@jit
def _pack_some(X, row, along, W, lines, s0, s1, block_size, shared, jobs):
    """What each thread does first: take 4 panels of the smaller operand's slab, pack them, until none is left."""
    groups = -(-lines // (4 * W))
    job = take(jobs)
    while job < -(-(s1 - s0) // K_BLOCK) * groups:
        block, i = job // groups, job % groups * 4 * W
        k0 = s0 + block * K_BLOCK
        k1 = min(s1, k0 + K_BLOCK)
        o = block * block_size + i // W * ((k1 - k0) * W + PADDING)
        _pack(X, row, along, W, k0, k1, i, min(lines, i + 4 * W), shared, o)
        job = take(jobs)


@jit
def _multiply_some(X, row, along, wide, M, N, s0, s1, block_size, shared, own, edge, jobs, C, adding):
    """What each thread does then: take a strip of the larger operand, pack it and multiply, until none is left."""
    W, lines, strip = (2 * BYTES // C.itemsize, N, STRIP_COLUMNS) if wide else (ROWS, M, STRIP_ROWS)
    n0 = take(jobs) * strip
    while n0 < lines:
        n1 = min(lines, n0 + strip)
        for k0 in range(s0, s1, K_BLOCK):
            k1 = min(s1, k0 + K_BLOCK)
            _pack(X, row, along, W, k0, k1, n0, n1, own, 0)
            o = (k0 - s0) // K_BLOCK * block_size
            if wide:  # all rows of A, columns n0 to n1 of B
                left, a, rows, right, b, columns, c = shared, o, M, own, 0, n1 - n0, n0
            else:  # rows n0 to n1 of A, all columns of B
                left, a, rows, right, b, columns, c = own, 0, n1 - n0, shared, o, N, n0 * N
            for i in range(0, rows, BLOCK_ROWS):
                some = min(BLOCK_ROWS, rows - i)
                _multiply(left, a, some, right, b, columns, k1 - k0, C, c + i * N, N, adding or k0 > 0, edge)
                a += BLOCK_ROWS // ROWS * ((k1 - k0) * ROWS + PADDING)
        n0 = take(jobs) * strip


@jit_parallel
def _product(A, At, B, Bt, M, N, K, C, adding, W, block_size, shared, own, edges, jobs, threads):
    """C = A B, or +=; A, B, C: row after row. At, Bt: whether A and B are given transposed.

    W, block_size: the width of the smaller operand's panels, and how many numbers those of one block of K hold.
    shared: room for the packed blocks of the smaller operand, for as many k as fit, which are a slab; own[t] and
    edges[t]: thread t's, for a packed strip and a tile at the edge of C; jobs[0]: the next panels or strip to take.
    """
    left, right = (A, M if At else K, not At), (B, K if Bt else N, Bt)  # each with _pack's `row` and `along`
    wide = M <= N  # then A is the smaller, which all pack together, and a strip is one of B's columns
    (smaller, larger), lines = ((left, right), M) if wide else ((right, left), N)
    slab = shared.size // block_size * K_BLOCK
    for s0 in range(0, K, slab):
        s1 = min(K, s0 + slab)
        for packing in (True, False):
            jobs[0] = 0
            # a prange ends when all threads have: nobody multiplies what is not packed yet
            for t in numba.prange(threads):
                if packing:
                    _pack_some(*smaller, W, lines, s0, s1, block_size, shared, jobs)
                else:
                    _multiply_some(*larger, wide, M, N, s0, s1, block_size, shared, own[t], edges[t], jobs, C, adding)


@jit_parallel
def _few_rows(A, B, C, adding):
    """C = A B^T, or +=, for few rows: C[m, n] is the dot product of row m of A and row n of B."""
    for n in numba.prange(B.shape[0]):
        for m in range(A.shape[0]):
            total = C[m, n] if adding else C.dtype.type(0)
            for k in range(A.shape[1]):
                total += A[m, k] * B[n, k]
            C[m, n] = total


_scratch = {}  # by dtype, made once and kept: the system hands out new memory slowly


def _scratch_of(dtype, numbers):
    """_product's shared, own, edges and jobs; `numbers` is how many one block of K of the smaller operand takes."""
    if dtype not in _scratch or _scratch[dtype][0].size < numbers:
        threads, L = numba.config.NUMBA_NUM_THREADS, BYTES // dtype.itemsize
        shared = np.empty(max(numbers, 1 << 20), dtype)
        own = np.empty((threads, (STRIP_ROWS + 2 * L) * (K_BLOCK + PADDING)), dtype)  # a strip in whole panels
        _scratch[dtype] = shared, own, np.empty((threads, ROWS * 2 * L), dtype), np.zeros(1, np.int64)
    return _scratch[dtype]


def matmul(a, b, out=None, add=False):
    """a @ b; in `out` if that is given, and added to what is there if `add`: see accelerated() in backend.py.

    a: (M, K), b: (K, N), out: (M, N), row-major; one dtype, float32 or float64. `a` and `b` may be transposed views
    (read without a copy) or have any other strides (copied first). `out` must not overlap them. One caller at a time.
    Returns NotImplemented for all else.
    """
    fits = a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] and a.dtype == b.dtype and a.dtype in DTYPES
    if not fits:
        return NotImplemented
    (M, K), N = a.shape, b.shape[1]
    if out is None:
        out, add = np.empty((M, N), a.dtype), False
    elif out.shape != (M, N) or out.dtype != a.dtype or not (out.flags.c_contiguous and out.flags.writeable):
        return NotImplemented
    if 0 in (M, N, K):
        if not add:
            out[...] = 0
        return out
    (A, At), (B, Bt) = _row_major(a), _row_major(b)
    before = numba.get_num_threads()
    threads = before if M * N * K > TINY else 1
    numba.set_num_threads(threads)
    try:
        if M <= FEW and Bt and not At:
            _few_rows(A, B, out, add)
        else:
            W = ROWS if M <= N else 2 * BYTES // out.itemsize
            block_size = -(-min(M, N) // W) * (K_BLOCK * W + PADDING)
            A, B, C = (array.reshape(-1) for array in (A, B, out))
            _product(A, At, B, Bt, M, N, K, C, add, W, block_size, *_scratch_of(out.dtype, block_size), threads)
    finally:
        numba.set_num_threads(before)
    return out


def _row_major(a):
    """(array, transposed): `array` is C-contiguous, and `a` is that array or its transpose."""
    transposed = a.flags.f_contiguous and not a.flags.c_contiguous
    return read_only(a.T if transposed else np.ascontiguousarray(a)), transposed


def read_only(array):
    """A view that is not to be written to. To Numba that is another type: all inputs alike, it compiles once."""
    view = array.view()
    view.flags.writeable = False
    return view
