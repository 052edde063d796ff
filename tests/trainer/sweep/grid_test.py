"""Grids as users write them."""

import itertools

import pytest

from configs import default
from storage.errors import UserError
from trainer.sweep import grid as grids

CONFIG = default.get_config()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.dropout=0.2,0.4", {"model.dropout": (0.2, 0.4)}),
        ("train.epochs=2", {"train.epochs": (2,)}),
        ("optimizer.learning_rate=1e-3,2", {"optimizer.learning_rate": (1e-3, 2.0)}),
        ("model.bidirectional=True,false", {"model.bidirectional": (True, False)}),
        ("model.layer_sizes=(128,64),(256,)", {"model.layer_sizes": ((128, 64), (256,))}),
        ("model.layer_sizes=[8, 4] , (2,)", {"model.layer_sizes": ((8, 4), (2,))}),
        ("train.profile_steps=(),(1,2)", {"train.profile_steps": ((), (1, 2))}),
        ("model.pooling=max,mean", {"model.pooling": ("max", "mean")}),
        (
            "train.writers='tensorboard,wandb','',wandb",
            {"train.writers": ("tensorboard,wandb", "", "wandb")},
        ),
        ('data.source="files:a;b",sample', {"data.source": ("files:a;b", "sample")}),
        (
            " config.seed=1,2 ;\n--config.model.dropout=0.1; ",
            {"seed": (1, 2), "model.dropout": (0.1,)},
        ),
        ("", {}),
        (" ; ", {}),
    ],
)
def test_grid_is_read_as_flags_are(text, expected):
    grid = grids.parse(text, CONFIG)
    assert grid == expected
    assert list(grid) == list(expected)
    types = [type(v) for values in grid.values() for v in values]
    assert types == [type(v) for values in expected.values() for v in values]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.dropot=0.2", "config.model.dropot: no such field; did you mean model.dropout?"),
        ("model=1", "config.model: no such field"),
        ("model.dropout", "got 'model.dropout', accepted is FIELD=VALUE,VALUE;FIELD=..."),
        ("model.dropout=0.2,1.5", "config.model.dropout: got '1.5', accepted is a number from 0.0"),
        ("model.dropout=", "config.model.dropout: got '', accepted is a number"),
        ("model.dropout=0.2,", "config.model.dropout: got '', accepted is a number"),
        ("model.dropout=nan", "config.model.dropout: got 'nan'"),
        ("train.epochs=1e3", "config.train.epochs: got '1e3', accepted is an integer"),
        ("model.dropout=0.2,0.20", "config.model.dropout: 0.20 is given twice"),
        ("seed=1;model.dropout=0.2;seed=2", "seed is given twice; give all its values at once"),
        ("model.layer_sizes=128,64", "got '128', accepted are tuples in brackets"),
        ("model.layer_sizes=(128,64", "a ) is missing"),
        ("model.layer_sizes=(128,0)", "config.model.layer_sizes: got '(128,0)'"),
        ("model.layer_sizes=(a b,)", "config.model.layer_sizes: got '(a b,)'"),
        ("data.source='sample", "a ' is missing"),
    ],
)
def test_mistake_in_a_grid_is_one_line(text, message):
    with pytest.raises(UserError) as caught:
        grids.parse(text, CONFIG)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parsing_leaves_the_config_as_it_is():
    before = CONFIG.to_json()
    grids.parse("model.layer_sizes=(1,);model.dropout=0.9", CONFIG)
    assert CONFIG.to_json() == before


GRID = {"seed": (1, 2, 3), "model.pooling": ("max", "mean"), "train.epochs": (4, 5)}


def test_all_points_are_the_product():
    points = grids.all_points(GRID)
    assert [tuple(point.values()) for point in points] == [*itertools.product(*GRID.values())]
    assert all(list(point) == list(GRID) for point in points)
    assert grids.size(GRID) == len(points) == 12


def test_drawn_points_are_distinct_and_the_same_for_a_seed():
    everything = grids.all_points(GRID)
    drawn = grids.drawn_points(GRID, 12, seed=0)
    assert sorted(map(str, drawn)) == sorted(map(str, everything))
    assert drawn != everything
    assert grids.drawn_points(GRID, 5, seed=0) == drawn[:5]
    assert grids.drawn_points(GRID, 5, seed=1) != drawn[:5]


def test_points_of_a_huge_grid_are_drawn_without_making_it():
    grid = {f"field{number}": range(1000) for number in range(6)}
    drawn = grids.drawn_points(grid, 200, seed=0)
    assert len({tuple(point.values()) for point in drawn}) == 200
    mean = sum(point["field3"] for point in drawn) / 200
    assert 400 < mean < 600  # the standard error is 20
