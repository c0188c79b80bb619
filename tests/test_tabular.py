"""Tables as matrices."""

from __future__ import annotations

import gzip
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnn.tabular import Category, Features, Number, Target, is_known, read

NAN = math.nan


def numbers(*values: float) -> np.ndarray:
    return np.array(values, float)


def text(*values: str | None) -> np.ndarray:
    return np.array(values, object)


def again(features: Features) -> Features:
    return Features.from_config(json.loads(json.dumps(features.get_config())))


# ---- files -----------------------------------------------------------------------------------------------------------


def written(folder: Path, content: str, name: str = "t.csv") -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def assert_table(table: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(table) == list(expected)
    for name, column in expected.items():
        assert table[name].dtype == column.dtype, name
        np.testing.assert_array_equal(table[name], column, err_msg=name)


CONTENT = """\
number{0}whole{0}word{0}flag{0}day{0}empty{0}late
1.5{0}1{0}"a ""b"" é"{0}true{0}1970-01-02{0}{0}1
NA{0}{0}{0}false{0}{0}{0}2
-1e3{0}3{0}c{0}{0}1970-01-04{0}NA{0}x
"""


@pytest.mark.parametrize(("separator", "name"), [(",", "t.csv"), (";", "t.csv"), ("\t", "t.tsv"), ("|", "t.data")])
def test_csv(tmp_path: Path, separator: str, name: str) -> None:
    table = read(written(tmp_path, CONTENT.format(separator), name))
    assert_table(
        table,
        {
            "number": numbers(1.5, NAN, -1000),
            "whole": numbers(1, NAN, 3),
            "word": text('a "b" é', None, "c"),
            "flag": text("true", "false", None),
            "day": numbers(1, NAN, 3),
            "empty": numbers(NAN, NAN, NAN) if table["empty"].dtype != object else text(None, None, None),
            "late": text("1", "2", "x"),
        },
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_how_programs_write_csv(tmp_path: Path, end: str, mark: str, pack: Callable[[bytes], bytes]) -> None:
    rows = ["first,second name", '1,"a, b"', "2,c", ""]
    (tmp_path / "t").write_bytes(pack((mark + end.join(rows)).encode()))
    assert_table(read(tmp_path / "t"), {"first": numbers(1, 2), "second name": text("a, b", "c")})


def test_decimal_commas(tmp_path: Path) -> None:
    path = written(tmp_path, "a;b;c\n1;x;3,5\n-0,25;1,2,3;4\n")
    assert_table(read(path), {"a": numbers(1, -0.25), "b": text("x", "1,2,3"), "c": numbers(3.5, 4)})
    path = written(tmp_path, "a;b\n1.5;1,2,3\n2.5;x\n")
    assert_table(read(path), {"a": numbers(1.5, 2.5), "b": text("1,2,3", "x")})


def test_a_type_that_shows_late(tmp_path: Path) -> None:
    table = read(written(tmp_path, "a,b\n" + "1,2\n" * 5000 + "x,2.5\n"))
    assert table["a"].tolist() == ["1"] * 5000 + ["x"]
    assert table["b"][-1] == 2.5


def test_columns_read_as_text(tmp_path: Path) -> None:
    path = written(tmp_path, "zip,x\n01234,1\n99999,2\n")
    assert_table(read(path), {"zip": numbers(1234, 99999), "x": numbers(1, 2)})
    assert_table(read(path, ["zip", "other"]), {"zip": text("01234", "99999"), "x": numbers(1, 2)})


def test_truth_values_however_they_are_written(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,c\ntrue,True,TRUE\nfalse,False,FALSE\n,,\n")
    for columns in ([], ["a", "b", "c"]):
        assert_table(read(path, columns), dict.fromkeys("abc", text("true", "false", None)))


def test_parquet(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "i": pl.Series([1, None, 3], dtype=pl.Int16),
            "f": pl.Series([0.5, NAN, None], dtype=pl.Float32),
            "s": ["a", None, "b"],
            "c": pl.Series(["x", "y", None], dtype=pl.Categorical),
            "b": [True, None, False],
            "d": pl.Series(["1970-01-03", None, "1969-12-31"]).str.to_date(),
            "t": pl.Series(["1970-01-01 12:00", None, "1970-01-02 00:00"]).str.to_datetime("%Y-%m-%d %H:%M"),
        }
    )
    frame.write_parquet(tmp_path / "t.anything")
    expected = {
        "i": numbers(1, NAN, 3),
        "f": numbers(0.5, NAN, NAN),
        "s": text("a", None, "b"),
        "c": text("x", "y", None),
        "b": text("true", None, "false"),
        "d": numbers(2, NAN, -1),
        "t": numbers(0.5, NAN, 1),
    }
    assert_table(read(tmp_path / "t.anything"), expected)
    texts = {"i": text("1", None, "3"), "d": text("1970-01-03", None, "1969-12-31")}
    assert_table(read(tmp_path / "t.anything", ["i", "d"]), expected | texts)


def test_what_is_known() -> None:
    assert is_known(numbers(1, NAN, math.inf, -math.inf)).tolist() == [True, False, False, False]
    assert is_known(text("", None, "nan")).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no table that can be read: "),
        (b"a,b\n", "has no rows"),
        (b"a,b\n1,2\n3,4,5\n", "is no table that can be read: "),
        (b"PAR1 and then nothing", "is no table that can be read: "),
        (b"a\n\xff\xfe\xfa\n", "is no table that can be read: "),
        ("a,b\n1,2\n".encode("utf-16"), "is no table that can be read: it is UTF-16, expected UTF-8"),
        (gzip.compress(b"a,b\n1,2\n")[:-9], "is no table that can be read: Compressed file ended before"),
        (gzip.compress(b"a,b\n" * 99)[:15] + bytes(20), "is no table that can be read: "),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.csv' {message}") as raised:
        read(tmp_path / "bad.csv")
    assert "\n" not in str(raised.value)


def test_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        read(tmp_path / "nothing.csv")
    pl.DataFrame({"a": [[1], [2]]}).write_parquet(tmp_path / "lists")
    with pytest.raises(ValueError, match=r"lists' has the column 'a' of type List.*, expected numbers, dates or text"):
        read(tmp_path / "lists")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r'reading tables needs polars: pip install "fastnn\[data\]"'):
        read(tmp_path / "lists")


# ---- features --------------------------------------------------------------------------------------------------------


def test_numbers() -> None:
    features = Features.fit({"x": numbers(1, 3, 5)})
    assert features.columns == [Number("x", 3, math.sqrt(8 / 3), missing=False)]
    z = math.sqrt(1.5)
    for one in (features, again(features)):
        np.testing.assert_allclose(one.encode({"x": numbers(1, 3, 5, 3 + 2 * z, NAN)})[:, 0], [-z, 0, z, 1.5, 0], 1e-6)
        assert one.encode({"x": numbers(1)}).dtype == np.float32
        assert one.width == 1


def test_numbers_of_which_some_are_missing() -> None:
    features = again(Features.fit({"x": numbers(1, NAN, 3, math.inf)}))
    assert features.width == 2
    np.testing.assert_array_equal(
        features.encode({"x": numbers(1, 3, NAN, -math.inf)}), [[-1, 0], [1, 0], [0, 1], [0, 1]]
    )


@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e30, 1e300])
def test_numbers_of_any_size(factor: float) -> None:
    x = factor * numbers(-3, 0, 1, 2)
    np.testing.assert_allclose(
        Features.fit({"x": x}).encode({"x": x})[:, 0], numbers(-3, 0, 1, 2) / math.sqrt(3.5), rtol=1e-6, atol=1e-9
    )


