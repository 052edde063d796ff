"""Recognises files that are not UTF-8 as a whole by their first bytes.

check_is_utf8(file)      # raises UserError for UTF-16 and for compressed files
"""

from pathlib import Path

from input_pipeline.sources.formats.row import Refusal

SAMPLE_BYTES = 256
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    **{b"BZh%d1AY&SY" % level: "bzip2" for level in range(1, 10)},
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
}
_EXCEL = " (or an Excel workbook: save it as CSV UTF-8)"
# UTF-32 first: the mark of its little-endian form begins with that of UTF-16.
_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_WITHOUT_MARK = ("UTF-32-LE", "UTF-32-BE", "UTF-16-LE", "UTF-16-BE")


def fault_of(sample: bytes) -> str:
    """Returns what is wrong with a file that begins with `sample`; "" when it may be UTF-8."""
    for start, program in _COMPRESSED.items():
        if sample.startswith(start):
            return f"compressed with {program}{_EXCEL if program == 'zip' else ''}; unpack it"
    if encoding := _other_unicode(sample):
        return (
            f"not UTF-8 (it looks like {encoding}); convert it, for example with "
            f"`iconv -f {encoding} -t UTF-8`"
        )
    return ""


def check_is_utf8(file: Path) -> None:
    """Raises UserError for a file that is compressed or in another form of Unicode than UTF-8."""
    with file.open("rb") as content:
        if fault := fault_of(content.read(SAMPLE_BYTES)):
            raise Refusal(file, fault)


def _other_unicode(sample: bytes) -> str:
    for start, encoding in _MARKS.items():
        if sample.startswith(start):
            return encoding
    if b"\0" in sample:
        for encoding in _WITHOUT_MARK:
            text = sample.decode(encoding, errors="ignore")
            known = sum(character.isascii() and character != "\0" for character in text)
            if 2 * known >= len(text) > 0:
                return encoding
    return ""
