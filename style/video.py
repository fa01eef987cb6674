"""Clips: frames are read, restyled, steadied (see `style.steady`) and written, with their times and sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from recsys.errors import ConfigError, DataError
from recsys.extras import require
from recsys.files import atomic_write
from recsys.progress import progress
from style.base import Images
from style.images import MAX_PIXELS
from style.steady import Flicker, Picture, Steady

Paint = Callable[[Images], Images]

READS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif"
"""Formats of clips; play lists, which may name other files and addresses, are none."""
WRITES = {".mp4": ("mp4", "libx264"), ".mov": ("mov", "libx264"), ".mkv": ("matroska", "libx264")}
WRITES |= {".webm": ("webm", "libvpx-vp9")}
HDR = (16, 18)
"""Transfer functions PQ and HLG: their brightness has no meaning in 8 bits."""
STACK = 4_000_000
"""Pixels that are restyled at once."""


@dataclass(frozen=True)
class VideoConfig:
    """How a clip is restyled.

    Attributes:
        carry: 0..1, the share of the old change that is kept from frame to frame where nothing moves. Less than 1 is
            the mean of several frames' strokes, which blurs them; 0 takes every frame for itself.
        batch: Frames at once; 0 takes as many as fit `STACK` pixels, at most 8.
        quality: The encoder's constant rate factor, 0 (best) to 51.
        audio: Copy the sound, as it is.
    """

    carry: float = 1.0
    batch: int = 0
    quality: int = 18
    audio: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.carry <= 1:
            raise ConfigError(f"video: carry must be in 0..1, got {self.carry:g}")
        if self.batch < 0 or not 0 <= self.quality <= 51:
            raise ConfigError(f"video: batch must be >= 0 and quality in 0..51, got {self.batch} and {self.quality}")


@dataclass(frozen=True)
class ClipReport:
    """What became of a clip.

    Attributes:
        frames: How many were written.
        width: In pixels, as shown.
        height: In pixels, as shown.
        missing: Frames that the file announces and does not hold: it was cut off, or announces too many.
        seconds: How long it plays, by its frame rate.
        still: Share of pixels, over all frames but the first, where the source stands still.
        flicker_source: Mean absolute difference (of 255) of consecutive frames there; 0 where nothing stands still.
        flicker_alone: The same of the frames as the stylizer made them.
        flicker: The same of the frames that were written.
    """

    frames: int
    width: int
    height: int
    missing: int
    seconds: float
    still: float
    flicker_source: float
    flicker_alone: float
    flicker: float


def restyle_video(source: Path, out: Path, paint: Paint, config: VideoConfig | None = None) -> ClipReport:
    """Restyle a clip frame by frame, a few frames in memory at once; frame times, size and sound stay.

    A clip that is shown rotated is written upright; the result is BT.709, 8 bits. ``out`` appears when it is whole.

    Args:
        source: Any common clip.
        out: ``.mp4``, ``.mov``, ``.mkv`` or ``.webm``.
        paint: (n, h, w, 3) uint8 → the same shape.
        config: How.

    Raises:
        ConfigError: ``out`` is the source, or has another ending.
        DataError: ``source`` is no clip, damaged, without frames, too large or HDR; or the sound cannot be copied.
        MissingExtraError: The extra ``video`` is not installed.
    """
    config = config or VideoConfig()
    if out.suffix.lower() not in WRITES:
        raise ConfigError(f"a clip is written as {', '.join(WRITES)}, got {out.name!r}; give --out such an ending")
    if out.resolve() == source.resolve():
        raise ConfigError(f"{out} is the clip itself; give another name, so that the original stays")
    with Clip(source, config) as clip, atomic_write(out) as file:
        steady, flicker = Steady(config.carry), Flicker()
        label = f"restyle {source.name}"
        with ClipWriter(file, out.suffix.lower(), clip, config) as writer, progress(label, clip.announced) as advance:
            for times, frames in clip.batches():
                for time, frame, styled in zip(times, frames, paint(frames), strict=True):
                    shown = steady(frame, styled)
                    flicker.add(frame, styled, shown)
                    writer.write(shown, time)
                    advance()
    still, mean = flicker.still / max(flicker.pixels, 1), flicker.total / max(flicker.still, 1)
    missing, seconds = max(0, clip.announced - clip.decoded), float(clip.decoded / clip.rate)
    return ClipReport(clip.decoded, clip.shape[1], clip.shape[0], missing, seconds, still, *map(float, mean))


class Clip:
    """A clip that is read.

    Attributes:
        rate: Frames a second, on average.
        announced: Frames, as the file says or as its length allows; 0 = unknown.
        decoded: Frames so far.
        shape: Height and width of a frame as shown, once one is decoded.
        sound: Audio packets met so far that nobody took.
    """

    def __init__(self, path: Path, config: VideoConfig) -> None:
        self.path, self.config, self.av = path, config, require("av", extra="video")
        if not path.is_file():
            raise DataError(f"{path} does not exist, or is no file; give a clip")
        try:
            self.container = self.av.open(str(path), options={"format_whitelist": READS, "protocol_whitelist": "file"})
        except self.av.error.FFmpegError as error:
            raise DataError(f"{path} is not a clip, or its head is damaged ({error.strerror})") from error
        if not self.container.streams.video:
            self.container.close()
            raise DataError(f"{path} holds no pictures, only {len(self.container.streams)} other streams")
        self.video = self.container.streams.video[0]
        self.video.thread_type = "AUTO"
        self.audio = list(self.container.streams.audio[:1]) if config.audio else []
        self.rate = Fraction(self.video.average_rate or self.video.guessed_rate or 25)
        lasts = Fraction(self.container.duration or 0, 1_000_000)
        self.announced = self.video.frames or round(lasts * self.rate)
        self.decoded, self.shape, self.sound = 0, (0, 0), list[Any]()

    def __enter__(self) -> Clip:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def batches(self) -> Iterator[tuple[list[Any], Images]]:
        """Times (in units of the stream) and frames (n, h, w, 3), upright sRGB."""
        held: list[tuple[Any, Picture]] = []
        for time, frame in self._frames():
            held.append((time, frame))
            most = self.config.batch or max(1, min(8, STACK // (frame.shape[0] * frame.shape[1])))
            if len(held) >= most:
                yield [t for t, _ in held], np.stack([f for _, f in held])
                held = []
        if held:
            yield [t for t, _ in held], np.stack([f for _, f in held])
        if not self.decoded:
            raise DataError(f"{self.path} holds not one frame")

    def _frames(self) -> Iterator[tuple[Any, Picture]]:
        try:
            for packet in self.container.demux(self.video, *self.audio):
                if packet.stream.index != self.video.index:
                    self.sound += [packet] if packet.dts is not None else []
                    continue
                for frame in packet.decode():
                    pixels = self._pixels(frame)
                    self.decoded += 1
                    yield frame.pts, pixels
        except self.av.error.FFmpegError as error:
            raise DataError(f"{self.path} is damaged after frame {self.decoded} ({error.strerror})") from error

    def _pixels(self, frame: Any) -> Picture:
        if frame.width * frame.height > MAX_PIXELS:
            raise DataError(f"{self.path}: frames of {frame.width} x {frame.height}, at most {MAX_PIXELS:,} pixels")
        if frame.color_trc in HDR:
            raise DataError(f"{self.path} is HDR, which 8 bits cannot hold; convert it to SDR first")
        spaces = self.av.video.reformatter.Colorspace
        assumed = spaces.ITU709 if frame.height >= 720 else spaces.ITU601  # as players do where the file is silent
        space = assumed if frame.colorspace == 2 else frame.colorspace
        rgb = frame.reformat(format="rgb24", src_colorspace=space, dst_colorspace=space).to_ndarray()
        upright = np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))
        if self.decoded and upright.shape[:2] != self.shape:
            raise DataError(f"{self.path} changes its size at frame {self.decoded}; convert it to one size first")
        self.shape = upright.shape[0], upright.shape[1]
        return upright


class ClipWriter:
    """Writes frames, and the sound of the clip they come from, into an open file."""

    def __init__(self, file: IO[bytes], suffix: str, clip: Clip, config: VideoConfig) -> None:
        self.clip, self.suffix, self.config, self.last = clip, suffix, config, -1
        kind, self.codec = WRITES[suffix]
        self.sink = clip.av.open(file, "w", format=kind)
        self.stream: Any = None
        self.tracks: dict[int, Any] = {}

    def write(self, picture: Picture, time: int | None) -> None:
        """The next frame (h, w, 3), shown at ``time`` in units of the source's stream."""
        if self.stream is None:
            self._begin(*picture.shape[:2])
        step = 1 / (self.clip.rate * self.clip.video.time_base)
        asked = round(self.last + step) if time is None else time
        self.last = max(asked, self.last + 1) if self.last >= 0 else asked
        reformatter = self.clip.av.video.reformatter
        frame = self.clip.av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format=self.stream.pix_fmt,
            dst_colorspace=reformatter.Colorspace.ITU709,
            dst_color_range=reformatter.ColorRange.MPEG,
        )
        frame.pts, frame.time_base = self.last, self.clip.video.time_base
        self._mux([*self.stream.encode(frame), *self._sound()])

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._mux([*self.stream.encode(None), *self._sound()])
            self.sink.close()
            return
        with suppress(self.clip.av.error.FFmpegError):  # half a file has no proper end, and is thrown away
            self.sink.close()

    def _begin(self, height: int, width: int) -> None:
        options = {"crf": str(self.config.quality)} | ({"b": "0"} if self.codec != "libx264" else {})
        stream = self.sink.add_stream(self.codec, rate=self.clip.rate, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"  # halved chroma needs even sides
        stream.codec_context.time_base = self.clip.video.time_base
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1  # BT.709, narrow
        try:
            self.tracks = {track.index: self.sink.add_stream_from_template(track) for track in self.clip.audio}
        except (self.clip.av.error.FFmpegError, ValueError) as error:
            raise self._soundless(error) from error
        self.stream = stream

    def _sound(self) -> list[Any]:
        packets, self.clip.sound = self.clip.sound, []
        for packet in packets:
            packet.stream = self.tracks[packet.stream.index]
        return packets

    def _mux(self, packets: list[Any]) -> None:
        try:
            self.sink.mux(packets)
        except self.clip.av.error.FFmpegError as error:
            raise self._soundless(error) from error

    def _soundless(self, error: Exception) -> DataError:
        sound = ", ".join(track.codec_context.name for track in self.clip.audio) or "none"
        return DataError(f"{self.suffix} cannot be written with the sound {sound} ({error}); take .mkv, or no sound")
