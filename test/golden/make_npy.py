"""Writes npy.json: what NumPy saves for small arrays of each dtype, in base64.

Run with NumPy:  /usr/bin/python3 test/golden/make_npy.py
"""

import base64
import io
import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent

ARRAYS = {
    "BOOL": np.array([[True, False, True]]),
    "U8": np.array([0, 1, 255], np.uint8),
    "I8": np.array([-128, 127], np.int8),
    "I16": np.array([[-32768], [32767]], np.int16),
    "U16": np.array([65535], np.uint16),
    "F16": np.array([0.5, -2.0], np.float16),
    "I32": np.arange(-3, 9, dtype=np.int32).reshape(2, 3, 2),
    "U32": np.array(4294967295, np.uint32),
    "F32": (np.arange(24, dtype=np.float32) / 7 - 1).reshape(2, 1, 3, 4),
    "F64": np.zeros((3, 0), np.float64),
    "I64": np.array([-(2**63), 2**63 - 1], np.int64),
    "U64": np.array([2**64 - 1], np.uint64),
    "texts": np.array(["T-shirt/top", "", "Übergröße", "狐 🦊"]),
    "no texts": np.array([], "U1"),
}


def saved(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode()


def record(array):
    shape = list(array.shape)
    if array.dtype.kind == "U":
        return {"texts": array.tolist(), "file": saved(array)}
    return {"shape": shape, "bytes": base64.b64encode(array.tobytes()).decode(), "file": saved(array)}


records = {name: record(array) for name, array in ARRAYS.items()}
(HERE / "npy.json").write_text(json.dumps({"numpy": np.__version__, "arrays": records}, indent=1) + "\n")
