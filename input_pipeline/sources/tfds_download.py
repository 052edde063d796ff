"""Downloads a TFDS data set and prepares it, or gives up soon.

download(builder, advice="prepare it with ...")
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import requests
import tensorflow_datasets as tfds

from input_pipeline.sources.tfds_folder import reason_of
from storage.errors import UserError

_ANSWER_SECONDS = 15.0


def download(builder: tfds.core.DatasetBuilder, root: Path, advice: str) -> None:
    """Downloads and prepares a data set below the folder `root`.

    Prints `advice` first. Raises UserError, which repeats it, when that fails.
    """
    print(
        f"Downloading {builder.name} to {builder.data_dir}. Without internet: {advice}", flush=True
    )
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs each of its many retries
    try:
        urls = missing_urls(builder.url_infos or (), root / "downloads")
        check_reachable(urls, _ANSWER_SECONDS)
        builder.download_and_prepare()
    # Undocumented: seen are exceptions of requests, of TFDS and of TensorFlow.
    except Exception as error:
        raise UserError(
            f"config.data.source: downloading {builder.name} failed "
            f"({type(error).__name__}: {reason_of(error)}); {advice}"
        ) from error


def check_reachable(urls: Iterable[str], seconds: float) -> None:
    """Asks each server for one of the URLs; raises requests.RequestException when one fails.

    Each has `seconds` for the connection and again for its answer. TFDS itself waits for a server
    without a limit, and tries again for minutes.
    """
    servers = {urlsplit(url).netloc: url for url in urls if url.startswith("http")}
    for url in servers.values():
        with requests.get(url, stream=True, timeout=seconds) as response:
            response.raise_for_status()


def missing_urls(urls: Iterable[str], folder: Path) -> list[str]:
    """Returns the URLs that TFDS has not downloaded to `folder` before."""
    files = [*folder.glob("*.INFO"), *folder.glob("*/*.INFO")]  # TFDS's notes of what it has
    infos = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    return [url for url in urls if not any(url in info for info in infos)]