def test_categories() -> None:
    features = again(Features.fit({"c": text("b", "a", "b", "a")}))
    assert features.columns == [Category("c", ["a", "b"], other=False, missing=False)]
    np.testing.assert_array_equal(features.encode({"c": text("a", "b", "new", None)}), [[1, 0], [0, 1], [0, 0], [0, 0]])


def test_categories_of_which_some_are_missing() -> None:
    features = again(Features.fit({"c": text("b", None, "b")}))
    assert features.columns == [Category("c", ["b"], other=False, missing=True)]
    np.testing.assert_array_equal(features.encode({"c": text("b", None, "new")}), [[1, 0], [0, 1], [0, 0]])


def test_many_categories() -> None:
    # 60 of them: those that occur twice are told apart, the first of the others fill the fifty, the rest are one.
    column = text(*[f"{i:02}" for i in range(60)], *[f"{i:02}" for i in range(30, 60)])
    features = again(Features.fit({"c": column}))
    (one,) = features.columns
    assert isinstance(one, Category)
    assert one.categories == [f"{i:02}" for i in [*range(20), *range(30, 60)]]
    encoded = features.encode({"c": text("00", "25", "new", "59", None)})
    assert encoded.shape == (5, 51)
    assert [row.nonzero()[0].tolist() for row in encoded] == [[0], [50], [50], [49], []]


