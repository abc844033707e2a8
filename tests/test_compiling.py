"""What is compiled is kept, and no fault of the files that keep it ends a run; each kernel here is a new file."""

import importlib.util
import os
import re
import shutil
from pathlib import Path

import pytest
from ablations import changed
from conftest import python
from llvmlite import binding
from numba import config, types

import nnlite
from nnlite import compiling
from nnlite.compiling import vector_registers

KERNEL = "from nnlite.compiling import jit\n@jit\ndef double(x):\n    return 2 * x\n"
NOT_KEPT = "nnlite: what is compiled cannot be kept ({}), so each run compiles; NUMBA_CACHE_DIR may name another folder"


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """loaded() imports the kernel anew, as another run does; it is kept beside its file."""
    monkeypatch.setattr(config, "CACHE_DIR", "")
    (tmp_path / "kernel.py").write_text(KERNEL)

    return lambda: import_anew(tmp_path).double


def import_anew(folder):
    spec = importlib.util.spec_from_file_location("kernel", folder / "kernel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_found(double):
    """Whether the kernel, which is right, came from the files."""
    assert double(21) == 42
    return sum(double.stats.cache_hits.values()) == 1


def file_of(tmp_path, kind):
    [file] = (tmp_path / "__pycache__").glob(f"kernel.*.{kind}")
    return file


def test_what_is_compiled_is_found_by_the_next_run(loaded):
    assert [is_found(loaded()) for _ in range(3)] == [False, True, True]


DAMAGES = {
    "empty": lambda data: b"",
    "cut after 9 bytes": lambda data: data[:9],
    "cut in the middle": lambda data: data[: len(data) // 2],
    "cut before the last byte": lambda data: data[:-1],
    "zeros at the end": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "another file": lambda data: b"no pickle",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_file_is_replaced(loaded, tmp_path, kind, damage):
    is_found(loaded())
    file = file_of(tmp_path, kind)
    file.write_bytes(damage(file.read_bytes()))
    assert [is_found(loaded()) for _ in range(2)] == [False, True]


def test_machine_code_with_a_flipped_bit_is_not_run(loaded, tmp_path):
    is_found(loaded())
    file = file_of(tmp_path, "nbc")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert [is_found(loaded()) for _ in range(2)] == [False, True]


TWO_KERNELS = KERNEL + "@jit\ndef treble(x):\n    return 3 * x\n"


def test_a_file_of_another_kernel_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    (tmp_path / "kernel.py").write_text(TWO_KERNELS)
    module = import_anew(tmp_path)
    assert (module.double(21), module.treble(21)) == (42, 63)
    double, treble = (next((tmp_path / "__pycache__").glob(f"kernel.{name}*.nbc")) for name in ("double", "treble"))
    double.write_bytes(treble.read_bytes())
    assert import_anew(tmp_path).double(21) == 42


def test_a_file_of_other_types_is_replaced(loaded, tmp_path):
    double = loaded()
    assert (double(21), double(1.5)) == (42, 3.0)
    first, second = sorted((tmp_path / "__pycache__").glob("kernel.*.nbc"))
    first.write_bytes(second.read_bytes())
    double = loaded()
    assert (double(21), double(1.5)) == (42, 3.0)


def test_a_damaged_index_that_cannot_be_replaced_is_named_once(loaded, tmp_path, monkeypatch, caplog):
    is_found(loaded())
    file_of(tmp_path, "nbi").write_bytes(b"no pickle")
    monkeypatch.setattr(os, "replace", refuse)
    assert [is_found(loaded()) for _ in range(2)] == [False, False]
    [said] = caplog.messages
    assert said.startswith("nnlite: what is compiled cannot be kept (") and "NUMBA_CACHE_DIR" in said


def refuse(*given):
    raise PermissionError(1, "Operation not permitted")


def test_a_file_that_cannot_be_written_is_named_once_and_the_kernel_computes(loaded, tmp_path, caplog):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # bytes, as a disk that is nearly full
    try:
        assert [is_found(loaded()) for _ in range(2)] == [False, False]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caplog.messages == [NOT_KEPT.format(f"{tmp_path / '__pycache__'}: File too large")]
    assert is_found(loaded()) is False and is_found(loaded())


RELU = """
import numpy as np
from nnlite import ReLU
from nnlite.backend import current_backend
print(ReLU()(np.array([[-1, 2]], "f4")), current_backend())
"""


def test_where_no_folder_can_be_written_kernels_are_compiled_and_a_line_says_what_to_do(tmp_path):
    package = tmp_path / "nnlite"
    shutil.copytree(Path(nnlite.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__pycache__").touch()  # a file, in which nobody can write another
    nowhere = {name: "/dev/null" for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")}
    out, err = python(RELU, tmp_path, NNLITE_BACKEND="numba", PYTHONDONTWRITEBYTECODE="1", **nowhere)
    assert out == "[[0. 2.]] numba\n"
    assert err.splitlines()[1:] == [NOT_KEPT.format("no folder can be written to")]


def test_a_process_finds_damaged_files_and_leaves_whole_ones(tmp_path):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NNLITE_BACKEND": "numba"}
    python(RELU, **environment)
    for file in tmp_path.rglob("*.nb[ic]"):
        os.truncate(file, 100)
    announced = "nnlite: compiling for this processor, some 10 seconds, the first time only\n"
    assert python(RELU, **environment) == ("[[0. 2.]] numba\n", announced)
    assert python(RELU, **environment) == ("[[0. 2.]] numba\n", "")


ARM = "aarch64-unknown-linux-gnu"
X86 = "x86_64-unknown-linux-gnu"


def compiler_for(triple, processor, features=""):
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    return binding.Target.from_triple(triple).create_target_machine(cpu=processor, features=features, opt=3)


@pytest.mark.parametrize(
    "triple, processor, features, wanted",
    [
        (X86, "skylake-avx512", "", (32, 64, True)),
        (X86, "haswell", "", (16, 32, True)),
        (X86, "generic", "+fma,+avx2", (16, 32, True)),
        (X86, "ivybridge", "", (16, 32, False)),
        (X86, "x86-64", "", (16, 16, False)),
        (ARM, "generic", "", (32, 16, True)),
        (ARM, "neoverse-v1", "", (32, 16, True)),
    ],
)
def test_the_compiler_tells_the_registers_of_a_processor(monkeypatch, triple, processor, features, wanted):
    numbas = compiling.cpu_target.target_context.codegen()
    monkeypatch.setattr(numbas, "_tm", compiler_for(triple, processor, features))
    assert vector_registers() == wanted


@pytest.mark.parametrize(
    "registers, triple, processor, multiply, never",
    [
        ((32, 64), X86, "skylake-avx512", "vfmadd...ps.*zmm", "vmulps"),
        ((16, 32), X86, "haswell", "vfmadd...ps.*ymm", "vmulps"),
        ((16, 32), X86, "ivybridge", "vmulps.*ymm", "fma"),
        ((16, 16), X86, "x86-64", "mulps.*xmm", "fma"),
        ((32, 16), ARM, "generic", r"fmla\tv\d+\.4s", "fmul"),
    ],
    ids=["AVX-512", "AVX2", "AVX without fma", "x86-64", "ARM"],
)
def test_a_tile_is_multiplied_in_registers_on_every_processor(registers, triple, processor, multiply, never):
    tile = changed([("= vector_registers()", f"= {(*registers, True)}")]).__globals__["_tile"]
    pointer = types.CPointer(types.float32)
    x, place = (pointer, *[types.intp] * 3), (pointer, *[types.intp] * 2)
    tile.compile((*x, *x, *place, types.boolean, types.Tuple(x)))
    [kernel] = tile.inspect_llvm().values()
    kernel = re.sub("^target.*$", "", kernel, flags=re.MULTILINE)
    module = binding.parse_assembly(f'target triple = "{triple}"\n{kernel}')
    assembly = compiler_for(triple, processor).emit_assembly(module)
    in_a_tile = 24 if registers[0] == 32 else 12
    assert len(re.findall(multiply, assembly)) == 2 * in_a_tile  # in each of its two loops
    assert not re.search(never, assembly)
