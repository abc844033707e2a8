"""Matrix products in Numba: C = A B, or C += A B, for float32 and float64, each operand as it is or transposed.

Each product here equals this triple loop, up to the order of additions:

    for i in range(M):
        for j in range(N):
            for k in range(K):
                C[i, j] += A[i, k] * B[k, j]

Run as it stands, the loop is slow for two reasons. Each multiplication wants two numbers from memory, which takes many
times as long as to multiply them. And each addition waits for the one before, though the processor could start eight
others meanwhile, each on a whole vector of numbers. Six changes mend both, the first three after Goto and van de Geijn,
ACM TOMS 34 (2008), and BLIS, Van Zee and van de Geijn, ACM TOMS 41 (2015).

1. Registers: the tile. With AVX-512 the processor has 32 vector registers of 64 bytes, with AVX 16 of 32, before it 16
   of 16; ARM has 32 of 16. One holds L numbers: with 64 bytes 16 float32 or 8 float64. One instruction, fma, multiplies
   two vectors and adds a third; on a processor without it, two do. The tile is 6 rows and 4 L columns of C (2 L with 16
   registers): 24 registers (or 12), which leaves room for 4 vectors of B (or 2) and one of A. For one k it does
   C += np.outer(A[:, k], B[k, :]): 4 vectors of B's row, and 6 numbers of A's column, each in all L places of a vector,
   make 24 fma out of 10 loads. No sum waits for another or leaves its register before the last k of a block.
2. Cache: the block. At most 512 x 512 numbers of B, and 512 KB (less with shorter vectors), stay in the second-level
   cache, which holds 1 MB here, while the rows of A pass by, 6 at a time. Where k runs on, the other blocks add to what
   the first one set.
3. Packing, where it pays. A cache keeps a number at a place that follows from its address: in the first level the same
   for all that lie 4 KB apart, at each place but a few (8). In a matrix with rows of 48 KB a column meets one place
   only, where its numbers drive each other out. So a block of B is copied, panel by panel, each as wide as a tile, to
   lie as the tile reads it. But a copied number serves only as many multiplications as A has rows, and 64 hardly pay
   for it. Whole rows of memory meet all places evenly. So a block that is whole rows of B, and of tiles, is read as it
   lies. So is A, but for rows left over from the last tile, if k runs along its rows in memory (6 still have room at
   one place), or if a job takes those rows whole; else it is packed too. With 16 registers a tile makes half as many
   fma out of as many loads from A, which must then be fast: all is packed.
4. Turning. A tile reads rows of B. Where B is given transposed, as in y = x W^T, it is C^T = W x^T that is computed:
   the large W takes the part of A and is read as it lies, x^T is turned while it is packed, C^T when it is done. But
   not if the rows of x, then columns, would leave too much of the last tile empty.
5. Asking ahead. Memory answers after some hundred cycles. So with every 16 k a tile asks for 6 cache lines of what
   comes next from afar: if A is given transposed, the next 6 rows of C; else the next block of B, if that is read as
   it lies; else the next 6 rows of A. To ask for what is not there, or is here, does no harm.
6. Jobs. The longest of M, N and K is cut, into 4 jobs a thread if none gets shorter than 50 microseconds. A job is a
   product by one thread, which waits for no other; one that the system slows down takes fewer jobs. Cutting K lets a
   job use each number that it fetches M or N times. Its price: each part of K has sums of its own, M x N numbers, which
   come and go with each block of k, and once more when they are added up. So K is cut into 8 parts at most, and M or N
   into strips if more jobs are wanted. No two threads write to the same number, and each is summed in the same order,
   whoever does it and however many they are: two runs agree to the last bit.

The large products of the autoencoder, for x (n, 12288), h (n, 512), W (512, 12288) and V (12288, 512):

    product            computed as   rows, columns, k   A            B                   C              cut
    y = x W^T          W x^T         512, n, 12288      as it lies   turned and packed   sums, turned   k
    y = h V^T          V h^T         12288, n, 512      as it lies   turned and packed   turned         rows
    dL/dh = dL/dy V                  n, 512, 12288      as it lies   as it lies          sums           k
    dL/dW = dL/dy^T x                512, 12288, n      as it lies   packed              as it lies     columns
    dL/dV = dL/dy^T h                12288, 512, n      packed       as it lies, n<=256  as it lies     rows

Of W and V, only rows left over from the last tile are copied. Up to 5 rows times a transposed B are dot products.

Reading: the loops begin in matmul, at the end, and lead by _product and _job to _tile. Small letters a, b and c are
positions in the numbers of A, B and C, taken row by row; `row` is how many numbers one row is away from the next;
-(-a // b) is a / b rounded up. What an @intrinsic returns are the types of a new instruction and `generate`, by which
the compiler writes it: its docstring, in NumPy's terms, is all that the kernels need.
"""

