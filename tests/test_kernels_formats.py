import contextlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conv_cli import Kernel, load_kernel, load_kernels
from conv_cli.errors import KernelError
from conv_cli.kernels.formats import dump_kernel

ASYMMETRIC = [[1.0, -2.5, 4.0], [8.0, 16.0, 1 / 3]]


def npy(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npy_header(text: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    header = text.encode("latin1") + b"\n"
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


def announced(shape: str, dtype: str = "<f8", data: bytes = b"") -> bytes:
    return npy_header(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}", data)


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return stream.getvalue()


def encrypted(archive: bytes) -> bytes:
    """The archive with the flag of encryption set, in both of its headers."""
    marked = bytearray(archive)
    marked[6] |= 1
    marked[archive.index(b"PK\x01\x02") + 8] |= 1
    return bytes(marked)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, bytes | str], Path]:
    def write(name: str, contents: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
        return path

    return write


Save = Callable[[str, bytes | str], Path]


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("k.json", "[[1, -2.5, 4], [8, 16e0, 0.3333333333333333]]"),
        ("k.json", "\ufeff[[1,-2.5,4],[8,16,0.3333333333333333]]\n"),
        ("k.JSON", '{"kernel": [[1,-2.5,4],[8,16,0.3333333333333333]], "verdict": "exact"}'),
        ("k.json", '{"name": "x", "weights": [[1,-2.5,4],[8,16,0.3333333333333333]],  "bias": 0}'),
        ("k.csv", "1,-2.5,4\n8,16,1/3\n"),
        ("k.csv", "\ufeff1, -2.5 ,4\r\n8,16,1/3\r\n\r\n"),
        ("k.txt", "1 -2.5 4\n8   16\t1/3"),
        ("k.txt", "\ufeff 1 -2.5 4 \r8 16 1/3\r"),
        ("k.mat", "3 2\n1 -2.5 4\n8 16 0.3333333333333333\n"),
        ("k.mat", '"3","2","2","0"\n2, -5, 8\n16, 32, 0.6666666666666666,\n'),
        ("k.npy", npy(ASYMMETRIC)),
        ("k.npy", npy(np.asfortranarray(ASYMMETRIC))),
        ("k.npy", npy(np.array(ASYMMETRIC, dtype=">f8"))),
    ],
)
def test_every_format_gives_the_same_kernel(save: Save, name: str, contents: bytes | str) -> None:
    kernel = load_kernel(save(name, contents))
    np.testing.assert_array_equal(kernel.weights, ASYMMETRIC)
    assert (kernel.name, kernel.bias) == ("k", 0)
    assert kernel.origin == ((1, 1) if name == "k.mat" else (0, 1))


@pytest.mark.parametrize("dtype", ["i1", "u2", "<i4", ">u8", "f2", ">f4", "bool", "longdouble"])
def test_npy_of_every_real_type_is_read(save: Save, dtype: str) -> None:
    array = np.array([[1, 0, 1], [1, 1, 0]]).astype(dtype)
    assert load_kernel(save("k.npy", npy(array))).weights.tolist() == array.tolist()


def test_npy_with_a_header_of_python_2_is_read_without_a_warning(save: Save) -> None:
    data = np.array(ASYMMETRIC).tobytes()
    kernel = load_kernel(save("k.npy", announced("(2L, 3L)", data=data)))
    np.testing.assert_array_equal(kernel.weights, ASYMMETRIC)


def test_json_carries_bias_and_origin(save: Save) -> None:
    kernel = load_kernel(
        save("k.json", '{"origin": [1, 0], "bias": -3, "kernel": [[1, 2], [3, 4]]}')
    )
    assert (kernel.bias, kernel.origin) == (-3, (1, 0))


def test_mat_divides_by_its_scale_and_takes_its_offset_as_bias(save: Save) -> None:
    kernel = load_kernel(save("k.mat", "2 4 16 128\n1 2\n4 8\n16 32\n64 0\n"))
    np.testing.assert_array_equal(kernel.weights * 16, [[1, 2], [4, 8], [16, 32], [64, 0]])
    assert (kernel.bias, kernel.origin) == (128, (2, 1))


