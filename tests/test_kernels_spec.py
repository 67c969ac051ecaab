import re
import time
from pathlib import Path

import numpy as np
import pytest

from conv_cli import Kernel, load_kernel, load_kernels
from conv_cli.errors import KernelError


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("1 -1", [[1, -1]]),
        ("-1 1", [[-1, 1]]),
        ("5", [[5]]),
        (".5", [[0.5]]),
        ("+3.", [[3]]),
        ("-2.5e-1 1E2", [[-0.25, 100]]),
        ("1,2,4;8,16,32", [[1, 2, 4], [8, 16, 32]]),
        ("1, 2 ,4 ; 8 16\t32", [[1, 2, 4], [8, 16, 32]]),
        ("  1 2 ; 3 4 ;  ", [[1, 2], [3, 4]]),
        ("1 2\n3 4\n", [[1, 2], [3, 4]]),
        ("1 2\r\n3 4\r\n", [[1, 2], [3, 4]]),
        ("1 2;\n3 4;\n", [[1, 2], [3, 4]]),
        ("1;2;3", [[1], [2], [3]]),
        ("1/9 -2/4; 1e1/4 .5/.25", [[1 / 9, -0.5], [2.5, 2]]),
        ("1 2; 3 4 / 8", [[0.125, 0.25], [0.375, 0.5]]),
        ("1 2; 3 4 /8", [[0.125, 0.25], [0.375, 0.5]]),
        ("1 2; 3 4/ 8", [[0.125, 0.25], [0.375, 0.5]]),
        ("1 2; 3 4/8", [[1, 2], [3, 0.5]]),
        ("1 2\n3 4\n/ -8\n", [[-0.125, -0.25], [-0.375, -0.5]]),
        ("1/2 2 / 1/4;", [[2, 8]]),
    ],
)
def test_an_inline_matrix_is_read_as_it_is_written(spec: str, expected: list[list[float]]) -> None:
    kernel = load_kernel(spec)
    np.testing.assert_array_equal(kernel.weights, expected)
    assert kernel.bias == 0


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("1 2; 3 x", ("row 2, column 2 is x", "expected a number")),
        ("1 2 nan", ("row 1, column 3 is nan", "expected a number")),
        ("a b; c d", ("row 1, column 1 is a",)),
        ("1 2; 3 inf", ("row 2, column 2 is inf",)),
        ("1 1e999", ("row 1, column 2 is 1e999", "too large")),
        ("9" * 5000, ("row 1, column 1", "too large")),
        ("1 1e308/1e-308", ("row 1, column 2", "too large")),
        ("1 1_000", ("row 1, column 2 is 1_000",)),
        ("1 0x10", ("row 1, column 2 is 0x10",)),
        ("1 ٣", ("row 1, column 2 is ٣",)),
        ("1 --2", ("row 1, column 2 is --2",)),
        ("1 2e", ("row 1, column 2 is 2e",)),
        ("1 .", ("row 1, column 2 is .",)),
        ("1 1/2/3", ("row 1, column 2 is 1/2/3",)),
        ("1; 2 3", ("row 2 has 2 numbers, row 1 has 1",)),
        ("1 2 3; 4 5 6; 7", ("row 3 has 1 number, row 1 has 3",)),
        ("1 2;;3 4", ("row 2 is empty",)),
        (";1 2", ("row 1 is empty",)),
        (";", ("row 1 is empty",)),
        ("1 2; 3 4;;", ("row 3 is empty",)),
        ("1,,2", ("row 1, column 2 is empty",)),
        ("1,2,", ("row 1, column 3 is empty",)),
        ("(1, 2)", ("row 1, column 1 is (1",)),
        ("1 1/0", ("row 1, column 2 is 1/0", "divides by zero")),
        ("1 2/0.0; 1 1", ("row 1, column 2 is 2/0.0", "divides by zero")),
        ("1 2 / 0", ("its divisor is 0",)),
        ("1 2 /", ("its divisor is empty",)),
        ("1 2 / x", ("its divisor is x",)),
        ("1 2 / 3; 4 5", ("divides the whole matrix", "at the end")),
        ("1 2 / 3 4", ("divides the whole matrix",)),
        ("1 / 2 / 3", ("divides the whole matrix", "once")),
        ("1e300 1 / 1e-300", ("row 1, column 1 is inf",)),
        ("/ 9", ("row 1 is empty",)),
    ],
)
def test_a_malformed_matrix_is_refused_by_row_and_column(spec: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(KernelError) as caught:
        load_kernel(spec)
    message = str(caught.value)
    assert message.startswith("kernel ")
    assert "\n" not in message
    assert len(message) < 300
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sobelx", "no built-in and no file has this name; did you mean sobel-x?"),
        ("Gausian:2", "no built-in and no file has this name; did you mean gaussian?"),
        ("quux", "no built-in and no file has this name; give a built-in such as"),
        ("3x3", "no built-in and no file has this name"),
        ("nan", "no built-in and no file has this name"),
        ("", "none is named"),
        ("  ", "none is named"),
        ("@", "none is named"),
        ("edge.txt", "kernel edge.txt: no such file; check the path"),
        ("./k.json", "kernel ./k.json: no such file"),
        ("9/k.JSON", "kernel 9/k.JSON: no such file"),
        ("@gaussian", "kernel gaussian: no such file"),
        ("no/such", "no such file; check the path"),
        ("x\0.npy", "no file can have this name"),
        ("\ud800.npy", "no file can have this name"),
        ("kirsch:q", "kernel kirsch: it has no member q; it is the set of kirsch-n, kirsch-ne"),
        ("freichen:10", "it has no member 10"),
        ("sobel-x:3", "kernel sobel-x: too many parameters; it takes none"),
        ("gaussian:1,2,3", "kernel gaussian: too many parameters; it takes sigma, size"),
        ("gaussian:-1", "kernel gaussian: sigma is -1, expected a number above 0"),
        ("gaussian:sigma=0", "kernel gaussian: sigma is 0, expected a number above 0"),
        ("gaussian:", "kernel gaussian: sigma is empty"),
        ("gaussian:two", "kernel gaussian: sigma is two, expected a number above 0"),
        ("gaussian:nan", "sigma is nan"),
        ("gaussian:inf", "sigma is inf"),
        ("gaussian:1e999", "sigma is 1e999"),
        ("gaussian:size=2.5", "size is 2.5, expected N or HxW in whole numbers from 1"),
        ("gaussian:sigma=1,sigma=2", "sigma is given twice"),
        ("gaussian:1,sigma=2", "sigma is given twice"),
        ("gaussian:sgma=1", "no parameter is named sgma; it takes sigma, size"),
        ("gaussian:size=3,2", "2 has no name but follows a parameter that has one"),
        ("box:0", "size is 0"),
        ("box:3x", "size is 3x"),
        ("box:-3", "size is -3"),
        ("box:" + "9" * 5000, "expected N or HxW"),
        ("binomial:1025", "size is 1025, expected N or HxW in whole numbers from 1 to 1024"),
        ("laplacian:6", "neighbours is 6, expected 4 or 8"),
        ("log:0.1", "sigma is 0.1, expected a number of at least 0.3"),
        ("log:1,1", "size is 1"),
        ("dog:2,2", "kernel dog: sigma1 and sigma2 are both 2"),
        ("motion:0.5", "length is 0.5, expected a number of at least 1"),
        ("motion:9,north", "angle is north, expected a number"),
        ("disk:0", "radius is 0, expected a number above 0"),
        ("ring:3,0", "width is 0, expected a number of at least 1"),
        ("gabor:wavelength=1", "wavelength is 1, expected a number of at least 2"),
        ("sharpen:1e308", "row 2, column 2 is inf"),
    ],
)
def test_what_is_no_kernel_is_refused_with_a_way_out(
    spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KernelError) as caught:
        load_kernel(spec)
    assert str(caught.value).startswith("kernel ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("sobel-x", "sobel-x"),
        (" SOBEL-X ", "sobel-x"),
        ("Gaussian: Sigma = 2, size=5X7", "gaussian:sigma=2,size=5x7"),
        ("gaussian:2", "gaussian:2"),
        ("Kirsch:NW", "kirsch-nw"),
        ("freichen:3", "freichen-3"),
        ("1 -1", "1 -1"),
        ("  1,  -1 ;\n 2\t3; ", "1 -1; 2 3"),
        ("1 1\n1 1/3\n/ 4", "1 1; 1 1/3 / 4"),
    ],
)
def test_a_kernel_is_called_what_was_typed_without_its_spaces(spec: str, name: str) -> None:
    assert load_kernel(spec).name == name


