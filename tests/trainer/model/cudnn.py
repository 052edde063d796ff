"""A GPU that TensorFlow lists and no test uses, and cuDNN's operations in what is traced with it.

A graph is traced as on a machine with that GPU, and not run: Keras's layers decide as they are
traced whether they become cuDNN's operation.
"""

import tensorflow as tf

FORWARD, BACKWARD = "CudnnRNNV3", "CudnnRNNBackpropV3"


def list_a_gpu(monkeypatch):
    for name, kind in (
        ("list_physical_devices", tf.config.PhysicalDevice),
        ("list_logical_devices", tf.config.LogicalDevice),
    ):
        listed, list_devices = [kind("/device:GPU:0", "GPU")], getattr(tf.config, name)
        monkeypatch.setattr(
            tf.config,
            name,
            lambda device_type=None, listed=listed, list_devices=list_devices: (
                listed if device_type == "GPU" else list_devices(device_type)
            ),
        )


def operations(traced, name):
    """Returns the operations of a name in a traced function, and in all functions that it calls."""
    return [node for node in _nodes(traced) if node.op == name]


def precisions(traced, name):
    """Returns the dtypes in which operations of a name compute, such as "float32"."""
    return [tf.as_dtype(node.attr["T"].type).name for node in operations(traced, name)]


def is_compiled(traced):
    """Returns True when XLA has to compile a part, for which cuDNN's operation has no form."""
    parts = [*_nodes(traced), *traced.graph.as_graph_def().library.function]
    return any(part.attr["_XlaMustCompile"].b for part in parts)


def _nodes(traced):
    graph = traced.graph.as_graph_def()
    return [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