def test_a_bank_gives_its_kernels_in_the_order_of_the_archive(save: Save) -> None:
    bank = save("bank.npz", npz({"z.npy": npy([[1, 2]]), "../a.npy": npy([[3], [4]])}))
    first, second = load_kernels(bank)
    assert (first.name, first.weights.tolist()) == ("bank-1", [[1, 2]])
    assert (second.name, second.weights.tolist()) == ("bank-2", [[3], [4]])
    with pytest.raises(KernelError, match=r"set of 2 kernels \(bank-1, bank-2\)"):
        load_kernel(str(bank))


def test_a_bank_saved_by_numpy_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "b.npz", np.eye(2), np.ones((1, 3)))
    shapes = [kernel.shape for kernel in load_kernels(f"@{tmp_path / 'b.npz'}")]
    assert shapes == [(2, 2), (1, 3)]
    np.savez(tmp_path / "one.npz", np.eye(2))
    assert load_kernel(tmp_path / "one.npz").name == "one-1"


BAD_TEXT = [
    ("k.json", "", "the file is empty"),
    ("k.json", " \n", "the file is empty"),
    ("k.json", "[[1, 2], [3, 4]", "not JSON: Expecting ',' delimiter at line 1, column 16"),
    ("k.json", "[[1, 2],\n [3, x]]", "at line 2, column 6"),
    ("k.json", "[[1, 2], [3]]", "row 2 has 1 number, row 1 has 2"),
    ("k.json", '[[1, 2], [3, "4"]]', 'row 2, column 2 is "4", expected a number'),
    ("k.json", "[[1, true], [3, 4]]", "row 1, column 2 is true, expected a number"),
    ("k.json", "[[1, 2], [null, 4]]", "row 2, column 1 is null, expected a number"),
    ("k.json", "[[1, 2], [3, NaN]]", "row 2, column 2 is nan, expected a finite number"),
    ("k.json", "[[1, -Infinity]]", "row 1, column 2 is -inf"),
    ("k.json", "[[1, 1e999]]", "row 1, column 2 is inf"),
    ("k.json", f"[[1, {'9' * 5000}]]", "row 1, column 2 is inf"),
    ("k.json", "[[1, [2]]]", "row 1, column 2 is a list, expected a number"),
    ("k.json", '[[1, {"a": 2}]]', "row 1, column 2 is an object"),
    ("k.json", "[1, 0, -1]", "row 1 is 1.0, expected rows of numbers"),
    ("k.json", "[]", "it holds no numbers"),
    ("k.json", "[[], []]", "row 1 is empty"),
    ("k.json", "5", "it is 5.0, expected rows of numbers"),
    ("k.json", '"sobel"', 'it is "sobel", expected rows'),
    ("k.json", "[" * 200_000, "too deeply nested"),
    ("k.json", '{"a":' * 200_000, "too deeply nested"),
    ("k.json", "{}", 'neither of "kernel" and "weights"'),
    ("k.json", '{"kernel": [[1]], "weights": [[1]]}', "has both"),
    ("k.json", '{"kernel": [[1]], "kernel": [[2]]}', 'the key "kernel" is given twice'),
    ("k.json", '{"kernel": [[1]], "x": {"y": 1, "y": 1}}', 'the key "y" is given twice'),
    ("k.json", '{"kernel": [[1]], "bias": "1"}', 'its bias is "1", expected a number'),
    ("k.json", '{"kernel": [[1]], "bias": null}', "its bias is null"),
    ("k.json", '{"kernel": [[1]], "bias": 1e999}', "bias inf is not a finite number"),
    ("k.json", '{"kernel": [[1]], "origin": [0.5, 0]}', "its origin is a list, expected"),
    ("k.json", '{"kernel": [[1]], "origin": [0, 0, 0]}', "expected [row, column]"),
    ("k.json", '{"kernel": [[1]], "origin": [true, 0]}', "expected [row, column]"),
    ("k.json", '{"kernel": [[1]], "origin": [1e999, 0]}', "expected [row, column]"),
    ("k.json", '{"kernel": [[1]], "origin": [0, 1]}', "origin (0, 1) lies outside its 1x1"),
    ("k.json", "[" + "[1]," * 4_300_000 + "[1]]", "more than 4,194,304 weights"),
    ("k.json", b"\xff\xfe[\x00", "not text in UTF-8"),
    ("k.csv", b"1,\xe9", "not text in UTF-8"),
    ("k.csv", "\n\n", "the file is empty"),
    ("k.csv", "1,2\n3,x\n", "row 2, column 2 is x, expected a number"),
    ("k.csv", "1,2\n3,nan\n", "row 2, column 2 is nan"),
    ("k.csv", "1,2\n\n3,4\n", "row 2 is empty"),
    ("k.csv", "1,2\n3,\n", "row 2, column 2 is empty"),
    ("k.csv", "1,2\n3,4,5\n", "row 2 has 3 numbers, row 1 has 2"),
    ("k.csv", "1 2\n", "row 1, column 1 is 1 2"),
    ("k.csv", "1,1/0\n", "row 1, column 2 is 1/0, which divides by zero"),
    ("k.csv", "1" + ",1" * 4_194_304, "more than 4,194,304 numbers"),
    ("k.txt", "1 2\n3 # 4\n", "row 2, column 2 is #"),
    ("k.txt", "1,2\n", "row 1, column 1 is 1,2"),
    ("k.txt", "1 2\n3\n", "row 2 has 1 number, row 1 has 2"),
    ("k.txt", "1 " * 4_194_305, "more than 4,194,304 numbers"),
    ("k.mat", "2\n1 2\n", "line 1 is 2, expected WIDTH HEIGHT [SCALE [OFFSET]]"),
    ("k.mat", "2 1 1 0 9\n1 2\n", "expected WIDTH HEIGHT"),
    ("k.mat", ",\n", "line 1 is empty"),
    ("k.mat", "2 x\n1 2\n", "line 1 is 2 x"),
    ("k.mat", "2.5 1\n1 2\n", "whole sizes from 1"),
    ("k.mat", "2 0\n1 2\n", "whole sizes from 1"),
    ("k.mat", "2 1 0\n1 2\n", "a scale that is not 0"),
    ("k.mat", "1000000 1000000\n1 2\n", "line 1 announces 1000000 rows of 1000000 numbers"),
    ("k.mat", "3 2\n1 2 3\n4 5 6\n7 8 9\n", "2 rows of 3 numbers, but 3 rows of 3 follow"),
    ("k.mat", "2 3\n1 2 3\n4 5 6\n", "3 rows of 2 numbers, but 2 rows of 3 follow"),
    ("k.mat", "3 2\n", "it holds no numbers"),
    ("k.mat", "2 2\n1 2\n3 y\n", "row 2, column 2 is y"),
    ("k.mat", "2 1 1e-300\n1 1e300\n", "row 1, column 2 is inf"),
    ("k.mat", b"MATLAB 5.0 MAT-file\x00\x01\xff\xfe", "not text in UTF-8"),
    ("k.png", b"\x89PNG", "no known kernel format; use .csv, .json"),
    ("k", "1 2", "no known kernel format"),
]

