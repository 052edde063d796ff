from trainer.learning import text_table


def test_columns_are_aligned_and_the_first_one_to_the_left():
    rows = [("run", "loss", "auc"), ("imdb-10", "0.3", "nan"), ("b", "12.25", "0.9")]
    assert text_table.lines(rows) == [
        "run       loss  auc",
        "imdb-10    0.3  nan",
        "b        12.25  0.9",
    ]