def test_columns_of_no_use() -> None:
    table = {
        "empty": numbers(NAN, NAN, NAN),
        "constant": numbers(0.1, 0.1, 0.1),
        "nothing": text(None, None, None),
        "one": text("a", "a", "a"),
        "key": text("a", "b", "c"),
        "x": numbers(1, 2, 3),
        "sometimes": numbers(5, NAN, 5),
    }
    features = Features.fit(table)
    assert [column.name for column in features.columns] == ["x", "sometimes"]
    assert again(features).left_out == {
        "empty": "it is empty",
        "constant": "it is 0.1 everywhere",
        "nothing": "it is empty",
        "one": "it is 'a' everywhere",
        "key": "no value in it occurs twice",
    }
    np.testing.assert_array_equal(features.encode(table)[:, 1:], [[0, 0], [0, 1], [0, 0]])
    with pytest.raises(ValueError, match=r"no column to predict from, expected at least one; one: it is 'a' e"):
        Features.fit({"one": table["one"]})
    with pytest.raises(ValueError, match=r"no column to predict from, expected at least one$"):
        Features.fit({})


def test_columns_are_found_by_name_and_kind() -> None:
    features = Features.fit({"x": numbers(1, 3), "c": text("5", "6"), "y": numbers(0, 2)})
    assert features.text == ["c"]
    expected = features.encode({"x": numbers(1, 3), "c": text("5", "6"), "y": numbers(0, 2)})
    given = {"more": text("?", "?"), "y": numbers(0, 2), "c": numbers(5, 6), "x": text("1", "3")}
    np.testing.assert_array_equal(features.encode(given), expected)
    with pytest.raises(ValueError, match="the table has no column 'x', 'y', expected those of training"):
        features.encode({"c": text("5")})
    with pytest.raises(ValueError, match="column 'x' has 'abc' in row 2, expected numbers"):
        features.encode(given | {"x": text(None, "abc")})


@given(st.lists(st.tuples(st.floats(), st.one_of(st.none(), st.text(max_size=2))), min_size=1, max_size=12), st.data())
def test_every_table_gives_finite_numbers(rows: list[tuple[float, str | None]], data: st.DataObject) -> None:
    table = {
        "x": numbers(*[row[0] for row in rows]),
        "c": text(*[row[1] for row in rows]),
        "i": np.arange(len(rows)) / 2,
    }
    fitted = data.draw(st.integers(1, len(rows)))
    try:
        features = Features.fit({name: column[:fitted] for name, column in table.items()})
    except ValueError as error:
        assert "no column to predict from" in str(error)  # noqa: PT017 - and where there is none, all is well
        return
    encoded = again(features).encode(table)
    assert encoded.shape == (len(rows), features.width)
    assert (np.abs(encoded) <= 1e6).all()


