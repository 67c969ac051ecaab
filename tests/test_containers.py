"""PAM, Radiance HDR, FITS and .npz: files that other programs wrote, damaged ones, and .pam back."""

import base64
import io
import shutil
import subprocess
import zlib

import cv2
import numpy as np
import pytest

from command import call, error_line
from conv_cli.errors import ImageError
from conv_cli.images import Image, probe_image, read_image, write_image

RAMP = np.arange(12).reshape(3, 4)
FITS = {
    "int16": (
        "c-rmJK?;IE7{&3ib%*#45QG-drbUs#K#8CWw^J&(a7IR3c#96ufjU4(X{}k%Du)nSzTW}<Ja_>=_<NUVMLj~"
        "A(n-lw>Aa*$(T;}!m6edO&@uJe@X+T`f6rcYJ)yOzDHfHWsxA`x!COZ>Aj3YV>&bI|Of;$VQ_k{4mYI^Jxn~"
        "=Ca~ka3a}2%N@SYomuD3P*F}(MR0RR91z~40ErfBZ%vb{3KVs^78*2Q{^A_f2e0001Ap30w#F8"
    ),
    "uint16": (
        "c-jm0^bPQFRZy^1zyd-P^c9lx^V0H*a*Gv8@)g`XLxL5GOA_-^5{pt4umUH~kO0pJ?B*Go0nJM+DoU(WNJ%V"
        "7R4Az|NL3&J{2U`ZgB5VN&j@H<UTJPpYLP;I8qDO(+|<0{%>2A!+~yhLFwaDRWB@kL2#0ybq?_j&5#s9Sf-^"
        "oy22R1wjyU7jkPP#pT!Z|v#fPzxxtRqS{snn<6pVsVFbYP&C>RB!U<iQ*hRGev1$NCir|@vaR|Ae6G7kDDoC"
        "CscFpPpxFbYP&C>RB!U=)mkQ7{TH008E$j&A"
    ),
    "uint8": (
        "c-rmJF$%&k7>3~<!UO!Hn^+wjbWp4i&=P2duF<s6p@}3B>>WIWhwu;{!oyevw?-*Ae$N5k<;~cRZxf;gbr3Y"
        "7gVCk2wIgq6!$d~TORc0;)M>>8XL+DEYkSgK*^rW6l5dU${g5tmmQkP=w>^ET_k|@>e#%u{Xjd8S!o6{zH>K"
        "X*y*SXD^zS9PNYZuiNB`a{1^@s60Dlt=hI6jYm+S5RhyVZp007{tCv{YX^8"
    ),
    "float64": (
        "c-rmJKTE?v9LDhuzJ$*58(cb6X&VY6MHC|(XelH^*3+cWA$M|#LpNVqUV@{egM))ZDdKGZJl%3g9J=)REMI;"
        "@9u5+z`^jA>GLjmxoXMj#Q|t0VN-MW2j-)8HNwrI**0qW!DyiM;4ujR6c23VF)uonl{*=id##f1o#PhzvYR^"
        "3951A7?-7U}Z%oH<g3jbcuvlmEXo4vmGegE4Vc=r0u_rfF&$2Z>p+k9_5MnptJbii70S)s4!8~ToZpr7a$x<"
        "HrcH~O>f3-+rcw2dC4Cuj#fMSI&Xs{r>9_c`v1-7*mo5fRb;`~o7Bnvn"
    ),
    "blank": (
        "c-rmS%Wm307>40#({pd)-?8M-s)t1uP)sxm7!*$>x*W<tk+6-%juh@b2{ciZ*nriel=oSJ^vagK7)xKI2cv!"
        "<ax4Xm)a84c%u*j`lBd$sCXy_-$<+F(6zXU*(&Lier>maz-mYb8b1V6J<z$brJ=T$w^cq*a<UF1@FX`;2yog"
        "<rEz%?_>;+>Jgx%8nt!xtm006+FaebVO^e{Y@T1SVb-RTFlJAc<@vPi67OKvAiC+;HO9!^VpfA##_s(yan^q"
        "M=aZ|RbG{^PoLTaxCU>uVMEJ~tXAy;gZ|^kw)pGzWbz%zb*kl9lx~cDeJ#_j|Id*L>K^_B;>M(?P!*9n#yrG"
        "P8wSPRpytd>aLu=TWmif2#e;`)qo{v%$94{T)5Nj{pF`eF^{o00000000000095go&B>Ov`>P2d(pb+*v=0b"
        "J|D1uZhrXB_s{RE?_YN8pGDqP?^W18?^!<onf-I8-wsd9p2tV_#Q*@{QS6_esHf^kJyXxs3-waHQm@q;^_DL"
        "S0002sp-Yrqtq%"
    ),
    "scaled": (
        "c-rmKL2iOT6vlCn@=l<F+FcjgVls(RQ&^DhrUD5IX3T&KZmO-eRS)vCCa%h)ft|_sJHS8l-kU(o7c-COk!pn"
        "0qor1<HhDp%rl|-6DoUwhX=1815#d5a^*!g|(v!x>iegzxDyvmO|M16=2*~n2_tI1A{5>(G(_1;q6IEnd751"
        "KE=?$r|YtOax2F-h36ng%%^&X8)-n`cr%l@2xi(c?FuKzFnt~+Wm@9(ex0001Ygg3n95B}sG@A-?r`G*gD<W"
        "mO#00000{x}0_>zSM"
    ),
    "table": (
        "c-rmPK~IA)7{+lw%6sEDx04=r7!FJm21IIt$8MBK0)><=k#FzD)EK2>i^hx3?+D31ZQ8@zgstMhBbw6yP7~V"
        "HDzA0blBvmOJfYSIl?k2EAeZr&rIy~!z9+O69c97@GF>BSM7T&<LYCh3zNdE8T578E_i|B5)fTmC2YX)1y>M"
        "yW@5TBU00000{2PaHGGS3TC&y(WU$}wieEL11b)kgr$cS|*NxqolaBA)S>HIvqe17hG(-Z3}rP`Y3L+_(R(~"
        "<SfEWKMxZ)WeschO_W&w4Lxb-in-5n5EzNIksY`%}H?_g*`49^7YMuuRVB9j{DY$TG86Ie&`1{yZG<_R0Cle"
        "dd1jusZgZztO|{2mk;8zPbVc0001hv%La-ARz?"
    ),
    "packed": (
        "c-rll&2QQ;7>9G<(0^gK_b@4~gw%zish1uIn93S~h<FptrE<W4wS37*)zZIyi4#;{N%+{b%lt?_p*(tx-=FQ"
        "o!InKj01r?Bfm@hI;W83I0%-(8OdLp38ZM|<KqV$7HlEe^?lT`1f^J|zQwr%OW^jaYZ-yPH@qNjB;Y;8#0nu"
        "`6<^c;69)(Gz56uV~4{GOoHd3ZgC=?2XLZSF?$gh(Qo{S$rH}RPC%n{Oee!c~dhg57JrJm1#y`{zFwAS}e@6"
        "Vm{@6Xa_G}QOX7wJ0J6*J}`c$<_ZjrDbEe0O{GiRd-SeTBFNyFd9pCe=P;f4(aby~GexK?9aDQC;F=gAa_~e"
        "aVsaAVZ8s1LqXqk~4oHXUyn)oln2YN1kjX*F*15EPIL^2MwMFJ<`)J>Sr>XOs&Fa*yeTj20;Ile7M-^JvO~x"
        "encXB(@ZJP`feTtv0zEU7Qh3#+FNV)BX6Y{_Vb426UT$L^_79E?3b_S=glnx_qX!qmVvAEbuU<tGH^9{JKt9"
        "Z?u7UABS|ZLj}5*H^5zmeLUsF9H}fU@oyqNr`%Hf1@YrqxR{A;(`@y-szGdeT&iZ+Z`{>y??C0&Xc`s9c6$z"
        "fMgU0o>%Kg9`P5R#)?Cu^&`##T)=0A&yYkfa@Bcta0xXb%F=5NeTAkNmL&>ihRtN8zP^NFB5dI#sFJS}paG{"
        "d#ghE5y0ZHNTi-&EDtX*%D|^r0EaD?Hdw<yNE1`ogS-<@&C9a>C)Rz7HuB^=O*b(h6ET<4V&$eb!ppxXOk?p"
        "-?Ck3WY+Uko*E)SC`8"
    ),
}
"""Pictures of 3 rows that astropy wrote, packed by zlib."""


