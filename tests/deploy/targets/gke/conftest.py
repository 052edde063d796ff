"""A kubectl on PATH, and a cluster that it leads to."""

import pytest

from deploy.targets.gke.cluster import Cluster
from deploy.targets.gke.kubectl import Kubectl
from tests.fakes.kubectl import CONTEXT, FakeKubectl


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    kubectl = FakeKubectl(tmp_path / "kubectl")
    monkeypatch.setenv("PATH", kubectl.path)
    return kubectl


@pytest.fixture
def cluster(kubectl):
    return Cluster(Kubectl(CONTEXT, "default"))