BAD_NPY = [
    (b"", "header is damaged"),
    (b"\x93NUMPY", "header is damaged"),
    (b"PK\x03\x04" * 9, "header is damaged"),
    (announced("(2, 2)")[:40], "header is damaged"),
    (npy_header("{'descr': '<f8'}"), "header is damaged"),
    (npy_header("(" * 5000), "header is damaged"),
    (npy_header("__import__('os').system('false')"), "header is damaged"),
    (npy_header("{}", version=b"\x09\x00"), "header is damaged"),
    (announced("(2, 'x')"), "header is damaged"),
    (announced("(2, 2)", dtype="q9z"), "header is damaged"),
    (npy(np.array([[{}, 1]], dtype=object)), "weights are object, expected real numbers"),
    (npy(np.array([[1j, 2]])), "weights are complex128"),
    (npy(np.array([["1", "2"]])), "weights are <U1"),
    (npy(np.zeros((2, 2), dtype="m8[s]")), "expected real numbers"),
    (npy(np.zeros((2, 2), dtype=[("a", "f4")])), "expected real numbers"),
    (npy(np.float64(3)), "its shape is (), expected (rows, columns)"),
    (npy([1.0, 2.0]), "its shape is (2,)"),
    (npy(np.zeros((2, 2, 2))), "its shape is (2, 2, 2)"),
    (npy(np.zeros((0, 3))), "its shape is (0, 3)"),
    (announced("(-2, 2)"), "its shape is (-2, 2)"),
    (announced("(-2, -2)"), "its shape is (-2, -2)"),
    (announced("(1000000, 1000000)"), "1000000x1000000 are more than 4,194,304 weights"),
    (announced(f"({2**62}, {2**62})"), "more than 4,194,304 weights"),
    (announced("(2000, 2000)"), "cut short"),
    (npy(ASYMMETRIC)[:-1], "cut short"),
    (npy([[1.0, np.nan]]), "row 1, column 2 is nan, expected a finite number"),
    (npy([[1.0], [-np.inf]]), "row 2, column 1 is -inf"),
]

