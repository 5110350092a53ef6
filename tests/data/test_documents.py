"""Documents read from tables."""

import pytest

from nearfar.core.errors import BadInput
from nearfar.data.documents import read_documents

ROWS = [f"{n},{'stone ' * 9}{n},{n},{n},{n}" for n in range(20_000)]  # more than a block of pyarrow


def test_a_column_is_of_one_type_however_late_that_shows(tmp_path):
    path = tmp_path / "late.csv"
    path.write_text("\n".join(["id,text,name,share,count", *ROWS, "last,river,one,0.5,", ""]))
    assert path.stat().st_size > 1 << 20
    first, *_, last = (document.metadata for document in read_documents(str(path)))
    assert first == {"name": "0", "share": 0.0, "count": 0}
    assert last == {"name": "one", "share": 0.5, "count": None}


def test_a_damaged_row_behind_the_first_block_is_named(tmp_path):
    path = tmp_path / "ragged.csv"
    path.write_text("\n".join(["id,text,name,share,count", *ROWS, "last,river", ""]))
    with pytest.raises(BadInput, match=r"ragged\.csv: expected a table, found .*Row #20002: Expected 5 columns, got 2"):
        list(read_documents(str(path)))