import functools

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from nnlite.compiling import jit, jit_parallel, vector_registers

REGISTERS, BYTES, HAS_FMA = vector_registers()
VECTORS = 4 if REGISTERS == 32 else 2  # in a row of a tile
ROWS = 6  # of a tile
SIDE, BLOCK = 512, 2**13 * BYTES  # rows or columns, and bytes, that a block of B has at most
CHUNK = 96  # rows of A that are packed, or of C^T that are turned, at a time: whole tiles and whole vectors
PADDING = 16  # numbers after each packed row of A, so that not all begin at the same place of a cache
AHEAD = 16  # of k between requests for what is wanted next: the float32 of a cache line
JOBS, JOB = 4, 3_000_000  # of a thread at most, and multiplications of a job at least, some 50 microseconds
PARTS, SUMS = 8, 2**21  # of K at most, and numbers that the sums of all have at most
ADDED = 16  # rows of sums that are added up at a time
FEW, EMPTY = 5, 20  # rows of x up to which x W^T is dot products; columns of a tile that W x^T may leave empty
DTYPES = (np.float32, np.float64)


class Tile(types.Type):
    """ROWS x VECTORS vector registers as a type of Numba; each holds `lanes` numbers of one dtype."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.lanes = 8 * BYTES // dtype.bitwidth
        self.vector = ir.VectorType(ir.FloatType() if dtype == types.float32 else ir.DoubleType(), self.lanes)
        super().__init__(name=f"Tile({dtype})")


@register_model(Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager, tile):
        super().__init__(manager, tile, ir.ArrayType(ir.ArrayType(tile.vector, VECTORS), ROWS))


# The instructions. Each takes pointers and positions: p[i] is number i from where p points to. A load or store moves a
# whole vector and checks no bounds; align=4 says that it may begin at any number.


@intrinsic
def pointer(typing, array):
    """To array.flat[0]. With every array that is handed on Numba counts who holds it: one counter, for all threads."""

    def generate(context, builder, signature, args):
        return context.make_array(array)(context, builder, *args).data

    return types.CPointer(array.dtype)(array), generate


def _vectors(builder, p, i, tile, count=1):
    """The places of `count` vectors one after another, from p[i] on."""
    first = builder.bitcast(builder.gep(p, [i]), tile.vector.as_pointer())
    return [builder.gep(first, [i.type(v)]) for v in range(count)]


@intrinsic
def zeros(typing, C):
    """A tile of zeros, of the dtype of C"""
    tile = Tile(C.dtype)
    return tile(C), lambda context, builder, signature, args: ir.Constant(context.get_value_type(tile), None)


@intrinsic
def load(typing, C, c, row):
    """The tile t[r, q] = C[c + r * row + q]"""
    kind = Tile(C.dtype)

    def generate(context, builder, signature, args):
        C, c, row = args
        tile = ir.Constant(context.get_value_type(kind), ir.Undefined)
        for r in range(ROWS):
            for v, place in enumerate(_vectors(builder, C, c, kind, VECTORS)):
                tile = builder.insert_value(tile, builder.load(place, align=4), (r, v))
            c = builder.add(c, row)
        return tile

    return kind(C, types.intp, types.intp), generate


@intrinsic
def store(typing, tile, C, c, row):
    """C[c + r * row + q] = tile[r, q]"""
    kind = tile

    def generate(context, builder, signature, args):
        tile, C, c, row = args
        for r in range(ROWS):
            for v, place in enumerate(_vectors(builder, C, c, kind, VECTORS)):
                builder.store(builder.extract_value(tile, (r, v)), place, align=4)
            c = builder.add(c, row)
        return context.get_dummy_value()

    return types.void(tile, C, types.intp, types.intp), generate


@intrinsic
def add_outer(typing, tile, A, a, down, B, b):
    """The tile t[r, q] = tile[r, q] + A[a + r * down] * B[b + q]: the instruction fma, or two where there is none"""
    kind, vector, one = tile, tile.vector, ir.IntType(32)
    everywhere = ir.Constant(ir.VectorType(one, kind.lanes), None)

    def generate(context, builder, signature, args):
        tile, A, a, down, B, b = args
        may_be_one = ["contract"]
        columns = [builder.load(place, align=4) for place in _vectors(builder, B, b, kind, VECTORS)]
        for r in range(ROWS):
            x = builder.load(builder.gep(A, [a]))
            x = builder.insert_element(ir.Constant(vector, ir.Undefined), x, one(0))
            x = builder.shuffle_vector(x, x, everywhere)  # the number in each place of a vector
            for v, column in enumerate(columns):
                product = builder.fmul(x, column, flags=may_be_one)
                total = builder.fadd(builder.extract_value(tile, (r, v)), product, flags=may_be_one)
                tile = builder.insert_value(tile, total, (r, v))
            a = builder.add(a, down)
        return tile

    return tile(tile, A, types.intp, types.intp, B, types.intp), generate


@intrinsic
def copy(typing, X, x, Y, y):
    """Y[y : y + L] = X[x : x + L], for the L numbers of a vector"""
    tile = Tile(X.dtype)

    def generate(context, builder, signature, args):
        [there], [here] = _vectors(builder, *args[:2], tile), _vectors(builder, *args[2:], tile)
        builder.store(builder.load(there, align=4), here, align=4)
        return context.get_dummy_value()

    return types.void(X, types.intp, Y, types.intp), generate


@intrinsic
def turn(typing, X, x, x_row, Y, y, y_row, adding):
    """Y[y + k * y_row + j] = X[x + j * x_row + k] for j, k < L, or += if adding

    Vectors are loaded along k, transposed in registers, and stored along j. For L = 4: abcd, efgh, ijkl, mnop become
    aibj, ckdl, emfn, gohp, where each of the first half is zipped with one of the second, and once more so aeim, bfjn,
    cgko, dhlp.
    """
    tile = Tile(X.dtype)
    L, half = tile.lanes, tile.lanes // 2
    zips = [[h * half + q // 2 + q % 2 * L for q in range(L)] for h in (0, 1)]
    masks = [ir.Constant(ir.VectorType(ir.IntType(32), L), numbers) for numbers in zips]

    def generate(context, builder, signature, args):
        X, x, x_row, Y, y, y_row, adding = args
        vectors = []
        for _ in range(L):
            vectors += [builder.load(place, align=4) for place in _vectors(builder, X, x, tile)]
            x = builder.add(x, x_row)
        for _ in range(L.bit_length() - 1):  # zip vector n with vector n + L / 2, log2(L) times
            pairs = zip(vectors[:half], vectors[half:])
            vectors = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in masks]
        for vector in vectors:
            [place] = _vectors(builder, Y, y, tile)
            total = builder.fadd(builder.load(place, align=4), vector)
            builder.store(builder.select(adding, total, vector), place, align=4)
            y = builder.add(y, y_row)
        return context.get_dummy_value()

    return types.void(X, types.intp, types.intp, Y, types.intp, types.intp, types.boolean), generate


@intrinsic
def prefetch(typing, X, x):
    """Ask for the memory around X[x], which is wanted soon."""

    def generate(context, builder, signature, args):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch.p0", fnty=kind)
        read, keep, data = word(0), word(3), word(1)
        builder.call(function, [builder.bitcast(builder.gep(args[0], [args[1]]), byte), read, keep, data])
        return context.get_dummy_value()

    return types.void(X, types.intp), generate


@intrinsic
def take(typing, counter):
    """counter[0], and add 1 to it, as one step that no other thread can come between"""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", *args, ir.IntType(64)(1), "monotonic")

    return types.intp(counter), generate


@intrinsic
def compile_plainly(typing):
    """No instruction, but a wish: not to inline the function around it nor to unroll its loops, which takes time."""

    def generate(context, builder, signature, args):
        for attribute in ("noinline", "optsize"):
            builder.function.attributes.add(attribute)
        return context.get_dummy_value()

    return types.void(), generate


@jit
def _tile(A, a, down, along, B, b, across, K, C, c, row, adding, wanted):
    """C[r, q] = the sum of A[r, k] B[k, q] over k < K, or += if adding, for r < 6 and q < 4 L (or 2 L).

    A[r, k] is A[a + r * down + k * along], B[k, q] is B[b + k * across + q], C[r, q] is C[c + r * row + q].
    wanted: (pointer, position, row, step): the lines to ask for are `row` apart, and then a `step` further on.
    """
    compile_plainly()
    D, d, d_row, step = wanted
    tile = load(C, c, row) if adding else zeros(C)
    for _ in range(K // AHEAD):
        for r in range(ROWS):
            prefetch(D, d + r * d_row)
        d += step
        for _ in range(AHEAD):
            tile = add_outer(tile, A, a, down, B, b)
            a += along
            b += across
    for _ in range(K % AHEAD):
        tile = add_outer(tile, A, a, down, B, b)
        a += along
        b += across
    store(tile, C, c, row)


@jit
def _move(source, target, rows, columns, L, adding=False):
    """C[c + i * row + j] = T[t + i * t_row + j] for i < rows and j < columns, or += if adding.

    source: (T, t, t_row), target: (C, c, row, turned): if turned, to C[c + j * row + i]. Vectors move what fills them.
    """
    compile_plainly()
    (T, t, t_row), (C, c, row, turned) = source, target
    whole_rows, whole_columns = rows, columns // L * L
    if turned:
        whole_rows = rows // L * L
        for i in range(0, whole_rows, L):
            for j in range(0, whole_columns, L):
                turn(T, t + i * t_row + j, t_row, C, c + j * row + i, row, adding)
    elif adding:
        whole_columns = 0
    else:
        for i in range(rows):
            for j in range(0, whole_columns, L):
                prefetch(T, t + (i + 12) * t_row + j)  # rows lie far apart: the processor does not guess the next
                copy(T, t + i * t_row + j, C, c + i * row + j)
    for i in range(rows):
        for j in range(whole_columns if i < whole_rows else 0, columns):
            place, number = c + (j * row + i if turned else i * row + j), T[t + i * t_row + j]
            C[place] = C[place] + number if adding else number


@jit
def _job(left, right, target, adding, job, shape, packed_a, packed_b, table):
    """C = A B, or += if adding, within the limits of a job, by one thread.

    left: (A, a_i, a_k), where A[i * a_i + k * a_k] is in row i and column k; so right, (B, b_k, b_j). target: (C, row,
    turned), where C[c0 + i * row + j], or turned C[c0 + j * row + i], is in row i and column j. job: one of plan().
    shape: L, and the rows and columns of a block of B. packed_a, packed_b, table: room for what is packed, and for
    tiles that do not go to C as they are.
    """
    compile_plainly()
    (A, a_i, a_k), (B, b_k, b_j), (C, row, turned) = left, right, target
    i0, i1, j0, j1, k0, k1, c0 = job[0], job[1], job[2], job[3], job[4], job[5], job[6]
    L, deep, wide = shape
    width = VECTORS * L  # of a tile
    a_lies = VECTORS == 4 and (a_k == 1 or i1 - i0 == a_k)
    for n0 in range(j0, j1, wide):
        n1 = min(j1, n0 + wide)
        b_lies = VECTORS == 4 and b_j == 1 and n1 - n0 == b_k and b_k % width == 0  # no tile reads beyond
        for k in range(k0, k1, deep):
            K = min(deep, k1 - k)
            plus, asked = adding or k > k0, 0
            if not b_lies:
                for j in range(n0, n1, width):
                    rows, columns = (K, min(width, n1 - j)) if b_j == 1 else (min(width, n1 - j), K)  # of B in memory
                    panel = packed_b, (j - n0) * K, width, b_j != 1
                    _move((B, k * b_k + j * b_j, max(b_k, b_j)), panel, rows, columns, L)
            for m0 in range(i0, i1, CHUNK):
                m1 = min(i1, m0 + CHUNK)
                first = m1 - (m1 - m0) % ROWS if a_lies else m0  # row to be packed: no tile reads beyond m1
                rows, columns = (m1 - first, K) if a_k == 1 else (K, m1 - first)  # of A in memory
                panel = packed_a, (first - m0) * (K + PADDING), K + PADDING, a_k != 1
                _move((A, first * a_i + k * a_k, max(a_i, a_k)), panel, rows, columns, L)
                for i in range(m0, m1, ROWS):
                    if i < first:
                        X, x, x_i, x_k = A, i * a_i + k * a_k, a_i, a_k
                    else:
                        X, x, x_i, x_k = packed_a, (i - m0) * (K + PADDING), K + PADDING, 1
                    for j in range(n0, n1, width):
                        if b_lies:
                            Y, y, y_k = B, k * b_k + j, b_k
                        else:
                            Y, y, y_k = packed_b, (j - n0) * K, width
                        c = c0 + i * row + j
                        if a_k != 1:
                            wanted = C, c + ROWS * row, row, width * AHEAD // K
                        elif b_lies:
                            wanted = B, (k + K) * b_k + min(asked, K * b_k), AHEAD, ROWS * AHEAD
                            asked += K // AHEAD * ROWS * AHEAD  # numbers of the next block that this tile asks for
                        else:
                            wanted = A, (i + ROWS) * a_i + k, a_i, AHEAD
                        whole = not turned and i + ROWS <= m1 and j + width <= n1
                        if whole:
                            T, t, t_row = C, c, row
                        else:
                            T, t, t_row = table, (i - m0) * wide + j - n0, wide
                        _tile(X, x, x_i, x_k, Y, y, y_k, K, T, t, t_row, plus and whole, wanted)
                        if not (turned or whole):
                            _move((T, t, wide), (C, c, row, turned), min(ROWS, m1 - i), min(width, n1 - j), L, plus)
                if turned:
                    _move((table, 0, wide), (C, c0 + n0 * row + m0, row, turned), m1 - m0, n1 - n0, L, plus)


@jit
def _add_up(n, sums, parts, M, N, L, target, adding):
    """Rows n * ADDED to (n + 1) * ADDED of C = those of the sums of all parts, (M, N) each, in their order, or +=."""
    C, row, turned = target
    i, rows = n * ADDED, min(ADDED, M - n * ADDED)
    for part in range(1, parts):
        for j in range(i * N, (i + rows) * N):
            sums[j] += sums[part * M * N + j]
    _move((sums, i * N, N), (C, i if turned else i * row, row, turned), rows, N, L, adding)


@jit_parallel
def _product(left, right, target, adding, M, N, parts, jobs, shape, sums, packed_a, packed_b, tables, counter):
    """C = A B, or += if adding. Each thread takes a job, until none is left, and then some rows to add up."""
    (A, a_i, a_k), (B, b_k, b_j), (C, row, turned) = left, right, target
    for adding_up in range(min(parts, 2)):
        counter[0] = 0
        tasks = -(-M // ADDED) if adding_up else len(jobs)
        # a prange ends when all threads have: nothing is added up before it is done
        for t in numba.prange(len(tables)):
            left, right, result = (pointer(A), a_i, a_k), (pointer(B), b_k, b_j), (pointer(C), row, turned)
            own = pointer(packed_a[t]), pointer(packed_b[t]), pointer(tables[t])
            n = take(pointer(counter))
            while n < tasks:
                if adding_up:
                    _add_up(n, pointer(sums), parts, M, N, shape[0], result, adding)
                elif parts > 1:
                    no = adding_up > 0  # for the constant False Numba would compile another _job
                    _job(left, right, (pointer(sums), N, False), no, jobs[n], shape, *own)
                else:
                    _job(left, right, result, adding, jobs[n], shape, *own)
                n = take(pointer(counter))


@jit_parallel
def _few_rows(A, B, C, M, N, K, adding):
    """C = A B^T, or += if adding, for few rows: C[m, n] is the dot product of row m of A and row n of B."""
    for n in numba.prange(N):
        a, b = pointer(A), pointer(B)
        for m in range(M):
            total = C[m * N + n] if adding else C.dtype.type(0)
            for k in range(K):
                total += a[m * K + k] * b[n * K + k]
            C[m * N + n] = total


@functools.lru_cache
def plan(M, N, K, L, b_rows, threads):
    """How a product is computed: (jobs, parts, deep, wide).

    jobs: (n, 7), the limits of each in M, N and K, and where its C begins, since each of the `parts` of K has its own.
    deep, wide: rows and columns of a block of B. b_rows: whether rows of B are rows in memory.
    """
    width, most = VECTORS * L, max(1, M * N * K // JOB)
    ks = _cut(K, max(1, min(PARTS, most, K // SIDE, SUMS // (M * N))) if K > max(M, N) else 1, AHEAD)
    strips, numbers = -(-min(most, JOBS * threads) // len(ks)), BLOCK // BYTES * L
    rows, columns = (_cut(M, strips, ROWS), [(0, N)]) if M >= N else ([(0, M)], _cut(N, strips, width))
    jobs = [(*i, *j, *k, part * M * N) for part, k in enumerate(ks) for i in rows for j in columns]
    deep, wide = min(K, SIDE), min(-(-N // width) * width, SIDE)
    if len(ks) > 1 and b_rows:  # rather wide, to be read as it lies
        deep = min(deep, numbers // wide)
    else:  # rather deep, to write C once
        wide = min(wide, numbers // deep // width * width)
    return np.array(jobs), len(ks), deep, wide


def _cut(length, pieces, unit):
    """(begin, end) of each of so many pieces, of whole units but for the last, or fewer."""
    piece = -(-length // (pieces * unit)) * unit
    return [(begin, min(length, begin + piece)) for begin in range(0, length, piece)]


_scratch = {}  # by dtype, made once and kept: the system hands out new memory slowly


def _scratch_of(dtype, numbers):
    """What _product wants: sums, of at least so many numbers, room for each thread, and a counter."""
    if dtype not in _scratch:
        sizes = CHUNK * (SIDE + PADDING), BLOCK // dtype.itemsize, CHUNK * SIDE
        own = [np.empty((numba.config.NUMBA_NUM_THREADS, size), dtype) for size in sizes]
        _scratch[dtype] = np.empty(0, dtype), *own, np.zeros(1, np.int64)
    if _scratch[dtype][0].size < numbers:
        _scratch[dtype] = np.empty(numbers, dtype), *_scratch[dtype][1:]
    return _scratch[dtype]


def matmul(a, b, out=None, add=False):
    """a @ b; in `out` if that is given, and added to what is there if `add`: see accelerated() in backend.py.

    a: (M, K), b: (K, N), out: (M, N), row-major; one dtype, float32 or float64. `a` and `b` may be transposed views
    (read without a copy) or have any other strides (copied first). `out` must not overlap them. One caller at a time.
    Returns NotImplemented for all else.
    """
    if not (a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] and a.dtype == b.dtype and a.dtype in DTYPES):
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
    (A, a_i, a_k), (B, b_k, b_j), C = _flat(a), _flat(b), out.reshape(-1)
    if M <= FEW and a_k == 1 and b_j != 1:
        _few_rows(A, B, C, M, N, K, add)
        return out
    left, right, target = (A, a_i, a_k), (B, b_k, b_j), (C, N, False)
    L, threads = BYTES // out.itemsize, numba.get_num_threads()
    if b_j != 1 and (a_k != 1 or -M % (VECTORS * L) <= EMPTY):  # C^T = B^T A^T
        left, right, target, M, N = (B, b_j, b_k), (A, a_k, a_i), (C, N, True), N, M
    jobs, parts, deep, wide = plan(M, N, K, L, right[2] == 1, threads)
    sums, *own = _scratch_of(out.dtype, parts * M * N if parts > 1 else 0)
    numba.set_num_threads(min(threads, len(jobs)))
    try:
        _product(left, right, target, add, M, N, parts, jobs, (L, deep, wide), sums, *own)
    finally:
        numba.set_num_threads(threads)
    return out


def _flat(a):
    """(numbers, rows, columns): those of `a`, and how far apart its rows and its columns are among them."""
    if a.flags.f_contiguous and not a.flags.c_contiguous:
        return read_only(a.T.reshape(-1)), 1, a.shape[0]
    return read_only(np.ascontiguousarray(a).reshape(-1)), a.shape[1], 1


def read_only(array):
    """A view that is not to be written to. To Numba that is another type: all inputs alike, it compiles once."""
    view = array.view()
    view.flags.writeable = False
    return view