def test_a_long_matrix_is_called_by_its_size_and_weights() -> None:
    row = " ".join(["1.125"] * 8)
    one, same, other = (load_kernel(f"{row}; {row[:-1]}{end}") for end in ("5", "50", "6"))
    assert one.name.startswith("matrix-2x8-")
    assert len(one.name) == len("matrix-2x8-") + 8
    assert one.name == same.name
    assert one.name != other.name


def test_matrices_of_other_shapes_never_share_a_name() -> None:
    numbers = [str(1000 + n) for n in range(12)]
    wide = load_kernel("; ".join([" ".join(numbers[:6]), " ".join(numbers[6:])]))
    tall = load_kernel("; ".join(" ".join(numbers[i : i + 2]) for i in range(0, 12, 2)))
    assert wide.weights.ravel().tolist() == tall.weights.ravel().tolist()
    assert wide.name != tall.name
    assert load_kernel("1 2\n3 4").name != load_kernel("1 2 3 4").name


def test_parameters_by_position_and_by_name_mean_the_same() -> None:
    np.testing.assert_array_equal(
        load_kernel("gaussian:2,5x9").weights, load_kernel("gaussian:size=5x9,sigma=2").weights
    )
    np.testing.assert_array_equal(
        load_kernel("gaussian:4/2,size=5x9").weights, load_kernel("gaussian:2.0,5x9").weights
    )


