"""Writes digits.bin from scikit-learn's copy of the UCI digits: `python make_digits.py` (needs scikit-learn)."""

import hashlib
import pathlib
import zlib

from sklearn.datasets import load_digits

digits = load_digits()
pixels = digits.data.astype("uint8")
assert pixels.shape == (1797, 64) and pixels.max() == 16
records = b"".join(bytes([label]) + row.tobytes() for label, row in zip(digits.target, pixels))
packed = zlib.compress(records, 9)
pathlib.Path(__file__).with_name("digits.bin").write_bytes(packed)
print(len(packed), "bytes, sha256", hashlib.sha256(packed).hexdigest())
print("records sha256", hashlib.sha256(records).hexdigest())
