"""Run with `python -m pytest tests/storage/claims_test.py`."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage import claims
from storage.errors import Superseded, UserError


def test_claims_count_up(store):
    # Past 9, where the order of names is not that of numbers.
    assert [claims.take(store).number for _ in range(11)] == list(range(1, 12))


def test_starts_at_the_same_moment_get_different_numbers(store):
    threads = 6
    start = threading.Barrier(threads)

    def take(_):
        start.wait()
        return claims.take(store).number

    with ThreadPoolExecutor(threads) as pool:
        assert sorted(pool.map(take, range(threads))) == list(range(1, threads + 1))


def test_newest_claim_is_valid(store):
    claims.take(store)
    claims.take(store).check()


def test_older_claim_is_superseded(store):
    older = claims.take(store)
    newer = claims.take(store)
    with pytest.raises(Superseded, match=r"start 2 .* start 1") as raised:
        older.check()
    newer.check()
    assert store.url in str(raised.value)
    assert isinstance(raised.value, UserError)


def test_gap_in_the_claims_is_not_filled(store):
    claims.take(store)
    claims.take(store)
    store.delete("claims/1")
    assert claims.take(store).number == 3


def test_number_in_the_name_of_a_file_is_not_taken_again(store):
    store.write("checkpoints/20/claim-4.index", b"")
    assert claims.take(store).number == 5


def test_process_whose_claim_was_deleted_writes_nothing_more(store):
    claim = claims.take(store)
    store.delete("claims/1")
    with pytest.raises(Superseded, match="claims/1 was deleted"):
        claim.check()


def test_other_objects_are_not_claims(store):
    store.write("config.json", b"{}")
    store.write("claimsheet/7", b"")
    assert claims.take(store).number == 1