def fits(name):
    return zlib.decompress(base64.b85decode(FITS[name]))


def read(data, **options):
    """Read, and hold the probe to what was read."""
    image = read_image(io.BytesIO(data), **options)
    info = probe_image(io.BytesIO(data))
    assert (info.shape, info.dtype, info.alpha) == (image.shape, image.dtype, image.alpha)
    assert info.format == image.format
    return image


@pytest.mark.parametrize(
    ("name", "dtype", "values"),
    [
        ("int16", np.int32, RAMP * 100 - 500),
        ("uint16", np.uint16, RAMP * 5000),
        ("uint8", np.uint8, RAMP * 20),
        ("float64", np.float64, np.stack([RAMP / 8, RAMP * -2.5], axis=2)),
        ("blank", np.float32, np.where(RAMP == 7, np.nan, RAMP)),
        ("scaled", np.float32, RAMP / 4),
    ],
)
def test_fits_is_read_as_astropy_means_it_from_the_bottom_up(name, dtype, values):
    image = read(fits(name))
    assert image.dtype == dtype
    np.testing.assert_array_equal(image.pixels, values[::-1])


def test_fits_without_a_plain_image_says_what_it_holds():
    for name, words in (("table", "holds no image"), ("packed", "unpack it first, with funpack")):
        with pytest.raises(ImageError, match=words):
            read(fits(name))