# ---- targets ---------------------------------------------------------------------------------------------------------


def fit(column: np.ndarray, task: str = "auto") -> Target:
    target = Target.fit("t", column, task)
    return Target(**json.loads(json.dumps(vars(target))))


@pytest.mark.parametrize(
    ("column", "classes"),
    [
        (text("b", "a", "b", "a"), ["a", "b"]),
        (numbers(0, 1, 1, 0), ["0", "1"]),
        (numbers(10, 9, -1, 10, 9, -1), ["-1", "9", "10"]),
        (np.arange(100.0) % 20, [str(i) for i in range(20)]),
        (np.arange(100.0) % 21, None),
        (numbers(0.5, 1, 0.5, 1), None),
        (numbers(1, 2, 3), None),  # each of them once
    ],
)
def test_what_a_target_is(column: np.ndarray, classes: list[str] | None) -> None:
    assert fit(column).classes == classes


def test_what_a_target_is_may_be_said() -> None:
    assert fit(numbers(0, 1, 1, 0), "regression").classes is None
    assert fit(numbers(0.5, 1, 0.5, 1), "classification").classes == ["0.5", "1"]
    assert fit(text("3", "1", "2"), "regression") == Target("t", None, 2.0, math.sqrt(2 / 3))
    assert fit(text("1", "0", "1", "0")).text
    assert not fit(numbers(1, 0, 1, 0)).text


def test_numbers_to_predict() -> None:
    target = fit(numbers(0.5, 2.5, 0.5, 2.5))
    assert target.units == 1
    np.testing.assert_array_equal(target.encode(numbers(0.5, 2.5, 3.5)), [-1, 1, 2])
    np.testing.assert_array_equal(target.truth(text("0.5", "7")), [0.5, 7])
    assert target.decode(np.array([[-1], [2]], np.float32)) == {"prediction": [0.5, 3.5]}


def test_two_classes_to_predict() -> None:
    target = fit(text("no", "yes", "no", "yes"))
    assert target.units == 1
    assert target.encode(text("yes", "no")).tolist() == [1, 0]
    assert target.decode(np.array([[0.25], [0.75], [0.5]])) == {
        "prediction": ["no", "yes", "no"],
        "probability_no": [0.75, 0.25, 0.5],
        "probability_yes": [0.25, 0.75, 0.5],
    }


def test_more_classes_to_predict() -> None:
    target = fit(numbers(3, 1, 2, 3, 1, 2))
    assert target.units == 3
    assert target.encode(numbers(1, 2, 3)).tolist() == [0, 1, 2]
    assert target.decode(np.array([[0.5, 0.25, 0.25], [0, 0.25, 0.75]])) == {
        "prediction": ["1", "3"],
        "probability_1": [0.5, 0],
        "probability_2": [0.25, 0.25],
        "probability_3": [0.25, 0.75],
    }
    assert target.truth(numbers(1, 4)).tolist() == ["1", "4"]


@pytest.mark.parametrize(
    ("column", "task", "message"),
    [
        (text("a", "a"), "auto", "column 't' has the class 'a' alone, expected at least two"),
        (numbers(1, 1), "classification", "column 't' has the class '1' alone, expected at least two"),
        (numbers(0.5, 0.5, 0.5), "auto", "column 't' is 0.5 everywhere, expected something to predict"),
        (
            text("a", "b", "c"),
            "classification",
            "column 't' has 3 classes in 3 rows, expected at least two rows for each",
        ),
        (text("a", "b", "a"), "regression", "column 't' has 'a' in row 1, expected numbers"),
    ],
)
def test_nothing_to_predict(column: np.ndarray, task: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Target.fit("t", column, task)


def test_text_with_a_class_for_each_row_is_no_regression() -> None:
    with pytest.raises(ValueError, match="column 't' has 3 classes in 3 rows"):
        Target.fit("t", text("a", "b", "c"))
