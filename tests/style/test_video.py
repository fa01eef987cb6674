"""Clips made here: what stands still stays still, what moves leaves nothing behind, and times, size and sound stay."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from recsys.errors import ConfigError, DataError
from study.video import choose_look, transfer_clip
from style.raster import grow
from style.steady import Steady, motion
from style.stylizers.colour import MklColour
from style.video import Clip, VideoConfig, restyle_video

av = pytest.importorskip("av")

H, W = 96, 128
NOISE = 3.0


def scene(n=16, *, noise=NOISE, seed=0, speed=5, size=(H, W)):
    """A textured wall, sensor noise, and a red block that goes right: (n, h, w, 3), and the block's left edge."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    wall = 150 + 40 * np.sin(x / 9 + y / 14)[..., None] * np.array([1.0, 0.6, -0.5])
    lefts = [4 + speed * i for i in range(n)]
    frames = np.repeat(wall[None], n, axis=0)
    for frame, left in zip(frames, lefts, strict=True):
        frame[30:60, left : left + 24] = (200, 30, 40)
    return np.clip(frames + rng.normal(0, noise, frames.shape), 0, 255).astype(np.uint8), lefts


def restless(frames, seed=0):
    """A painter whose strokes are new in each frame: the picture's negative, and coarse noise."""
    rng = np.random.default_rng(seed)
    strokes = rng.normal(0, 25, (len(frames), H // 4, W // 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return np.clip(255 - frames.astype(float) + strokes, 0, 255).astype(np.uint8)


def write(path, frames, *, rate=10, pts=None, sound=None, rotation=0, codec="libx264", kind=None, crf=4):
    with av.open(path, "w", format=kind) as sink:
        stream = sink.add_stream(codec, rate=rate, options={"crf": str(crf)})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        track = sink.add_stream(sound, rate=16000) if sound else None
        for i, frame in enumerate(frames):
            made = av.VideoFrame.from_ndarray(frame)
            made.pts, made.time_base = (pts[i] if pts else 1000 * i // rate), Fraction(1, 1000)
            sink.mux(stream.encode(made))
        sink.mux(stream.encode(None))
        if track is not None:
            tone = np.sin(np.arange(16000 * len(frames) // rate) / 10).astype(np.float32)[None]
            heard = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            heard.sample_rate = 16000
            sink.mux(track.encode(heard))
            sink.mux(track.encode(None))
    return path


def read(path):
    with Clip(path, VideoConfig()) as clip:
        parts = list(clip.batches())
    return np.concatenate([frames for _, frames in parts]), [
        float(t * clip.video.time_base) for ts, _ in parts for t in ts
    ]


def packets(path):
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(audio=0) if p.size]


def flicker(frames, where):
    moved = np.abs(np.diff(frames.astype(float), axis=0)).mean(axis=(0, -1))
    return float(moved[where].mean())


def steadied(frames, styled, carry=1.0):
    steady = Steady(carry)
    return np.stack([steady(frame, made) for frame, made in zip(frames, styled, strict=True)])


def test_where_nothing_moves_flicker_is_less_than_half():
    """Measured by the scene's own truth: rows that the block never enters."""
    frames, _ = scene()
    styled, still = restless(frames), np.zeros((H, W), bool)
    still[:20], still[70:] = True, True
    before, alone, after = (flicker(v, still) for v in (frames, styled, steadied(frames, styled)))
    assert alone - before > 10
    assert after - before < 0.5 * (alone - before)
    assert after - before < 2


def test_scenery_without_noise_gets_none_of_the_clips():
    """Half is drawn, the same in each frame; half is the source with twice its noise, which only there is carried."""
    frames, _ = scene()
    drawn = np.broadcast_to(scene(1, noise=0.0, seed=1)[0], frames.shape)
    styled = np.clip(128 + 2.0 * (frames - scene(noise=0.0)[0].astype(float)), 0, 255).astype(np.uint8)
    styled[:, :, : W // 2] = drawn[:, :, : W // 2]
    shown, rows = steadied(frames, styled), np.r_[:16, 76:H]
    assert flicker(shown[:, rows], np.s_[:, : W // 2 - 4]) == 0
    assert flicker(shown[:, rows], np.s_[:, W // 2 + 4 :]) < 1.05 * flicker(frames[:, rows], np.s_[:, W // 2 + 4 :])


def test_what_moves_leaves_no_ghost():
    """The wall that the block has left is the negative of the wall, as if it had never been there; so is the block."""
    frames, lefts = scene()
    styled = 255 - frames
    shown = steadied(frames, styled)
    error = np.abs(shown.astype(int) - styled).mean(axis=-1)
    for i, left in enumerate(lefts[1:], start=1):
        assert error[i, 30:60, left : left + 24].mean() < 2 * NOISE
        assert error[i, 30:60, max(0, left - 10) : left].mean() < 2 * NOISE
    assert error[-1, 30:60].mean() < error[-1, :20].mean() + 1


def test_what_a_network_painted_around_it_does_not_stay_either():
    """A painter that whitens all within 6 pixels of the red block; far behind the block the wall is as it was."""
    frames, _ = scene(noise=0.0)
    red = (frames[..., 0] > 180) & (frames[..., 1] < 60)
    styled = 255 - frames
    for one, where in zip(styled, red, strict=True):
        one[grow(where, 6)] = 255
    shown = steadied(frames, styled)
    assert (styled[-1, :, :60] == 255 - frames[-1, :, :60]).all()
    assert np.abs(shown[-1, :, :60].astype(int) - styled[-1, :, :60]).max() <= 1


def test_when_the_camera_moves_every_frame_is_its_own():
    wide = np.random.default_rng(0).integers(0, 256, (12, 24, 3)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    frames = np.stack([wide[:, 3 * i : 3 * i + W] for i in range(8)])
    styled = restless(frames)
    assert np.abs(steadied(frames, styled)[-1].astype(int) - styled[-1]).mean() < 2


def test_light_that_changes_slowly_is_followed():
    """Half a level a frame is never seen from frame to frame, yet 60 frames are 30 levels."""
    light = np.stack([np.full((32, 32, 3), 60 + i // 2, np.uint8) for i in range(120)])
    shown = steadied(light, 255 - light)
    assert np.abs(shown[-1].astype(int) - (255 - light[-1])).max() < 12


def test_a_cut_takes_the_new_picture_whole():
    one, two = scene(1)[0][0], 255 - scene(1, seed=3)[0][0]
    steady = Steady()
    steady(one, 255 - one)
    np.testing.assert_array_equal(steady(two, 255 - two), 255 - two)


def test_without_carrying_every_frame_is_its_own():
    frames, _ = scene(4)
    np.testing.assert_array_equal(steadied(frames, restless(frames), carry=0.0), restless(frames))


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0, 8.0])
def test_noise_is_no_motion_and_a_block_is(noise):
    frames, lefts = scene(2, noise=noise, speed=20)
    found = motion(frames[1].astype(np.float32), frames[0].astype(np.float32))
    assert found[:10].max() == found[80:].max() == 0
    assert found[34:56, lefts[1] + 6 : lefts[1] + 20].min() == 1


def test_frames_times_and_sound_stay(tmp_path):
    frames, _ = scene(9)
    pts = [0, 100, 150, 400, 500, 600, 650, 900, 1000]  # frames do not come evenly
    clip = write(tmp_path / "in.mp4", frames, pts=pts, sound="aac")
    report = restyle_video(clip, tmp_path / "out.mp4", lambda f: f, VideoConfig(batch=4, quality=4))
    shown, times = read(tmp_path / "out.mp4")
    before, _ = read(clip)
    assert times == pytest.approx([p / 1000 for p in pts], abs=1e-3)
    assert shown.shape == frames.shape
    assert np.abs(shown.astype(int) - before).mean() < 3  # two encodings
    assert packets(tmp_path / "out.mp4") == packets(clip) != []
    assert (report.frames, report.width, report.height) == (9, W, H)
    assert not list(tmp_path.glob(".tmp*"))


def test_sound_may_be_left_out(tmp_path):
    clip = write(tmp_path / "in.mp4", scene(3)[0], sound="aac")
    restyle_video(clip, tmp_path / "out.mp4", lambda f: f, VideoConfig(audio=False))
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert [s.type for s in made.streams] == ["video"]


@pytest.mark.parametrize("colour", [(250, 250, 250), (200, 30, 60), (20, 90, 200), (0, 0, 0)])
def test_colours_come_through(tmp_path, colour):
    """A player that reads the tags shows the colour that was painted: within the rounding of 8-bit YCbCr."""
    clip = write(tmp_path / "in.mp4", scene(2)[0])
    restyle_video(
        clip, tmp_path / "out.mp4", lambda f: np.broadcast_to(np.uint8(colour), f.shape).copy(), VideoConfig(carry=0)
    )
    with av.open(str(tmp_path / "out.mp4")) as made:
        frame = next(made.decode(video=0))
        assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)
    assert np.abs(read(tmp_path / "out.mp4")[0].astype(int) - colour).max() <= 4


@pytest.mark.parametrize("size", [(33, 47), (64, 48)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_any_size_and_format(tmp_path, size, suffix):
    clip = write(tmp_path / "in.mkv", scene(2, size=size)[0])
    restyle_video(clip, tmp_path / f"out{suffix}", lambda f: 255 - f)
    assert read(tmp_path / f"out{suffix}")[0].shape == (2, *size, 3)


def test_a_clip_on_its_side_is_painted_and_written_upright(tmp_path):
    frames, _ = scene(2)
    clip = write(tmp_path / "in.mp4", frames, rotation=-90)  # as a telephone that is held upright writes it
    seen = []
    report = restyle_video(clip, tmp_path / "out.mp4", lambda f: seen.append(f) or f)
    upright = np.rot90(frames, -1, axes=(1, 2))  # clockwise
    assert (report.width, report.height) == (H, W)
    assert np.abs(seen[0].astype(int) - upright[: len(seen[0])]).mean() < 3
    assert read(tmp_path / "out.mp4")[0].shape == upright.shape


def test_only_a_few_frames_are_held(tmp_path):
    clip, counts = write(tmp_path / "in.mp4", scene(11)[0]), []
    restyle_video(clip, tmp_path / "out.mp4", lambda f: counts.append(len(f)) or f)
    assert counts == [8, 3]


def test_the_report_says_how_much_it_flickers(tmp_path):
    frames, _ = scene()
    clip = write(tmp_path / "in.mp4", frames)
    report = restyle_video(clip, tmp_path / "out.mp4", lambda f: restless(f, seed=int(f.sum())))
    still = np.zeros((H, W), bool)
    still[:20], still[70:] = True, True
    assert report.flicker_source == pytest.approx(flicker(read(clip)[0], still), rel=0.15)
    assert report.flicker - report.flicker_source < 0.5 * (report.flicker_alone - report.flicker_source)
    assert 0.5 < report.still < 0.98
    assert report.seconds == pytest.approx(1.6)


def test_the_same_clip_gives_the_same_bytes(tmp_path):
    clip = write(tmp_path / "in.mp4", scene(4)[0])
    for name in "ab":
        restyle_video(clip, tmp_path / f"{name}.mp4", lambda f: 255 - f)
    assert read(tmp_path / "a.mp4")[0].tobytes() == read(tmp_path / "b.mp4")[0].tobytes()


def test_what_is_no_clip_is_told(tmp_path):
    (tmp_path / "text.mp4").write_text("no clip at all, only words " * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nin.mp4\n#EXT-X-ENDLIST\n")  # would open other files
    for name in ("text.mp4", "empty.mp4", "list.m3u8"):
        with pytest.raises(DataError, match="is not a clip"):
            restyle_video(tmp_path / name, tmp_path / "out.mp4", lambda f: f)
    with pytest.raises(DataError, match="does not exist"):
        restyle_video(tmp_path / "nowhere.mp4", tmp_path / "out.mp4", lambda f: f)
    assert not list(tmp_path.glob("*out*"))
    assert not list(tmp_path.glob(".tmp*"))


def test_sound_alone_is_no_clip(tmp_path):
    with av.open(tmp_path / "in.mp4", "w") as sink:
        track = sink.add_stream("aac", rate=16000)
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        heard.sample_rate = 16000
        sink.mux(track.encode(heard))
        sink.mux(track.encode(None))
    with pytest.raises(DataError, match="holds no pictures"):
        restyle_video(tmp_path / "in.mp4", tmp_path / "out.mp4", lambda f: f)


def test_a_clip_without_frames_is_told(tmp_path):
    """A track of pictures with none in it, beside some sound."""
    with av.open(tmp_path / "in.mkv", "w") as sink:
        stream = sink.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        track = sink.add_stream("aac", rate=16000)
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        heard.sample_rate = 16000
        sink.mux(track.encode(heard))
        sink.mux(track.encode(None))
    with pytest.raises(DataError, match="holds not one frame"):
        restyle_video(tmp_path / "in.mkv", tmp_path / "out.mp4", lambda f: f)
    assert not list(tmp_path.glob("*out*"))


def test_a_damaged_clip_is_told(tmp_path):
    clip = write(tmp_path / "in.mp4", scene(4)[0])
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 20_000] = bytes(20_000)
    (tmp_path / "zeros.mp4").write_bytes(data)
    with pytest.raises(DataError, match="is damaged after frame 0"):
        restyle_video(tmp_path / "zeros.mp4", tmp_path / "out.mp4", lambda f: f)
    assert not list(tmp_path.glob("*out*"))


def test_frames_that_were_cut_off_are_counted(tmp_path):
    data = write(tmp_path / "in.mkv", scene(12)[0]).read_bytes()
    (tmp_path / "half.mkv").write_bytes(data[: len(data) // 2])
    report = restyle_video(tmp_path / "half.mkv", tmp_path / "out.mp4", lambda f: f)
    assert report.missing == 12 - report.frames > 0


def test_a_painter_that_fails_leaves_nothing(tmp_path):
    clip = write(tmp_path / "in.mp4", scene(11)[0])
    calls = []

    def paint(frames):
        calls.append(1)
        if len(calls) == 2:
            raise DataError("the painter fell ill")
        return frames

    with pytest.raises(DataError, match="fell ill"):
        restyle_video(clip, tmp_path / "out.mp4", paint)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


def test_sound_that_the_format_cannot_hold_is_told(tmp_path):
    clip = write(tmp_path / "in.mp4", scene(2)[0], sound="aac")
    with pytest.raises(DataError, match=r"\.webm cannot be written with the sound aac"):
        restyle_video(clip, tmp_path / "out.webm", lambda f: f)


@pytest.mark.parametrize("options", [{"carry": 1.5}, {"batch": -1}, {"quality": 60}])
def test_settings_that_cannot_be(options):
    with pytest.raises(ConfigError, match=r"video: .* got"):
        VideoConfig(**options)


def test_places_that_cannot_be(tmp_path):
    clip = write(tmp_path / "in.mp4", scene(2)[0])
    with pytest.raises(ConfigError, match="is the clip itself"):
        restyle_video(clip, clip, lambda f: f)
    with pytest.raises(ConfigError, match="written as"):
        restyle_video(clip, tmp_path / "out.gif", lambda f: f)


def studio(n=6):
    """A shirt-coloured block that goes right before a plain studio."""
    frames = np.full((n, 96, 80, 3), 245, np.float64)
    for i, frame in enumerate(frames):
        frame[30:75, 20 + 2 * i : 50 + 2 * i] = (170, 40, 60)
    return np.clip(frames + np.random.default_rng(0).normal(0, 1, frames.shape), 0, 255).astype(np.uint8)


def test_a_look_keeps_the_product_in_every_frame(tmp_path):
    clip = write(tmp_path / "in.mp4", studio(), crf=1)
    look = choose_look("minimalist")
    (row,) = transfer_clip(clip, look, tmp_path / "out.mp4", seed=0, config=VideoConfig(quality=1))
    shown, source = read(tmp_path / "out.mp4")[0].astype(int), read(clip)[0].astype(int)
    for i in range(6):
        part = np.s_[i, 36:70, 26 + 2 * i : 44 + 2 * i]
        assert np.abs(shown[part] - source[part]).mean() < 4
    assert np.abs(shown[:, :20] - source[:, :20]).mean() > 5
    assert (row["look"], row["frames"]) == ("minimalist", 6)


def test_a_look_that_needs_a_product_says_that_there_is_none(tmp_path):
    patches = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    clip = write(tmp_path / "in.mp4", patches.repeat(12, axis=1).repeat(12, axis=2))
    look = choose_look("minimalist")
    with pytest.raises(DataError, match="mask of the first frames is doubtful"):
        transfer_clip(clip, look, tmp_path / "out.mp4", seed=0, config=VideoConfig())


def test_a_stylizer_alone_repaints_whole_frames(tmp_path):
    style = np.random.default_rng(0).integers(0, 120, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(style).save(tmp_path / "style.png")
    clip = write(tmp_path / "in.mp4", scene(2)[0])
    look = choose_look(stylizer="colour.mkl", styles=[tmp_path / "style.png"], strength=0.5)
    transfer_clip(clip, look, tmp_path / "out.mp4", seed=0, config=VideoConfig(carry=0, quality=1))
    source = read(clip)[0]
    stylizer = MklColour()
    expected = (source + stylizer.apply(source, stylizer.encode(style[None])).astype(float)) / 2
    assert np.abs(read(tmp_path / "out.mp4")[0] - expected).mean() < 3


def test_one_look_and_no_more(tmp_path):
    file = tmp_path / "looks.toml"
    file.write_text('[calm]\nbackdrop = { kinds = ["arch"], palettes = [["#e8ddc9", "#d9c9ad"]] }\n[retro]\n')
    assert choose_look("calm", file).name == "calm"
    for given, message in (
        ({}, "one of them"),
        ({"look": "retro", "stylizer": "colour.mkl"}, "one of them"),
        ({"looks_file": file}, "takes one look, got 2"),
        ({"look": "retroo"}, "did you mean 'retro'"),
        ({"stylizer": "colour.mkl"}, "give one with --style"),
        ({"stylizer": "diffusion"}, "add --accept-licence"),
    ):
        with pytest.raises(ConfigError, match=message):
            choose_look(**given)
