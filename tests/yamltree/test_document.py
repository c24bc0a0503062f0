"""A spec file: one regular file of fair size, in UTF-8."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netbuild.errors import Place, SpecError
from netbuild.yamltree.document import MAX_BYTES, read
from netbuild.yamltree.nodes import plain


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    document = read(file)
    assert document.root.entries["a"].key_place == Place(str(file), 1, 1, 2, "a: 1")
    assert document.text.encode() == file.read_bytes()


def test_only_regular_files_of_fair_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "fits").write_bytes(b"a: 1 #".ljust(MAX_BYTES, b"#"))
    for name in ("fifo", "large", "loop", "missing", ".", "nul\0"):
        with pytest.raises(SpecError) as caught:
            read(tmp_path / name)
        assert [problem.code for problem in caught.value.problems] == ["NB001"]
    with pytest.raises(SpecError):
        read(Path("/dev/zero"))
    assert plain(read(tmp_path / "fits").root) == {"a": 1}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    with pytest.raises(SpecError, match="Permission denied"):
        read(file)


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [(b"a: 1\nb: \xff", 2, 4), (b"\xe9", 1, 1), ("é: é\r\né: ".encode() + b"\xe9", 2, 4)],
)
def test_bytes_that_are_not_utf_8_are_placed(
    tmp_path: Path, data: bytes, line: int, column: int
) -> None:
    (tmp_path / "x.yaml").write_bytes(data)
    with pytest.raises(SpecError) as caught:
        read(tmp_path / "x.yaml")
    place = caught.value.problems[0].place
    assert place is not None
    assert (place.line, place.column) == (line, column)
