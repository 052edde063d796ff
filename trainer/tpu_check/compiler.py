"""The TPU's own compiler, from libtpu, on a machine without a TPU. It needs no TensorFlow.

    with Compiler("v5e:2x2") as compiler:
        compiler.compile(stablehlo).bundles

The compiler is reached through JAX, which must not have been imported before: JAX and libtpu read
environment variables when they are loaded, and `Compiler` sets them.
"""

import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from storage.errors import UserError
from trainer.tpu_check import bundles, costs, hlo


class Chip(NamedTuple):
    """The memory of one core; half of a chip's where the compiler sees two cores on a chip."""

    hbm_bytes: int
    hbm_bytes_per_second: float


# By the compiler's name of the device. The numbers are from cloud.google.com/tpu/docs/v3, /v4,
# /v5e, /v5p and /v6e; v3 and v4 have two cores on a chip.
_CHIPS = {
    "TPU v3": Chip(16 * 2**30, 450e9),
    "TPU v4": Chip(16 * 2**30, 614e9),
    "TPU v5 lite": Chip(16 * 2**30, 819e9),
    "TPU v5": Chip(95 * 2**30, 2765e9),
    "TPU v6 lite": Chip(32 * 2**30, 1640e9),
}
_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    # Without these libtpu asks the machine's metadata server which TPU it belongs to.
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_HOST_BOUNDS": "1,1,1",
    # libtpu locks the TPU for one process; compilers may share the machine.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


class Program(NamedTuple):
    """What the compiler's output says about one core's program."""

    seconds: float  # to lower and compile it, on this machine
    memory_bytes: int  # HBM for arguments, temporaries, outputs and code
    bundles: int  # instruction words of one run
    costs: costs.Costs
    unknown_loops: int  # loops counted as one trip, in bundles or costs


class CompileError(Exception):
    """A program does not compile; the text says why."""


def require_compiler() -> None:
    """Raises UserError when JAX or libtpu is not installed; imports neither."""
    missing = [name for name in ("jax", "libtpu") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} not installed, but needed for the TPU's compiler; "
            "pip install 'longhaul[tpu-check]'"
        )


class Compiler:
    """The compiler for one kind of TPU; one per process, since libtpu reads its flags once."""

    def __init__(self, topology: str):
        """Loads the compiler for a topology such as 'v5e:2x2'; UserError for an unknown one."""
        require_compiler()
        self._dumps = tempfile.TemporaryDirectory(prefix="tpu_check_")
        flags = os.environ.get("LIBTPU_INIT_ARGS", "")
        dump_flags = bundles.DUMP_FLAGS.format(self._dumps.name)
        os.environ["LIBTPU_INIT_ARGS"] = f"{flags} {dump_flags}".strip()
        os.environ.update(_ENVIRONMENT)
        from jax.errors import JaxRuntimeError
        from jax.experimental import topologies

        try:
            devices = topologies.get_topology_desc(topology, platform="tpu").devices
        except JaxRuntimeError as error:
            self.close()
            raise UserError(
                f"--topology: got {topology!r}, accepted is a TPU and its shape, such as v5e:2x2 "
                f"or v6e:4x4 ({first_line(error)})"
            ) from error
        self._device = devices[0]
        self.cores = len(devices)
        self.kind: str = self._device.device_kind
        self.chip = _CHIPS.get(self.kind)  # None for a kind whose memory is not known

    def __enter__(self) -> "Compiler":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Deletes the compiler's dumps."""
        self._dumps.cleanup()

    def compile(self, stablehlo: str) -> Program:
        """Compiles the text of a StableHLO module; raises CompileError with the compiler's text."""
        folder = Path(self._dumps.name)
        for path in folder.iterdir():
            path.unlink()
        started = time.monotonic()
        executable = self._executable(stablehlo)
        seconds = time.monotonic() - started
        module = hlo.parse(executable.hlo_modules()[0].to_string())
        program_costs = costs.program_costs(module)
        emitted = bundles.count(bundles.read_dumps(folder), hlo.instruction_runs(module))
        memory = executable.get_compiled_memory_stats()
        return Program(
            seconds=seconds,
            memory_bytes=memory.argument_size_in_bytes
            + memory.temp_size_in_bytes
            + memory.output_size_in_bytes
            - memory.alias_size_in_bytes  # outputs that reuse an argument's memory
            + memory.generated_code_size_in_bytes,
            bundles=emitted.bundles,
            costs=program_costs,
            unknown_loops=emitted.unknown_loops + program_costs.unknown_loops,
        )

    def _executable(self, stablehlo: str) -> Any:
        """Returns JAX's loaded executable of a module."""
        from jax.errors import JaxRuntimeError
        from jax.extend.mlir import ir
        from jax.interpreters import mlir
        from jaxlib import xla_client

        # TensorFlow writes a copy in another dialect. Its value is that of its argument.
        stablehlo = stablehlo.replace("mhlo.copy", "stablehlo.optimization_barrier")
        try:
            with mlir.make_ir_context():
                return self._device.client.compile(
                    ir.Module.parse(stablehlo),
                    xla_client.DeviceList((self._device,)),
                    xla_client.CompileOptions(),
                )
        except (JaxRuntimeError, ir.MLIRError) as error:
            raise CompileError(str(error)) from error


def first_line(error: object) -> str:
    """Returns the first line of an error's text, which may fill pages, up to 300 characters."""
    return " ".join(str(error).split("\n")[0].split())[:300]
