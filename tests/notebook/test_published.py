import pandas as pd
import pytest

from erlib.notebook.published import published, with_error


def test_an_unknown_table_is_named_with_those_there_are():
    with pytest.raises(FileNotFoundError, match=r"04_one_update.nothing.*04_one_update.depth"):
        published("04_one_update.nothing")


def test_error_is_in_percent_and_only_where_there_is_an_accuracy():
    assert with_error([{"accuracy": 0.96}]).error.tolist() == pytest.approx([4.0])
    assert "error" not in with_error([{"loss": 0.1}])
    assert isinstance(published("benchmarks/any_module"), pd.DataFrame)
