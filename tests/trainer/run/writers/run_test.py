"""What a training leaves for TensorBoard."""

import json

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from input_pipeline.labels import SENTIMENTS
from tests.trainer.run.writers.opened import board, metrics, points
from trainer.learning.objectives.registry import create_objective
from trainer.run.writers.extras import weight_histograms


@pytest.mark.parametrize("kind", ["train", "validation", "epoch", "test"])
def test_every_line_is_a_point(finished, kind):
    lines = [line for line in metrics(finished) if line["kind"] == kind]
    assert lines
    expected = [(line["step"], pytest.approx(line["loss"])) for line in lines]
    assert points(finished / "tensorboard" / kind, "loss") == expected


def test_a_line_says_in_no_curve_where_it_is_from(finished):
    tags = board(finished / "tensorboard/train").Tags()["scalars"]
    assert "gradient_norm" in tags
    assert not {"step", "start", "seconds"} & set(tags)


def test_every_validation_shows_reviews(finished):
    texts = board(finished / "tensorboard/validation").Tensors("reviews")
    steps = [line["step"] for line in metrics(finished) if line["kind"] == "validation"]
    assert [text.step for text in texts] == steps
    assert b"| **positive**, predicted **" in texts[0].tensor_proto.string_val[0]


def test_every_epoch_has_histograms_of_the_weights(finished):
    histograms = board(finished / "tensorboard/epoch").Tensors("weights/embedding/embeddings")
    steps = [line["step"] for line in metrics(finished) if line["kind"] == "epoch"]
    assert [histogram.step for histogram in histograms] == steps


def test_profile_has_the_steps_asked_for(finished):
    (profile,) = finished.glob("tensorboard/plugins/profile/*/*.xplane.pb")
    assert b"train_steps" in profile.read_bytes()


def test_projector_has_the_vocabulary_of_the_run(finished):
    folder = finished / "tensorboard/test"
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    tokens = (finished / "vocabulary.txt").read_text().splitlines()
    width = json.loads((finished / "config.json").read_text())["model"]["embedding_size"]
    assert list(config.embeddings[0].tensor_shape) == [len(tokens), width]
    heading, padding, *rows = (folder / config.embeddings[0].metadata_path).read_text().splitlines()
    assert (heading, padding) == ("token\tid", "<pad>\t0")
    assert [row.split("\t")[0] for row in rows] == tokens[1:]


def test_weights_of_several_replicas_are_those_of_one(config):
    objective = create_objective(config, SENTIMENTS)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        mirrored = objective.network(config, 200)
    one = objective.network(config, 200)
    for several, single in zip(weight_histograms(mirrored), weight_histograms(one), strict=True):
        assert several.tag == single.tag
        assert several.counts.tolist() == single.counts.tolist()