@pytest.mark.parametrize("spec", ["kirsch", "sobel", "FREICHEN"])
def test_a_set_is_refused_where_one_kernel_is_wanted_and_its_members_named(spec: str) -> None:
    members = [kernel.name for kernel in load_kernels(spec)]
    with pytest.raises(KernelError) as caught:
        load_kernel(spec)
    assert f"it is a set of {len(members)} kernels" in str(caught.value)
    assert "load_kernels" in str(caught.value)
    assert all(member in str(caught.value) for member in members)


def test_one_kernel_is_a_list_of_one() -> None:
    (kernel,) = load_kernels("sobel-x")
    np.testing.assert_array_equal(kernel.weights, load_kernel("sobel-x").weights)


def test_arrays_and_kernels_are_kernels() -> None:
    kernel = Kernel(np.array([[1.0, 2.0]]), bias=3, name="mine")
    assert load_kernel(kernel) is kernel
    np.testing.assert_array_equal(load_kernel([[1, 2], [3, 5]]).weights, [[1, 2], [3, 5]])
    np.testing.assert_array_equal(load_kernel(np.eye(2, 3, dtype=">i2")).weights, np.eye(2, 3))
    with pytest.raises(KernelError, match="rows of equal length"):
        load_kernel([[1, 2], [3]])
    with pytest.raises(KernelError, match="expected \\(rows, columns\\)"):
        load_kernel(np.zeros((2, 2, 2)))


def test_a_built_in_wins_over_a_file_of_its_name_unless_an_at_sign_says_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("box:3.txt", "@odd.txt", "5.txt", "1;2.csv"):
        Path(name).write_text("7")
    with pytest.raises(KernelError, match="size is 3"):
        load_kernel("box:3.txt")
    for spec in ("@box:3.txt", "@@odd.txt", "5.txt", "@5.txt", "1;2.csv", Path("@odd.txt")):
        assert load_kernel(spec).weights.tolist() == [[7]]


def test_a_plain_name_that_is_a_file_of_no_known_format_says_which_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("1 2")
    with pytest.raises(KernelError, match=r"kernel mine: no known kernel format; use .csv, .json"):
        load_kernel("mine")


@pytest.mark.parametrize("text", ["1" + " " * 120_000 + "x", "1" * 120_000 + "x 2", "; " * 60_000])
def test_a_long_bad_text_is_refused_quickly(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(KernelError) as caught:
        load_kernel(text)
    assert time.perf_counter() - start < 2
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text", ["[[1, 2], [3, 4]]", "[[1 2] [3 4]]", "[1 2; 3 4]", "[1, 2; 3, 4]", "[1, 2\n3, 4]"]
)
def test_matrices_of_python_and_matlab_are_understood(text):
    np.testing.assert_array_equal(load_kernel(text).weights, [[1, 2], [3, 4]])
    for divided in (f"{text} / 2", f"{text} /2", f"{text}/2"):
        np.testing.assert_array_equal(load_kernel(divided).weights, [[0.5, 1], [1.5, 2]])


def test_a_fraction_within_brackets_divides_one_weight():
    np.testing.assert_array_equal(load_kernel("[1 2; 3 4/8]").weights, [[1, 2], [3, 0.5]])


@pytest.mark.parametrize("text", ["[1 2", "[[1, 2], 3]", "[1] [2]", "[[[1]]]", "]1 2["])
def test_brackets_that_do_not_pair_are_refused(text):
    with pytest.raises(KernelError, match=re.escape("[[1, 2], [3, 4]]")):
        load_kernel(text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("-1,0,1 -2,0,2 -1,0,1", '"-1,0,1; -2,0,2; -1,0,1"'),
        ("0,25 0,5 0,25", '"0.25 0.5 0.25"'),
        ("1 2; 3, 4 5", "row 2"),
        ("1 2 4 -1,0,3", '"1 2 4 -1 0 3"'),
    ],
)
def test_commas_and_spaces_in_one_row_are_refused_with_a_way_to_write_it(text, advice):
    with pytest.raises(KernelError, match=re.escape(advice)):
        load_kernel(text)


@pytest.mark.parametrize("text", ["1, 2, 3", "1 , 2 ,3", "1,2,3", "1 2 3"])
def test_commas_may_have_spaces_beside_them(text):
    np.testing.assert_array_equal(load_kernel(text).weights, [[1, 2, 3]])


@pytest.mark.parametrize("name", ["k.txt", "k.csv"])
def test_lines_that_begin_with_a_hash_are_comments(tmp_path, name):
    gap = " " if name == "k.txt" else ","
    (tmp_path / name).write_text(f"# a comment\n1{gap}2\n  # another\n3{gap}4\n")
    np.testing.assert_array_equal(load_kernel(tmp_path / name).weights, [[1, 2], [3, 4]])


@pytest.mark.parametrize("key", ["divisor", "scale", "Bias", "anchor"])
def test_keys_that_are_not_known_are_refused(tmp_path, key):
    (tmp_path / "k.json").write_text(f'{{"weights": [[1, 2]], "{key}": 2}}')
    with pytest.raises(KernelError, match=f'"{key}" is not known'):
        load_kernel(tmp_path / "k.json")
