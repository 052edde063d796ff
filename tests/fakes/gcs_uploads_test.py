"""Run with `python -m pytest tests/fakes/gcs_uploads_test.py`: resumable uploads."""

import pytest
import requests

from tests.fakes.gcs_faults import Fault
from tests.fakes.gcs_requests import DATA, RETRY, UNIT, operations, put, session, statuses, upload


class TestResumableUpload:
    def test_in_chunks(self, server, bucket):
        upload(bucket, size=None)
        assert server.objects("bucket") == {"name": DATA}
        assert operations(server) == ["start", "chunk", "chunk", "chunk"]
        assert statuses(server) == [200, 308, 308, 200]

    def test_a_whole_number_of_chunks_of_unknown_size(self, server, bucket):
        upload(bucket, data=DATA[: 4 * UNIT])
        assert server.objects("bucket") == {"name": DATA[: 4 * UNIT]}

    def test_of_a_large_file(self, server, bucket):
        data = DATA * 9
        assert len(data) > 8 << 20  # the client uploads larger data in chunks without being asked
        bucket.blob("name").upload_from_string(data, retry=RETRY)
        assert server.objects("bucket") == {"name": data}
        assert operations(server)[0] == "start"

    def test_the_metadata_of_the_start(self, server, bucket):
        url = bucket.blob("name").create_resumable_upload_session(content_type="text/x")
        put(url, "0-3/4", b"data")
        assert bucket.get_blob("name").content_type == "text/x"

    def test_in_one_request(self, server):
        assert requests.put(session(server), data=b"data", timeout=5).status_code == 200
        assert server.objects("bucket") == {"name": b"data"}

    def test_the_status_says_what_has_arrived(self, server):
        url = session(server)
        assert put(url, "*/*").status_code == 308
        assert "Range" not in put(url, "*/*").headers
        answer = put(url, f"0-{UNIT - 1}/*", DATA[:UNIT])
        assert (answer.status_code, answer.headers["Range"]) == (308, f"bytes=0-{UNIT - 1}")
        assert put(url, f"*/{len(DATA)}").headers["Range"] == f"bytes=0-{UNIT - 1}"
        assert server.objects("bucket") == {}

    def test_bytes_that_arrived_before_are_ignored(self, server):
        url, size = session(server), 2 * UNIT
        put(url, f"0-{UNIT - 1}/{size}", DATA[:UNIT])
        put(url, f"0-{UNIT - 1}/{size}", bytes(UNIT))
        put(url, f"0-{size - 1}/{size}", bytes(UNIT) + DATA[UNIT:size])
        assert server.objects("bucket") == {"name": DATA[:size]}

    def test_a_gap(self, server):
        url = session(server)
        answer = put(url, f"{UNIT}-{2 * UNIT - 1}/*", DATA[:UNIT])
        assert answer.status_code == 503
        assert f"the upload offset is {UNIT} byte(s)" in answer.json()["error"]["message"]
        assert "Range" not in put(url, "*/*").headers

    @pytest.mark.parametrize("bad", ["0-9/*", "0-9/20", "0-8/10", "0-9/5", "x", "*/10", "9-0/10"])
    def test_a_range_that_cannot_be(self, server, bad):
        assert put(session(server), bad, b"0123456789").status_code == 400

    def test_a_size_that_changes(self, server):
        url = session(server)
        put(url, f"0-{UNIT - 1}/{2 * UNIT}", DATA[:UNIT])
        assert put(url, f"{UNIT}-{UNIT}/{UNIT + 1}", b"x").status_code == 400

    def test_a_finished_session_returns_the_object(self, server):
        url = session(server)
        first = put(url, "0-3/4", b"data").json()
        assert put(url, "0-3/4", b"data").json() == put(url, "*/*").json() == first

    def test_cancelling(self, server):
        url = session(server)
        assert requests.delete(url, timeout=5).status_code == 499
        assert put(url, "0-3/4", b"data").status_code == 410
        assert put(url + "x", "0-3/4", b"data").status_code == 404

    @pytest.mark.parametrize("kind", ["reset", "429", "503", "drop", "truncate", "slow"])
    @pytest.mark.parametrize("skip", [0, 1, 2])
    def test_survives_a_fault_at_a_chunk(self, server, bucket, kind, skip):
        fault = server.inject(Fault(kind, "chunk", skip=skip))
        upload(bucket)
        assert server.objects("bucket") == {"name": DATA}
        assert fault.hits == 1

    def test_part_of_a_chunk_survives_its_reset(self, server):
        url, size = session(server), 5 * UNIT
        server.inject(Fault("reset", "chunk"))
        with pytest.raises(requests.ConnectionError):
            put(url, f"0-{size - 1}/*", bytes(size))
        assert put(url, "*/*").headers["Range"] == f"bytes=0-{2 * UNIT - 1}"
        put(url, f"{2 * UNIT}-{size - 1}/{size}", bytes(3 * UNIT))
        assert server.objects("bucket") == {"name": bytes(size)}
