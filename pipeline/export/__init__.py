"""Moments as files people can play: exact clips, the reel, thumbnails; nothing appears unless it was verified.

cut        which pictures of the source a span shows, exactly            treatment  what must change to be playable
recipe     cuts + sound + treatment: all that is known beforehand        command    recipe -> arguments of ffmpeg
ffmpeg     runs the program                                              verify     the file against its recipe
produce    encode, verify, let it appear whole                           sound      how far a copy lags behind
clips, reel, thumbs   a file for each moment, one of all that the reel lists, a picture of each at its peak
"""

from pipeline.export.clips import VERSION, clip_key, clip_paths, clip_stems, export_clips, holds_key
from pipeline.export.ffmpeg import ffmpeg_program
from pipeline.export.reel import REEL, make_reel, reel_key
from pipeline.export.thumbs import make_thumbs, thumb_paths
from pipeline.export.verify import FramesAt

__all__ = [
    "REEL",
    "VERSION",
    "FramesAt",
    "clip_key",
    "clip_paths",
    "clip_stems",
    "export_clips",
    "ffmpeg_program",
    "holds_key",
    "make_reel",
    "make_thumbs",
    "reel_key",
    "thumb_paths",
]