GOOD_MEMBER = npy(ASYMMETRIC)
BAD_NPZ = [
    (b"", "archive is damaged"),
    (b"PK\x05\x06", "archive is damaged"),
    (npy(ASYMMETRIC), "archive is damaged"),
    (npz({"a.npy": GOOD_MEMBER})[:-30], "archive is damaged"),
    (npz({"a.npy": GOOD_MEMBER}, 0).replace(b"NUMPY", b"DUMMY"), "archive is damaged (Bad CRC-32"),
    (encrypted(npz({"a.npy": GOOD_MEMBER})), "archive is damaged"),
    (npz({}), "the bank is empty"),
    (npz({"notes.txt": b"hello"}), "array notes.txt: its .npy header is damaged"),
    (npz({"a.npy": GOOD_MEMBER, "b.npy": npy([1.0])}), "array b: its shape is (1,)"),
    (npz({"a.npy": npy([[{}]])}), "array a: its weights are object"),
    (npz({"a.npy": announced("(1000000, 1000000)")}), "more than 4,194,304 weights"),
    (npz({"a.npy": announced("(2000, 2000)", data=bytes(8))}), "array a: cut short"),
    (
        npz({f"{i}.npy": announced("(2048, 2048)", data=bytes(2**25)) for i in range(4)}),
        "it unpacks to more than 134,217,728 bytes",
    ),
    (npz(dict.fromkeys(map(str, range(65_537)), b""), 0), "more than 65,536 kernels"),
]


@pytest.mark.parametrize(
    ("name", "contents", "reason"),
    [
        *BAD_TEXT,
        *(("k.npy", contents, reason) for contents, reason in BAD_NPY),
        *(("k.npz", contents, reason) for contents, reason in BAD_NPZ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "bytes",
)
def test_a_malformed_file_is_refused_by_one_line_that_names_it(
    save: Save, name: str, contents: bytes | str, reason: str
) -> None:
    path = save(name, contents)
    with pytest.raises(KernelError) as caught:
        load_kernels(path)
    message = str(caught.value)
    assert message.startswith(f"kernel {path}")
    assert reason in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 250


@pytest.mark.parametrize("damage", ["cut", "flip"])
@pytest.mark.parametrize("name", ["k.npy", "k.npz"])
def test_damage_anywhere_in_an_array_file_is_an_error_or_a_kernel(
    save: Save, name: str, damage: str
) -> None:
    whole = npy(ASYMMETRIC)
    if name == "k.npz":
        whole = npz({"a.npy": whole, "b.npy": whole})
    for place in range(len(whole)):
        if damage == "cut":
            broken = whole[:place]
        else:
            broken = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        with contextlib.suppress(KernelError):
            assert all(isinstance(kernel, Kernel) for kernel in load_kernels(save(name, broken)))


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet='0123456789.,;:-+eE/x" []{}\n\tnul', max_size=40))
def test_no_text_is_anything_but_a_kernel_or_a_kernel_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for ending in (".json", ".csv", ".txt", ".mat"):
        path = folder / f"k{ending}"
        path.write_text(text, newline="")
        for spec in (path, text):
            try:
                assert np.isfinite(load_kernel(spec).weights).all()
            except KernelError as error:
                assert str(error).startswith("kernel ")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as stream:
        stream.truncate(10**12)  # of nothing: no disk holds it
    with pytest.raises(KernelError, match=r"huge\.txt: larger than 134,217,728 bytes"):
        load_kernel(path)


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs and devices")
@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "link to a device"])
def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "k.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(KernelError, match=f"{path}: not a regular file"):
        load_kernel(str(path))


