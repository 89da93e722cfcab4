"""What a file is said to be, and how those that are none are refused: with the name, the cause and the repair."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import DecodeConfig
from pipeline.decode import decode
from pipeline.errors import UnreadableVideo
from pipeline.probe import fingerprint, probe
from pipeline.timeline import NS_PER_S
from tests.media import HEIGHT_PX, RECIPES, SINE, WIDTH_PX, ffmpeg

Make = Callable[[str], Path]
WHOLE = sorted(name for name, recipe in RECIPES.items() if recipe.display)
PICTURE = "-f lavfi -i testsrc2=size=64x48 -frames:v 1"


def refusal(path: Path, config: DecodeConfig | None = None) -> str:
    with pytest.raises(UnreadableVideo) as caught:
        probe(path, config)
    message = str(caught.value)
    assert path.name in message
    return message


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# What is refused, and what is said.


@pytest.mark.parametrize(
    ("name", "content", "cause", "repair"),
    [
        ("none.mp4", b"", "empty", "again"),
        ("notes.mp4", "dear diary, today I filmed nothing\n" * 30, "text", "ending"),
        ("noise.mp4", bytes(range(256)) * 50, "no known video container", "again"),
        ("movie.mp4", "#EXTM3U\n#EXTINF:5,\nsecret.mp4\n", "playlist", "ffmpeg -i"),
        ("movie.m3u8", "#EXTM3U\n#EXTINF:5,\nsecret.mp4\n", "playlist", "ffmpeg -i"),
        ("movie.ts", "\n#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/secret.ts\n", "playlist", "ffmpeg -i"),
        ("movie.mkv", "ffconcat version 1.0\nfile secret.mp4\n", "concat script", "ffmpeg -f concat"),
        ("movie.avi", "ffconcat version 1.0\nfile 'secret.mp4'\n", "concat script", "ffmpeg -f concat"),
        ("movie.mp4", '<?xml version="1.0"?>\n<MPD><BaseURL>secret.mp4</BaseURL></MPD>', "DASH", "download"),
        ("movie.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n", "text", "ending"),
    ],
)
def test_what_is_no_video_is_named_with_its_repair(
    make: Make, tmp_path: Path, name: str, content: bytes | str, cause: str, repair: str
) -> None:
    shutil.copy(make("one_frame.mp4"), tmp_path / "secret.mp4")  # what a playlist could reach
    message = refusal(written(tmp_path / name, content))
    assert cause in message
    assert repair in message


@pytest.mark.parametrize(
    ("name", "args", "cause", "repair"),
    [
        ("photo.mp4", f"{PICTURE} -f mjpeg", "JPEG picture", "predict"),
        ("photo.avi", f"{PICTURE} -f apng", "PNG picture", "predict"),
        ("song.mp4", f"{SINE} -t 1 -c:a aac", "audio only", "pictures"),
        ("song.mkv", f"{SINE} -t 1 -c:a flac", "audio only", "pictures"),
        ("raw.264", f"{PICTURE} -c:v libx264", "h264 stream has no times", "ffmpeg -fflags +genpts"),
        ("raw.h265", f"{PICTURE} -c:v libx265 -x265-params log-level=error", "hevc stream has no times", "+genpts"),
        ("raw.mp4", f"{PICTURE} -c:v libx264 -f h264", "", ""),
    ],
)
def test_pictures_sound_and_raw_streams_are_named_with_their_repair(
    tmp_path: Path, name: str, args: str, cause: str, repair: str
) -> None:
    message = refusal(ffmpeg(args, tmp_path / name))
    assert cause in message
    assert repair in message


def test_a_song_with_a_cover_is_no_video(tmp_path: Path) -> None:
    song = ffmpeg(f"{SINE} {PICTURE} -t 1 -c:a aac -c:v png -disposition:v attached_pic", tmp_path / "song.mp4")
    assert "audio only" in refusal(song)


def test_an_init_segment_has_no_pictures_and_a_media_segment_no_header(make: Make, tmp_path: Path) -> None:
    whole = make("h264_fragments.mp4").read_bytes()
    start = whole.index(b"moof") - 4
    assert "init segment" in refusal(written(tmp_path / "init.mp4", whole[:start]))
    assert "cat init.mp4" in refusal(written(tmp_path / "1.m4s", whole[start:]))


def test_a_truncated_header_is_named(make: Make, tmp_path: Path) -> None:
    whole = make("h264_bframes.mp4").read_bytes()  # its index comes last
    assert "damaged" in refusal(written(tmp_path / "cut.mp4", whole[: len(whole) // 2]))


def test_an_encrypted_file_is_named_with_its_repair(make: Make, tmp_path: Path) -> None:
    key = "-encryption_scheme cenc-aes-ctr -encryption_key 00112233445566778899aabbccddeeff -encryption_kid " + "0" * 32
    secret = ffmpeg(f"-i {make('h264_bframes.mp4')} -c copy {key}", tmp_path / "secret.mp4")
    message = refusal(secret)
    assert "encrypted" in message
    assert "Decrypt" in message


def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    for name in ("pipe.mp4", "folder.mp4", "device.mp4"):
        assert "not a regular file" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["absent.mp4", "http://127.0.0.1:9/a.mp4", "concat:one_frame.mp4|one_frame.mp4"])
def test_what_is_not_there_is_refused_and_never_fetched(make: Make, name: str) -> None:
    assert "cannot be read" in refusal(make("one_frame.mp4").parent / name)


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    assert "cannot be read" in refusal(tmp_path / "loop.mp4")


@pytest.mark.parametrize(
    "config", [DecodeConfig(max_pixels=WIDTH_PX * HEIGHT_PX - 1), DecodeConfig(max_side_px=WIDTH_PX - 1)]
)
def test_a_picture_over_the_limit_is_refused_with_its_size_and_the_limit(make: Make, config: DecodeConfig) -> None:
    message = refusal(make("h264_bframes.mp4"), config)
    assert f"{WIDTH_PX} x {HEIGHT_PX}" in message
    assert "raise the limit" in message


PEAK = """
import sys
from pathlib import Path
from pipeline.errors import UnreadableVideo
from pipeline.probe import probe
def peak_kib(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM:")).split()[1])
before = peak_kib()
try:
    probe(Path(sys.argv[1]))
except UnreadableVideo as error:
    print(error)
print(peak_kib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_huge_picture_is_refused_before_there_is_room_made_for_it(tmp_path: Path) -> None:
    """A stream of 9,000 x 9,000 takes 121 MB a picture, and some bytes on disk."""
    graph = "color=gray:size=9000x9000:rate=25:duration=0.08"
    huge = ffmpeg(f"-f lavfi -i {graph} -c:v libx264 -preset ultrafast -threads 1 -bf 0", tmp_path / "huge.ts")
    told = subprocess.run([sys.executable, "-P", "-c", PEAK, huge], capture_output=True, text=True, check=True).stdout
    sentence, grown_kib = told.splitlines()
    assert sentence.startswith("huge.ts: 9000 x 9000 pixels, more than decode.max_pixels")
    assert int(grown_kib) < 50_000


def test_a_picture_at_the_limit_is_read(make: Make) -> None:
    limit = DecodeConfig(max_pixels=WIDTH_PX * HEIGHT_PX, max_side_px=WIDTH_PX)
    assert probe(make("h264_bframes.mp4"), limit).width_px == WIDTH_PX


# What is read, under any name.


@pytest.mark.parametrize(
    "name",
    [
        "-rf.mp4",
        "new\nline.mp4",
        "quote'\".mp4",
        "100%d.mp4",
        "%03d.mp4",
        "concat:a|b.mp4",
        "http:a.mp4",
        "pipe:0",
        "$(touch x);`id`.mp4",
        " blank .mp4",
        "..mp4",
        "видео 日本 🎥.mp4",
        "*?[a].mp4",
        "back\\slash.mp4",
        "long" + "g" * 247 + ".mp4",
        os.fsdecode(b"latin-\xe9.mp4"),
    ],
)
def test_a_file_name_is_data(make: Make, tmp_path: Path, name: str) -> None:
    shutil.copy(make("one_frame.mp4"), tmp_path / name)
    video = probe(tmp_path / name)
    assert len(list(decode(video, [0], 24, 40))) >= 1


def test_a_relative_path_is_read(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make("one_frame.mp4").parent)
    assert probe(Path("one_frame.mp4")).codec == "h264"


@pytest.mark.parametrize("name", WHOLE)
def test_the_span_ends_when_the_last_frame_has_been_shown(make: Make, name: str) -> None:
    display = RECIPES[name].display
    assert display is not None
    after_last_ns = probe(make(name)).span.end_ns - int(display.times_s[-1] * NS_PER_S)
    assert 0 < after_last_ns <= 0.13 * NS_PER_S  # 40 ms; libxvid keeps back two frames that its header counts


@pytest.mark.parametrize(
    ("name", "size_px", "rotation_deg"),
    [
        ("h264_bframes.mp4", (160, 96), 0),
        ("rotated_90.mp4", (96, 160), 90),
        ("rotated_180.mp4", (160, 96), 180),
        ("rotated_270.mp4", (96, 160), 270),
        ("anamorphic.mp4", (213, 96), 0),
        ("anamorphic_rotated.mp4", (96, 213), 90),
    ],
)
def test_the_displayed_size_is_after_aspect_ratio_and_rotation(
    make: Make, name: str, size_px: tuple[int, int], rotation_deg: int
) -> None:
    video = probe(make(name))
    assert ((video.width_px, video.height_px), video.rotation_deg) == (size_px, rotation_deg)


@pytest.mark.parametrize("name", ["rotated_90.mp4", "rotated_180.mp4", "rotated_270.mp4"])
def test_pictures_stand_upright_as_ffmpeg_turns_them(make: Make, tmp_path: Path, name: str) -> None:
    video = probe(make(name))
    turned = ffmpeg(f"-i {make(name)} -frames:v 1 -pix_fmt rgb24 -f rawvideo", tmp_path / "turned").read_bytes()
    expected = np.frombuffer(turned, np.uint8).reshape(video.height_px, video.width_px, 3)
    found = next(iter(decode(video, [0], video.height_px, video.width_px))).batch.pixels[0]
    assert np.abs(found.astype(int) - expected).mean() < 10  # colours are scaled up differently


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_interlaced_means_that_the_file_says_so(make: Make, name: str) -> None:
    assert probe(make(name)).interlaced == ("interlaced" in name)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("h264_open_gop.ts", "h264"),
        ("hevc_defaults.mp4", "hevc"),
        ("xvid.avi", "mpeg4"),
        ("vp8.webm", "vp8"),
        ("vp9.webm", "vp9"),
        ("av1.mp4", "av1"),
        ("mpeg2.ts", "mpeg2video"),
    ],
)
def test_the_codec_is_called_by_its_own_name(make: Make, name: str, codec: str) -> None:
    assert probe(make(name)).codec == codec


