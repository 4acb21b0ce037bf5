#!/usr/bin/env python3
"""Writes the fuzz targets' first inputs to tests/fuzz/corpus. Needs nothing but Python.

    python3 tests/fuzz/make_corpus.py
"""
import io
import json
import pathlib
import struct
import zipfile

root = pathlib.Path(__file__).parent / "corpus"


def put(target, name, content):
    folder = root / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def npy(descr="<f4", shape="(2, 3)", data=bytes(24), order="False", version=1, pad=True):
    header = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape)
    header = header.encode()
    if pad:
        header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def make_npy():
    put("npy", "f4", npy())
    put("npy", "f8_fortran", npy("<f8", "(2, 3, 2)", bytes(range(96)), "True"))
    put("npy", "big_endian", npy(">i2", "(3,)", bytes(range(6))))
    put("npy", "u8", npy("<u8", "(1,)", b"\xff" * 8))
    put("npy", "bytes", npy("|u1", "(5, 2)", bytes(range(10)), "True", pad=False))
    put("npy", "half", npy("<f2", "(4,)", bytes(range(8)), version=2))
    put("npy", "named", npy("float64", "()", bytes(8), version=3))
    put("npy", "python2", npy("=f4", "(2L, 3L)"))
    put("npy", "empty", npy("?", "(0, 3)", b""))
    put("npy", "object", npy("|O", "(1,)", b"x"))
    put("npy", "short", npy("<f4", "(7,)"))
    put("npy", "wide", npy("<f4", "(1, 1, 1, 1, 1, 1, 1, 1, 1)", bytes(4)))
    put("npy", "overflow", npy("<f4", "(4294967296, 4294967296, 4)", b""))


def archive(method=zipfile.ZIP_STORED, streamed=False, zip64=False, names=("a.npy", "b.npy")):
    class Pipe(io.RawIOBase):  # cannot seek: sizes follow the data
        def __init__(self):
            self.content = bytearray()

        def writable(self):
            return True

        def write(self, data):
            self.content += bytes(data)
            return len(data)

    out = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for i, name in enumerate(names):
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with z.open(info, "w", force_zip64=zip64) as member:
                member.write(npy(data=bytes([i] * 24)))
    return bytes(out.content) if streamed else out.getvalue()


def without_checksums(content):
    """Every checksum 0, for inputs that the target reads without them."""
    out = bytearray(content)
    for signature, at in ((b"PK\3\4", 14), (b"PK\1\2", 16), (b"PK\7\x08", 4)):
        found = out.find(signature)
        while found >= 0:
            out[found + at : found + at + 4] = bytes(4)
            found = out.find(signature, found + 4)
    return bytes(out)


def make_npz():
    deflate = zipfile.ZIP_DEFLATED
    archives = {
        "stored": archive(),
        "deflate": archive(deflate),
        "streamed": archive(deflate, streamed=True),
        "zip64": archive(zip64=True),
        "streamed_zip64": archive(streamed=True, zip64=True),
        "bzip2": archive(zipfile.ZIP_BZIP2, names=["a.npy"]),
        "one": archive(deflate, names=["layer/w.npy"]),
        "folder": archive(names=["a.npy", "a.txt"]),
        "empty": archive(names=[]),
    }
    archives["comment"] = archives["one"][:-2] + b"\x03\x00abc"
    archives["cut"] = archives["stored"][:-30]
    for name, content in archives.items():
        put("npz", name, b"\0" + content)
        put("npz", name + "_unchecked", b"\1" + without_checksums(content))


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def make_safetensors():
    both = {"b": tensor("I16", [2, 2], 16, 24), "a": tensor("F64", [2], 0, 16)}
    put("safetensors", "two", safetensors({"__metadata__": {"k": "v"}, **both}, bytes(24)))
    for dtype, width in (("BOOL", 1), ("I8", 1), ("U64", 8), ("F16", 2), ("BF16", 2), ("U32", 4)):
        content = safetensors({"x": tensor(dtype, [3], 0, 3 * width)}, bytes(range(3 * width)))
        put("safetensors", dtype.lower(), content)
    put("safetensors", "empty", safetensors({}))
    put("safetensors", "none", safetensors({"z": tensor("F32", [0, 5], 0, 0)}))
    put("safetensors", "scalar", safetensors({"s": tensor("F32", [], 0, 4)}, bytes(4)))
    put("safetensors", "f8", safetensors({"s": tensor("F8_E4M3", [2], 0, 2)}, bytes(2)))
    put("safetensors", "escapes", safetensors(b'{"\\u00e9\\n\xc3\xa9":' + json.dumps(tensor("U8", [1], 0, 1)).encode() + b"}", b"x"))
    put("safetensors", "hole", safetensors({"x": tensor("U8", [1], 1, 2)}, bytes(2)))
    put("safetensors", "twice", safetensors(b'{"x":{},"x":{}}'))
    put("safetensors", "huge", struct.pack("<Q", 2**63))
    index = {"metadata": {"total_size": 8}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.st"}}
    put("safetensors", "index", json.dumps(index).encode())
    index["weight_map"]["c"] = "../x"
    put("safetensors", "index_elsewhere", json.dumps(index).encode())


def make_csv():
    texts = {
        "plain": (32, "a,b\n1,2\n3.5,-4e-2\n"),
        "missing": (33, "a,b,c\n,1,x\nNA,,y\n3,nan,z\n"),
        "interpolate": (34, "a\n\n1\nnull\nN/A\n4\n"),
        "semicolons": (64, "a;b\n1;2\n"),
        "tabs": (128, "a\tb\r\n1\t2\r\n"),
        "quotes": (32, '"a, ""x""","b\nc"\n"1", 2 \n'),
        "no_header": (38, "1,2\n3,4"),
        "column": (48, "date,a\n2012/1/1,5\n2012/1/2,6\n"),
        "mark": (32, "\ufeffa,b\r1,2\r"),
        "ragged": (32, "a,b\n1\n"),
        "open": (32, 'a,b\n1,"2\n'),
        "numbers": (32, "a\n+5\n.5\n5.\n1E3\n1e999\ninf\n0x1\n"),
        "zero": (32, "a\n1\0\n"),
    }
    for name, (options, text) in texts.items():
        put("csv", name, bytes([options]) + text.encode())


make_npy()
make_npz()
make_safetensors()
make_csv()
