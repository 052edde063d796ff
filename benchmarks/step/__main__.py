"""Measures a training step by width, rows and kernel, against the machine's matrix product.

    python -m benchmarks.step
    python -m benchmarks.step --rows=64 --widths=256 --kernels=cpu,keras

Most rows of the table are the two LSTM layers of configs/imdb_lstm.py alone, forward and backward,
as a replica of the trainer computes them: in slices side by side, with the threads that the trainer
chooses. Keras's layers are also measured on the whole batch with TensorFlow's own threads; their
better row is what "of Keras" relates to. The last row of a shape is the trainer's whole step, with
input, embedding, dropout, pooling and update; it too is counted as the operations of the layers.

Operations are those of the layers' matrix products alone. The product of two square matrices of
2,048 rows, on TensorFlow's own threads, shows what the machine can do at best.

The numbers of threads hold for a process, so each kind of row has a process of its own. One works
at a time, and all have a turn in each round, so that other work affects all alike.
"""

import contextlib
import statistics
from typing import Any, NamedTuple

from benchmarks.common import arguments, machine, own_process, print_table, run, write_json
from configs import imdb_lstm

_MODULE = "benchmarks.step.layers"
_SIDE = 2048  # of the square matrices


class Kind(NamedTuple):
    """A kind of row: its title, and the function of `layers` that measures it.

    The function takes these arguments, then rows, width and calls.
    """

    title: str
    function: str
    arguments: tuple = ()


def kinds(kernels: list[str], slices: int) -> list[Kind]:
    """Returns the kinds of rows in the order of the table."""
    found = [
        Kind(f"{kernel}, {slices} slices", "time_layers", (kernel, slices, True))
        for kernel in kernels
    ]
    if "keras" in kernels:
        found.append(Kind("keras, whole batch", "time_layers", ("keras", 1, False)))
    return [*found, Kind("longhaul, whole step", "time_step")]


def operations() -> int:
    """Returns the floating-point operations of the layers' products for each token.

    A layer multiplies a token's inputs and states with [inputs + units, 4 * units] weights, which
    is a multiplication and an addition each. The backward pass does it twice more: for the
    gradients of what was multiplied, and of the weights.
    """
    config, total = imdb_lstm.get_config().model, 0
    inputs = config.embedding_size
    for units in config.layer_sizes:
        total += 3 * 2 * (inputs + units) * 4 * units
        inputs = units
    return total


def measure(
    rows: list[Kind], shapes: list[tuple[int, int]], calls: int, rounds: int
) -> tuple[float, dict[tuple[int, int], dict[str, list[float]]]]:
    """Returns the product's GFLOP/s, and tokens/s by shape and title, one for each round."""
    rates: dict = {shape: {row.title: [] for row in rows} for shape in shapes}
    product = 0.0
    with contextlib.ExitStack() as stack:
        of_product = stack.enter_context(own_process(_MODULE))
        processes = [stack.enter_context(own_process(_MODULE)) for _ in rows]
        for _ in range(rounds):
            product = max(product, 2 * _SIDE**3 / of_product("time_product", _SIDE, calls) / 1e9)
            for shape in shapes:
                for row, call in zip(rows, processes, strict=True):
                    seconds = call(row.function, *row.arguments, *shape, calls)
                    rates[shape][row.title].append(shape[0] * shape[1] / seconds)
    return product, rates


def summarized(
    product: float, rates: dict[tuple[int, int], dict[str, list[float]]]
) -> list[dict[str, Any]]:
    """Returns a mapping for each row of the table; the share is that of the matrix product."""
    found = []
    for (rows, width), by_title in rates.items():
        medians = {title: statistics.median(values) for title, values in by_title.items()}
        keras = max((m for title, m in medians.items() if title.startswith("keras")), default=None)
        for title, values in by_title.items():
            gflops = medians[title] * operations() / 1e9
            found.append(
                {
                    "rows": rows,
                    "width": width,
                    "what": title,
                    "tokens_per_second": values,
                    "gflops": gflops,
                    "of_product": gflops / product,
                    "of_keras": medians[title] / keras if keras else None,
                }
            )
    return found


def main() -> None:
    """Measures, prints the table and writes the results."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", default="64,128", help="reviews of a batch")
    parser.add_argument("--widths", default="128,256,512", help="tokens of each review")
    parser.add_argument("--kernels", default="cpu,keras,xla", help="as config.model.kernel")
    parser.add_argument("--slices", type=int, default=2, help="of a batch, side by side")
    parser.add_argument("--calls", type=int, default=5, help="of a row in a round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    shapes = [(int(r), int(w)) for r in args.rows.split(",") for w in args.widths.split(",")]
    if odd := [count for count, _ in shapes if count % args.slices]:
        parser.error(f"--rows: got {odd[0]}, accepted are multiples of --slices, {args.slices}")
    rows = kinds(args.kernels.split(","), args.slices)
    product, rates = measure(rows, shapes, args.calls, args.rounds)
    found = summarized(product, rates)
    print(f"{machine()}; matrix product {product:,.0f} GFLOP/s; {args.rounds} rounds")
    table: list[tuple[str, ...]] = [
        ("rows x tokens", "", "tokens/s", "range", "GFLOP/s", "of product", "of Keras")
    ]
    for row in found:
        values = row["tokens_per_second"]
        table.append(
            (
                f"{row['rows']} x {row['width']}",
                row["what"],
                f"{statistics.median(values):,.0f}",
                f"{min(values):,.0f}-{max(values):,.0f}",
                f"{row['gflops']:,.0f}",
                f"{row['of_product']:.0%}",
                f"{row['of_keras']:.2f}" if row["of_keras"] else "",
            )
        )
    print_table(table)
    write_json(args, "step", [{"product_gflops": product}, *found])


if __name__ == "__main__":
    run(main)