def test_links_that_lead_nowhere_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    dangling, looping = tmp_path / "dangling.csv", tmp_path / "looping.csv"
    dangling.symlink_to("nowhere.csv")
    looping.symlink_to(looping)
    with pytest.raises(KernelError, match=r"dangling.csv: no such file"):
        load_kernel(dangling)
    with pytest.raises(KernelError, match=r"looping.csv: cannot be read: Too many levels"):
        load_kernel(looping)
    with pytest.raises(KernelError, match="cannot be read: File name too long"):
        load_kernel("x" * 300 + ".csv")
    locked = tmp_path / "locked.csv"
    locked.write_text("1")
    locked.chmod(0)
    if not os.access(locked, os.R_OK):
        with pytest.raises(KernelError, match=r"locked.csv: cannot be read: Permission denied"):
            load_kernel(locked)


@pytest.mark.parametrize("ending", [".json", ".csv", ".txt", ".npy", ".mat", ".JSON"])
def test_what_is_written_reads_back_to_the_last_bit(save: Save, ending: str) -> None:
    weights = np.random.default_rng(5).normal(size=(3, 5)) * 1e-7
    back = load_kernel(save(f"k{ending}", dump_kernel(Kernel(weights), ending)))
    np.testing.assert_array_equal(back.weights, weights)
    assert (back.bias, back.origin) == (0, (1, 2))


@pytest.mark.parametrize("ending", [".json", ".mat"])
def test_bias_and_origin_are_written_where_the_format_holds_them(save: Save, ending: str) -> None:
    kernel = Kernel(np.array([[1.0, 2.0]]), bias=0.1, origin=(0, 1))
    back = load_kernel(save(f"k{ending}", dump_kernel(kernel, ending)))
    assert (back.bias, back.origin) == (0.1, (0, 1))


def test_json_is_what_other_programs_expect() -> None:
    written = json.loads(dump_kernel(Kernel(np.array([[1.0, 2.0]]), bias=3), ".json"))
    assert written == {"kernel": [[1, 2]], "bias": 3, "origin": [0, 0]}


@pytest.mark.parametrize(
    ("kernel", "ending", "reason"),
    [
        (Kernel(np.ones((1, 3)), bias=1), ".csv", "does not hold its bias 1.0"),
        (Kernel(np.ones((1, 3)), origin=(0, 0)), ".txt", r"origin \(0, 0\); write .json"),
        (Kernel(np.ones((1, 3)), bias=-1), ".npy", "does not hold its bias"),
        (Kernel(np.ones((1, 3))), ".png", "not written as .png; use .json, .csv"),
        (Kernel(np.ones((1, 3))), "", "not written as files without ending"),
    ],
)
def test_what_a_format_cannot_hold_is_not_written(kernel: Kernel, ending: str, reason: str) -> None:
    with pytest.raises(KernelError, match=f"^kernel kernel: .*{reason}"):
        dump_kernel(kernel, ending)
