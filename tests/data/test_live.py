import pytest

from nearfar.core.errors import BadInput
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Texts
from nearfar.data.live import read_live

DOCUMENTS = Texts(["d1", "d2", "7"], ["first text", "second text", "third text"])


def test_queries_are_gathered_and_documents_named_by_id_number_or_text(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"query": "How so?", "clicked": "d2"}\n\n{"query": "how  SO?", "clicked": ["d1", "d2"]}\n'
                    '{"query": "else", "clicked": 7}\n{"query": "text", "clicked": "first text"}\n')  # fmt: skip
    log = read_live(path, DOCUMENTS)
    assert log.queries == ["How so?", "else", "text"]
    assert [row.tolist() for row in log.clicked] == [[0, 1], [2], [0]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"query": "a"}', "a field 'clicked'"),
        ('{"clicked": "d1"}', "a field 'query'"),
        ('{"query": "", "clicked": "d1"}', "text in 'query'"),
        ('{"query": "a", "clicked": []}', "a document in 'clicked'"),
        ('{"query": "a", "clicked": "d9"}', "'d9', which is not in the data"),
        ('{"query": "a", "clicked": [true]}', "text in 'clicked'"),
        ('{"query": "a", "clicked": null}', "text in 'clicked'"),
        ("[1]", "a JSON object"),
        ("{", "bad JSON"),
    ],
)
def test_bad_lines_are_named_or_skipped(tmp_path, line, expected):
    path = tmp_path / "log.jsonl"
    path.write_text('{"query": "fine", "clicked": "d1"}\n' + line + "\n")
    with pytest.raises(BadInput, match=expected) as error:
        read_live(path, DOCUMENTS)
    assert f"{path}:2" in str(error.value)
    log = read_live(path, DOCUMENTS, DataConfig(skip_bad_rows=True))
    assert log.queries == ["fine"]
    assert log.notices[0] == "skipped 1 bad rows"


def test_a_log_of_nothing_is_refused(tmp_path):
    path = tmp_path / "log.jsonl"
    with pytest.raises(BadInput, match="expected a file"):
        read_live(path, DOCUMENTS)
    path.write_text("\n")
    with pytest.raises(BadInput, match="lines of"):
        read_live(path, DOCUMENTS)
    path.write_text("{}\n")
    with pytest.raises(BadInput, match="a field 'query'"):
        read_live(path, DOCUMENTS, DataConfig(skip_bad_rows=True))