def test_sound_is_counted_by_streams(make: Make) -> None:
    assert probe(make("sound.mp4")).audio_streams == 1
    assert not probe(make("h264_bframes.mp4")).has_audio


def test_high_dynamic_range_is_what_the_transfer_curve_says(make: Make) -> None:
    assert probe(make("hevc_hdr.mkv")).hdr
    assert not probe(make("h264_10bit.mp4")).hdr


def test_the_video_is_chosen_before_a_cover_and_before_a_lesser_one(make: Make) -> None:
    assert probe(make("cover_first.mp4")).stream_index == 1
    assert probe(make("two_videos.mp4")).stream_index == 1


# The fingerprint.


def test_the_id_follows_the_content_and_not_the_name(make: Make, tmp_path: Path) -> None:
    copy = shutil.copy(make("h264_bframes.mp4"), tmp_path / "other.bin")
    os.utime(copy, ns=(1, 1))
    assert probe(tmp_path / "other.bin").video_id == probe(make("h264_bframes.mp4")).video_id
    assert probe(make("h264_open_gop.mp4")).video_id != probe(make("h264_bframes.mp4")).video_id


@pytest.mark.parametrize("at", [0, (1 << 20) - 1, 4 << 20, (8 << 20) - 1])
def test_one_changed_byte_in_the_first_middle_or_last_mebibyte_changes_the_id(tmp_path: Path, at: int) -> None:
    content = bytearray(8 << 20)
    before = fingerprint(written(tmp_path / "a", bytes(content)))
    content[at] = 1
    assert fingerprint(written(tmp_path / "b", bytes(content))) != before


def test_one_more_byte_changes_the_id_even_where_all_bytes_are_alike(tmp_path: Path) -> None:
    ids = {fingerprint(written(tmp_path / "zeros", bytes(size))) for size in (1, 2, (8 << 20), (8 << 20) + 1)}
    assert len(ids) == 4
