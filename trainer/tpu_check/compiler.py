"""The TPU's own compiler, from libtpu, on a machine without a TPU; knows no TensorFlow.

    with Compiler("v5e:2x2") as compiler:
        compiler.compile(stablehlo).bundles

It is reached through JAX, which must not have been imported before: the variables that it and
libtpu read at that moment are set here.
"""

import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from storage.errors import UserError
from trainer.tpu_check import bundles, costs, hlo


class Chip(NamedTuple):
    """What a core has; a chip's share where a chip is two cores to the compiler."""

    hbm_bytes: int
    hbm_bytes_per_second: float


# By the name that the compiler gives the device. cloud.google.com/tpu/docs/v3, /v4, /v5e, /v5p and
# /v6e; v3 and v4 have two cores a chip.
_CHIPS = {
    "TPU v3": Chip(16 * 2**30, 450e9),
    "TPU v4": Chip(16 * 2**30, 614e9),
    "TPU v5 lite": Chip(16 * 2**30, 819e9),
    "TPU v5": Chip(95 * 2**30, 2765e9),
    "TPU v6 lite": Chip(32 * 2**30, 1640e9),
}


class Program(NamedTuple):
    """A step's program for one core, as far as the compiler tells."""

    seconds: float  # to lower and to compile, on this machine
    memory_bytes: int  # arguments, temporaries and outputs in HBM, code included
    bundles: int
    costs: costs.Costs
    unknown_loops: int


class Failed(Exception):
    """A program that doesn't compile; the text says why."""


def require_compiler() -> None:
    """Raises UserError when JAX or libtpu is not installed; imports nothing."""
    missing = [name for name in ("jax", "libtpu") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} not installed, which hold the TPU's compiler; "
            "pip install 'longhaul[tpu-check]'"
        )


class Compiler:
    """The compiler of one kind of TPU; to be made once a process, as libtpu reads flags once."""

    def __init__(self, topology: str):
        """`topology` is a name such as 'v5e:2x2'; UserError when libtpu doesn't know it."""
        require_compiler()
        self._dumps = tempfile.TemporaryDirectory(prefix="tpu_check_")
        flags = os.environ.get("LIBTPU_INIT_ARGS", "")
        os.environ["LIBTPU_INIT_ARGS"] = (
            f"{flags} {bundles.DUMP_FLAGS.format(self._dumps.name)}".strip()
        )
        os.environ["JAX_PLATFORMS"] = "cpu"
        # Else libtpu asks the metadata server of the machine which TPU it is part of.
        os.environ["TPU_SKIP_MDS_QUERY"] = "1"
        os.environ["TPU_WORKER_HOSTNAMES"] = "localhost"
        os.environ["TPU_HOST_BOUNDS"] = "1,1,1"
        # It takes a lock as if there were a TPU to share; compiling needs none.
        os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"
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
        self.kind = self._device.device_kind
        self.chip = _CHIPS.get(self.kind)

    def __enter__(self) -> "Compiler":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Removes the compiler's dumps."""
        self._dumps.cleanup()

    def compile(self, stablehlo: str) -> Program:
        """The program of a module in StableHLO; Failed, in the compiler's words."""
        from jax.errors import JaxRuntimeError
        from jax.extend.mlir import ir
        from jax.interpreters import mlir
        from jaxlib import xla_client

        folder = Path(self._dumps.name)
        for path in folder.iterdir():
            path.unlink()
        started = time.monotonic()
        # TensorFlow writes copies in another dialect; they have no meaning but the value.
        stablehlo = stablehlo.replace("mhlo.copy", "stablehlo.optimization_barrier")
        try:
            with mlir.make_ir_context():
                executable = self._device.client.compile(
                    ir.Module.parse(stablehlo),
                    xla_client.DeviceList((self._device,)),
                    xla_client.CompileOptions(),
                )
        except (JaxRuntimeError, ir.MLIRError) as error:
            raise Failed(str(error)) from error
        seconds = time.monotonic() - started
        module = hlo.parse(executable.hlo_modules()[0].to_string())
        totals = costs.costs(module)
        emitted = bundles.count(bundles.read(folder), hlo.op_weights(module))
        memory = executable.get_compiled_memory_stats()
        return Program(
            seconds,
            memory.argument_size_in_bytes
            + memory.temp_size_in_bytes
            + memory.output_size_in_bytes
            - memory.alias_size_in_bytes  # outputs that take an argument's place
            + memory.generated_code_size_in_bytes,
            emitted.bundles,
            totals,
            emitted.unknown_loops + totals.unknown_loops,
        )


def first_line(error: object) -> str:
    """The first line of an error's text, which goes on for pages."""
    return " ".join(str(error).split("\n")[0].split())[:300]
