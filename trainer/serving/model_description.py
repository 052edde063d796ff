"""What the server tells of its model, as TensorFlow Serving's REST interface does.

status(3240)                    # {"model_version_status": [...]}
metadata("longhaul", 3240)      # {"model_spec": {...}, "metadata": {"signature_def": {...}}}
"""

from typing import Any

from trainer.serving.predict_request import INPUT, SIGNATURE

# Output -> type and shape. -1 is a number of any size.
_OUTPUTS = {
    "label": ("DT_STRING", (-1,)),
    "probability": ("DT_FLOAT", (-1,)),
    "labels": ("DT_STRING", (-1, -1)),
    "probabilities": ("DT_FLOAT", (-1, -1)),
}


def status(version: int) -> dict[str, Any]:
    """Returns the state of the only version, whose model is loaded."""
    state = {"error_code": "OK", "error_message": ""}
    available = {"version": str(version), "state": "AVAILABLE", "status": state}
    return {"model_version_status": [available]}


def metadata(name: str, version: int) -> dict[str, Any]:
    """Returns the model's inputs and outputs."""
    signature = {
        "inputs": {INPUT: _tensor(INPUT, "DT_STRING", (-1,))},
        "outputs": {output: _tensor(output, *form) for output, form in _OUTPUTS.items()},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def _tensor(name: str, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in shape]
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": name,
    }