@pytest.mark.skipif(shutil.which("convert") is None, reason="ImageMagick is not installed")
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", [".fits", ".pam"])
def test_what_imagemagick_writes_is_what_it_was(tmp_path, suffix, depth):
    dtype = np.dtype(f"u{depth // 8}")
    pixels = np.random.default_rng(0).integers(0, 2**depth, (17, 23, 3), dtype)
    write_image(tmp_path / "x.png", pixels)
    words = ["convert", tmp_path / "x.png", "-depth", str(depth), tmp_path / f"x{suffix}"]
    subprocess.run(words, check=True, timeout=60)
    image = read_image(tmp_path / f"x{suffix}")
    assert image.dtype == dtype
    np.testing.assert_array_equal(image.pixels, pixels)


@pytest.mark.parametrize("width", [7, 8, 70])
def test_hdr_is_read_as_opencv_reads_it(tmp_path, width):
    pixels = (np.random.default_rng(0).random((30, width, 3)) ** 4 * 100).astype(np.float32)
    pixels[5:20, 2 : width - 1] = 1  # runs
    pixels[0, 0] = 0
    cv2.imwrite(str(tmp_path / "x.hdr"), pixels[..., ::-1])
    image = read((tmp_path / "x.hdr").read_bytes())
    expected = cv2.imread(str(tmp_path / "x.hdr"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_array_equal(image.pixels, expected)
    assert abs(image.pixels - pixels).max() < 1
    assert image.not_srgb is not None


def test_old_hdr_files_repeat_a_pixel_by_ones():
    head = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n+Y 2 +X 300\n"
    row = bytes((128, 64, 32, 129, 1, 1, 1, 43, 1, 1, 1, 1))  # 43 and 256 more
    image = read(head + row + bytes((0, 0, 0, 0)) * 300)
    np.testing.assert_array_equal(image.pixels[1], np.tile(np.float32([1, 0.5, 0.25]), (300, 1)))
    assert (image.pixels[0] == 0).all()  # +Y goes from the bottom up


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pam_is_written_as_opencv_reads_it(tmp_path, channels, dtype):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, np.iinfo(dtype).max, (9, 11, channels), dtype, endpoint=True)
    pixels = pixels[..., 0] if channels == 1 else pixels
    write_image(tmp_path / "x.pam", Image(pixels, alpha=channels in (2, 4)))
    image = read((tmp_path / "x.pam").read_bytes())
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.alpha == (channels in (2, 4))
    found = cv2.imread(str(tmp_path / "x.pam"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, pixels)  # of PAM alone it leaves RGB as it is


def test_pam_of_other_whites_and_bands():
    head = b"P7\n# a comment\nDEPTH 5\nWIDTH 2\nHEIGHT 1\nMAXVAL 3\nENDHDR\n"
    image = read(head + bytes((0, 1, 2, 3, 0, 3, 3, 3, 3, 3)))
    np.testing.assert_array_equal(image.pixels[0, 0], [0, 85, 170, 255, 0])
    assert image.shape == (1, 2, 5)
    assert not image.alpha


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_one_array_is_an_image(save):
    stream = io.BytesIO()
    save(stream, pixels=RAMP.astype(np.float32))
    np.testing.assert_array_equal(read(stream.getvalue()).pixels, RAMP)


def test_npz_of_none_or_several_is_refused():
    for arrays, words in (
        ({}, "not an image"),
        ({"a": RAMP, "b": RAMP}, "is an archive of 2 files"),
    ):
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        data = stream.getvalue()
        with pytest.raises(ImageError, match=words):
            read(data)


def test_npz_that_unpacks_to_more_than_it_says_takes_no_memory():
    stream = io.BytesIO()
    np.savez_compressed(stream, x=np.zeros((4000, 4000), np.uint8))
    with pytest.raises(ImageError, match="raise --max-pixels"):
        read_image(io.BytesIO(stream.getvalue()), max_pixels=1000)


def samples():
    """Yield small files of every container."""
    yield "fits", fits("uint16")
    yield "blank", fits("blank")
    noise = np.random.default_rng(0).random((12, 40, 3)).astype(np.float32)
    yield "hdr", cv2.imencode(".hdr", noise)[1].tobytes()
    yield "pam", cv2.imencode(".pam", (noise * 255).astype(np.uint8))[1].tobytes()
    stream = io.BytesIO()
    np.savez_compressed(stream, x=noise)
    yield "npz", stream.getvalue()


@pytest.mark.parametrize(("kind", "data"), list(samples()), ids=lambda each: str(each)[:5])
def test_damage_is_one_error_or_another_picture_never_a_crash(kind, data):
    rng = np.random.default_rng(1)
    refused = 0
    for trial in range(150):
        bad = bytearray(data)
        if trial % 3 == 0:
            bad = bad[: rng.integers(0, len(bad))]
        else:
            end = len(bad) if trial % 3 == 1 else min(len(bad), 400)
            for at in rng.integers(0, end, rng.integers(1, 5)):
                bad[at] = rng.integers(0, 256)
        try:
            read_image(io.BytesIO(bytes(bad)))
        except ImageError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    "data",
    [
        b"P7\nWIDTH 99999\nHEIGHT 99999\nDEPTH 1\nMAXVAL 255\nENDHDR\n",
        b"P7\nWIDTH 999\nHEIGHT 999\nDEPTH 9999\nMAXVAL 255\nENDHDR\n",
        b"#?RADIANCE\n\n-Y 99999 +X 99999\n",
        b"".join(
            card.ljust(80)
            for card in (
                b"SIMPLE  =  T", b"BITPIX  =  8", b"NAXIS   =  2", b"NAXIS1  =  99999",
                b"NAXIS2  =  99999", b"END",
            )
        ).ljust(2880),
    ],
)  # fmt: skip
def test_large_pictures_are_refused_from_their_header(data):
    with pytest.raises(ImageError, match="--max-pixels"):
        read_image(io.BytesIO(data))


def test_a_folder_of_all_containers_is_filtered(tmp_path):
    for kind, data in samples():
        (tmp_path / "in" / f"{kind}.{kind if kind != 'blank' else 'fit'}").parent.mkdir(
            exist_ok=True
        )
        (tmp_path / "in" / f"{kind}.{kind if kind != 'blank' else 'fit'}").write_bytes(data)
    done = call("apply", tmp_path / "in", "-k", "box", "--format", "npy", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 5
    done = call("apply", tmp_path / "in" / "hdr.hdr", "-k", "box", "-o", tmp_path / "y.png")
    assert "--white" in error_line(done, 1)
