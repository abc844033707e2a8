"""What computed the results of a run: the processor, its threads, and the versions of Python and packages."""

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path


def processor():
    """Its name, its architecture as compilers name it, the number of its cores, and the operating system."""
    model, architecture = platform.processor() or platform.machine(), platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    with contextlib.suppress(ImportError):  # without Numba, with which it comes, there is the NumPy backend
        from llvmlite.binding import get_host_cpu_name

        architecture = get_host_cpu_name()
    return f"{model} ({architecture}), {os.cpu_count()} cores, {platform.system()}"


def threads(backend):
    """How many threads the backend computes with, or a text if that is not known."""
    if backend != "numba":
        return "as many as NumPy's BLAS takes"
    import numba

    return numba.get_num_threads()


def versions(packages):
    """{name: version} of Python and of those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
